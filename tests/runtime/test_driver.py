"""Between a client's thread and the engines: order, back-pressure, clocks, and one ending, whatever happens."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import numpy as np
import pytest

from tests.runtime.fakes import (
    PATIENCE_S,
    BrokenSession,
    Engines,
    Listener,
    Source,
    Unpronounceable,
    in_thread,
    silence,
    speech,
)
from xingji.core.messages import (
    Commit,
    Completed,
    Configure,
    Correct,
    Detect,
    Job,
    Lost,
    Profile,
    Result,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    Transcribe,
)
from xingji.core.session import Session
from xingji.core.types import SAMPLE_RATE, Samples, Stage
from xingji.runtime.driver import MAX_BACKLOG, Clocks, Driver, Failed, Stopped

Start = Callable[..., tuple[Driver, Listener]]

DETECT_ONLY = Profile(stream=False, second_pass=False, correct=False)


@pytest.fixture
def start(engines: Engines) -> Iterator[Start]:
    """Run a driver on a thread of its own; it has ended when the test ends."""
    drivers: list[Driver] = []

    def start(
        profile: Profile | None = None,
        clocks: Clocks = Clocks(),  # noqa: B008
        session: Any = None,
        on: Any = None,
        source: Source | None = None,
    ) -> tuple[Driver, Listener]:
        listener = Listener()
        session = session or Session(profile or Profile(), Unpronounceable())
        driver = Driver(7, session, on or engines, source or Source(), listener, clocks)
        in_thread(driver.run)
        drivers.append(driver)
        return driver, listener

    yield start
    for driver in drivers:
        driver.cancel()
        assert driver.finished.wait(PATIENCE_S)


def test_a_recording_from_audio_to_completed(start: Start, engines: Engines) -> None:
    driver, listener = start()
    driver.feed(np.concatenate([silence(0.4), speech(1.0), silence(0.6)]))
    listener.wait_for(SentenceSettled)
    assert driver.stop("client")
    over = listener.end()
    assert [s.text for s in over.sentences] == ["二！"]
    assert over.length == driver.accepted == 2 * SAMPLE_RATE
    assert driver.finished.wait(PATIENCE_S)
    assert engines.released == [7]
    kinds = listener.kinds()
    assert kinds[:2] == ["SpeechStarted", "SpeechEnded"]
    assert kinds[-2:] == ["Stopped", "Completed"]
    assert kinds.count("SentenceSettled") == 1
    judged = [moment.judged for moment in listener.moments]
    assert judged == sorted(judged)
    assert all(moment.done <= moment.judged <= moment.received for moment in listener.moments)


def test_stop_without_audio(start: Start) -> None:
    driver, listener = start()
    assert driver.stop("client")
    assert not driver.stop("client")
    assert listener.end() == Completed((), (), (), 0)
    assert listener.told == [Stopped("client", 0), Completed((), (), (), 0)]


def test_after_stop_nothing_is_taken(start: Start) -> None:
    driver, listener = start()
    driver.feed(speech(0.5))
    driver.stop("client")
    driver.feed(speech(0.5))
    driver.put(Commit())
    driver.put(Configure(Profile()))
    assert listener.end().length == driver.accepted == SAMPLE_RATE // 2
    assert [told for told in listener.told if isinstance(told, Stopped)] == [Stopped("client", SAMPLE_RATE // 2)]


def test_commands_keep_their_place_among_the_audio(start: Start) -> None:
    driver, listener = start(DETECT_ONLY)
    for _ in range(3):
        driver.feed(speech(0.5))
        driver.put(Commit())
    driver.put(Configure(DETECT_ONLY))
    driver.stop("client")
    listener.end()
    ends = [told.span.end for told in listener.told if isinstance(told, SpeechEnded)]
    assert ends == [8_000, 16_000, 24_000]


# -- order and back-pressure --------------------------------------------------------


class OnItsOwnThread:
    """Engines behind a queue, as real ones are: every answer comes from another thread."""

    def __init__(self, engines: Engines) -> None:
        self._engines, self._queue = engines, Queue[tuple[Any, ...]]()
        in_thread(self._run)

    def submit(self, *asked: Any) -> None:
        self._queue.put(asked)

    def release(self, stream: int) -> None:
        self._queue.put(())

    def _run(self) -> None:
        while asked := self._queue.get():
            self._engines.submit(*asked)


@pytest.mark.parametrize("frame", [1, 320, 1601, 400_000])
def test_every_sample_arrives_in_order_however_fast_it_is_sent(start: Start, engines: Engines, frame: int) -> None:
    count = min(2000, -(-40 * SAMPLE_RATE // frame))
    sent = np.random.default_rng(0).integers(-32_768, 32_767, count * frame, np.int16, endpoint=True)
    driver, listener = start(DETECT_ONLY, on=OnItsOwnThread(engines))
    for at in range(0, len(sent), frame):
        driver.feed(sent[at : at + frame])
    driver.stop("client")
    over = listener.end()
    assert over.length == len(sent)
    assert np.array_equal(np.concatenate(engines.heard), sent)
    kinds = listener.kinds()
    assert kinds.index("Stopped") < kinds.index("Completed") == len(kinds) - 1


def test_whoever_feeds_waits_while_the_engines_are_far_behind(start: Start, engines: Engines) -> None:
    engines.held = {Detect}
    driver, listener = start(DETECT_ONLY)
    sent = np.arange(70 * SAMPLE_RATE, dtype=np.int16)
    told: Queue[int] = Queue()

    def feed() -> None:
        for at in range(0, len(sent), SAMPLE_RATE):
            driver.feed(sent[at : at + SAMPLE_RATE], told.put)

    feeder = in_thread(feed)
    lag = told.get(timeout=PATIENCE_S)
    assert lag == driver.backlog == MAX_BACKLOG + SAMPLE_RATE
    assert driver.accepted == lag
    assert feeder.is_alive()
    engines.let_go()
    feeder.join(PATIENCE_S)
    assert not feeder.is_alive()
    driver.stop("client")
    assert listener.end().length == len(sent)
    assert np.array_equal(np.concatenate(engines.heard), sent)


def test_one_large_frame_is_taken_whole(start: Start, engines: Engines) -> None:
    engines.held = {Detect}
    driver, listener = start(DETECT_ONLY)
    driver.feed(silence(100.0))
    assert driver.accepted == 100 * SAMPLE_RATE
    driver.stop("client")
    engines.let_go()
    assert listener.end().length == 100 * SAMPLE_RATE


@pytest.mark.parametrize("end", [lambda driver: driver.stop("server_shutdown"), Driver.cancel], ids=["stop", "cancel"])
def test_the_end_wakes_whoever_waits(start: Start, engines: Engines, end: Callable[[Driver], object]) -> None:
    engines.held = {Detect}
    driver, listener = start(DETECT_ONLY)
    driver.feed(silence(31.0))
    waits = threading.Event()
    feeder = in_thread(lambda: driver.feed(silence(1.0), lambda _: waits.set()))
    assert waits.wait(PATIENCE_S)
    end(driver)
    feeder.join(PATIENCE_S)
    assert not feeder.is_alive()
    assert driver.accepted == 31 * SAMPLE_RATE
    engines.let_go()
    assert driver.finished.wait(PATIENCE_S)
    assert [told.received for told in listener.told if isinstance(told, Stopped)] in ([], [31 * SAMPLE_RATE])


def test_a_stop_from_elsewhere_never_meets_audio_behind_it(start: Start) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            driver, listener = start(DETECT_ONLY)
            going = threading.Event()

            def feed(driver: Driver = driver, going: threading.Event = going) -> None:
                frame = silence(0.001)
                while not driver.stopped:
                    driver.feed(frame)
                    driver.put(Commit())
                    going.set()

            feeder = in_thread(feed)
            assert going.wait(PATIENCE_S)
            driver.stop("server_shutdown")
            over = listener.end()
            feeder.join(PATIENCE_S)
            assert listener.told[:-1] == [Stopped("server_shutdown", over.length)]
    finally:
        sys.setswitchinterval(interval)


# -- what the source held back --------------------------------------------------------

HELD = np.arange(1, 801, dtype=np.int16)


@pytest.mark.parametrize(
    ("reason", "clocks", "seconds"),
    [
        ("client", Clocks(), 0.5),
        ("server_shutdown", Clocks(), 0.5),
        ("max_duration", Clocks(longest=0.5), 0.5),
        ("idle", Clocks(idle=0.05), 0.0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_however_a_recording_ends_the_rest_comes_last_and_once(
    start: Start, engines: Engines, reason: str, clocks: Clocks, seconds: float
) -> None:
    source = Source(HELD)
    driver, listener = start(DETECT_ONLY, clocks, source=source)
    driver.feed(speech(seconds))
    if reason in ("client", "server_shutdown"):
        driver.stop(reason)
    over = listener.end()
    assert not driver.stop("client")
    sent = np.concatenate([speech(seconds), HELD])
    assert over.length == driver.accepted == len(sent)
    assert [told for told in listener.told if isinstance(told, Stopped)] == [Stopped(reason, len(sent))]
    assert np.array_equal(np.concatenate(engines.heard), sent)
    assert source.asked == 1


def test_a_cancelled_recording_asks_for_no_rest(start: Start) -> None:
    source = Source(HELD)
    driver, _ = start(source=source)
    driver.cancel()
    assert driver.finished.wait(PATIENCE_S)
    assert (source.asked, driver.accepted) == (0, 0)


class PassedOn:
    """A lock that goes, when it is let go, to the thread that came for it meanwhile: the worst that can happen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.wanted, self._had = threading.Event(), threading.Event()

    def acquire(self, blocking: bool = True) -> bool:
        if self._lock.acquire(blocking=False):
            return True
        if blocking:
            self.wanted.set()
            self._lock.acquire()
            self._had.set()
        return blocking

    def release(self) -> None:
        self._lock.release()
        if self.wanted.is_set():
            assert self._had.wait(PATIENCE_S)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@pytest.mark.parametrize(
    ("during", "meanwhile", "arrived"),
    [
        ("read", lambda driver: driver.stop("server_shutdown"), np.concatenate([speech(0.5), HELD])),
        ("rest", lambda driver: driver.feed(speech(0.5)), HELD),
        ("rest", lambda driver: driver.stop("server_shutdown"), HELD),
    ],
    ids=["stop while reading", "audio while stopping", "stop while stopping"],
)
def test_reading_and_stopping_wait_for_each_other(
    start: Start, engines: Engines, during: str, meanwhile: Callable[[Driver], object], arrived: Samples
) -> None:
    lock, others = PassedOn(), list[threading.Thread]()

    def meet() -> None:
        others.append(in_thread(lambda: meanwhile(driver)))
        assert lock.wanted.wait(PATIENCE_S), "nothing kept the other thread out"

    class Meeting(Source):
        def read(self, samples: Samples) -> Samples:
            if during == "read":
                meet()
            return super().read(samples)

        def rest(self) -> Samples:
            if during == "rest":
                meet()
            return super().rest()

    source = Meeting(HELD)
    driver, listener = start(DETECT_ONLY, source=source)
    driver._room = threading.Condition(lock)  # type: ignore[arg-type]
    if during == "read":
        driver.feed(speech(0.5))
    else:
        assert driver.stop("client")
    over = listener.end()
    for other in others:
        other.join(PATIENCE_S)
    assert np.array_equal(np.concatenate(engines.heard), arrived)
    assert over.length == driver.accepted == len(arrived)
    assert [told.received for told in listener.told if isinstance(told, Stopped)] == [len(arrived)]
    assert source.asked == 1


class BrokenSource(Source):
    def rest(self) -> Samples:
        raise ZeroDivisionError


def test_a_defect_in_the_source_keeps_no_recording_from_its_end(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    driver, listener = start(source=BrokenSource())
    with pytest.raises(ZeroDivisionError):
        driver.stop("client")
    assert listener.end().length == 0
    driver, listener = start(source=BrokenSource(), clocks=Clocks(idle=0.05))
    listener.wait_for(Failed)
    assert listener.told == [Stopped("idle", 0), Failed()]
    assert [record.message for record in caplog.records] == ["recording failed"]


# -- clocks ---------------------------------------------------------------------------


def test_a_client_that_sends_nothing_is_stopped(start: Start) -> None:
    driver, listener = start(clocks=Clocks(idle=0.05))
    assert listener.wait_for(Stopped) == Stopped("idle", 0)
    assert listener.end().length == 0
    assert driver.stopped


def test_idle_counts_from_the_last_audio(start: Start) -> None:
    driver, listener = start(clocks=Clocks(idle=0.2))
    for _ in range(5):
        driver.feed(silence(0.2))
    assert listener.wait_for(Stopped) == Stopped("idle", SAMPLE_RATE)


def test_the_longest_recording(start: Start) -> None:
    driver, listener = start(DETECT_ONLY, clocks=Clocks(longest=1.0))
    for _ in range(6):
        driver.feed(speech(0.3))
    length = round(1.2 * SAMPLE_RATE)  # the frame that reaches the limit is the last one, and whole
    assert listener.end().length == driver.accepted == length
    assert [told for told in listener.told if isinstance(told, Stopped)] == [Stopped("max_duration", length)]


def test_the_final_result_does_not_wait_for_a_corrector_that_never_answers(start: Start, engines: Engines) -> None:
    engines.held = {Correct}
    driver, listener = start(clocks=Clocks(final_wait=0.05))
    driver.feed(speech(1.0))
    driver.stop("client")
    over = listener.end()
    assert [s.text for s in over.sentences] == ["二。"]
    assert over.sentences[0].missing == (Stage.CORRECTED,)
    assert over.readings[0].lost == ((Stage.CORRECTED, "timeout"),)
    engines.let_go()  # too late, and harmless
    assert isinstance(listener.told[-1], Completed)


def test_it_does_wait_for_a_corrector_that_answers_in_time(start: Start, engines: Engines) -> None:
    engines.held = {Correct}
    driver, listener = start()
    driver.feed(speech(1.0))
    driver.stop("client")
    assert isinstance(engines.answer(), Correct)
    assert [s.text for s in listener.end().sentences] == ["二！"]


def test_the_wait_for_corrections_begins_when_nothing_else_is_owed(start: Start, engines: Engines) -> None:
    engines.held = {Correct, Transcribe}
    driver, listener = start(clocks=Clocks(final_wait=0.0))
    driver.feed(speech(1.0))
    driver.stop("client")
    assert isinstance(engines.answer(), Transcribe)
    assert [s.text for s in listener.end().sentences] == ["二。"]


# -- cancel and failure -----------------------------------------------------------------


def test_after_cancel_nothing_is_told(start: Start, engines: Engines) -> None:
    engines.held = {Transcribe}
    driver, listener = start()
    driver.feed(np.concatenate([speech(1.0), silence(0.5)]))
    listener.wait_for(SentenceRevised)
    job = engines.waiting.get(timeout=PATIENCE_S)
    driver.cancel()
    before = listener.kinds()
    assert driver.finished.wait(PATIENCE_S)
    job[2](engines.result(7, job[1]))
    assert not driver.stop("client")
    driver.feed(speech(1.0))
    assert listener.kinds() == before
    assert engines.released == [7]


class Raising(Engines):
    def submit(self, stream: int, job: Job, done: Callable[[Result], None]) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "defect", [{"session": BrokenSession()}, {"on": Raising()}], ids=["in the session", "in the engines"]
)
@pytest.mark.parametrize("stopped_first", [False, True])
def test_a_defect_of_ours_is_told_once_and_last(
    start: Start, caplog: pytest.LogCaptureFixture, defect: dict[str, Any], stopped_first: bool
) -> None:
    with caplog.at_level(logging.ERROR):
        driver, listener = start(clocks=Clocks(), **defect)
        with driver._room:  # so that Stop is in line before the defect shows
            driver.feed(speech(1.0))
            if stopped_first:
                driver.stop("client")
        listener.wait_for(Failed)
        assert driver.finished.wait(PATIENCE_S)
    assert listener.told == [Stopped("client" if stopped_first else "error", SAMPLE_RATE), Failed()]
    assert driver.stopped
    assert not driver.stop("client")
    assert [record.message for record in caplog.records] == ["recording failed"]


def test_a_defect_wakes_whoever_waits(start: Start, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    engines.held = {Detect}
    session = Session(DETECT_ONLY, Unpronounceable())
    driver, listener = start(session=session)
    driver.feed(silence(31.0))
    waits = threading.Event()
    feeder = in_thread(lambda: driver.feed(silence(1.0), lambda _: waits.set()))
    assert waits.wait(PATIENCE_S)
    monkeypatch.setattr(Session, "resolve", BrokenSession.resolve)
    engines.let_go()
    listener.wait_for(Failed)
    feeder.join(PATIENCE_S)
    assert not feeder.is_alive()


def test_an_engine_that_loses_everything_still_leads_to_completed(start: Start, engines: Engines) -> None:
    engines.result = lambda stream, job: Lost("unavailable")  # type: ignore[method-assign]
    driver, listener = start()
    driver.feed(speech(2.0))
    driver.stop("client")
    over = listener.end()
    assert over.length == 2 * SAMPLE_RATE
    assert all(r.lost for r in over.readings)


def test_frames_without_samples_are_nothing(start: Start) -> None:
    driver, listener = start()
    empty: Samples = np.zeros(0, np.int16)
    driver.feed(empty)
    driver.feed(silence(0.1))
    driver.feed(empty)
    driver.stop("client")
    assert listener.end().length == SAMPLE_RATE // 10
