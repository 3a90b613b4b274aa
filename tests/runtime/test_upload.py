"""A file is a recording fed fast: whole, or an error."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from tests.runtime.conftest import MakeHub
from tests.runtime.fakes import PATIENCE_S, BrokenSession, Engines, in_thread, join_recordings, silence, speech
from xingji.audio import Halt, Halted, Limits
from xingji.core.errors import XingjiError
from xingji.core.messages import Completed, Detect, Event, SentenceSettled, Transcribe
from xingji.core.session import Session
from xingji.core.types import Samples
from xingji.runtime import upload
from xingji.runtime.driver import Clocks
from xingji.runtime.headroom import FEW, LATE_S, WINDOW_S, Headroom
from xingji.runtime.hub import Hub
from xingji.runtime.hub import Limits as HubLimits
from xingji.wire import Wishes

PATH = Path("meeting.wav")
WISHES = Wishes(stream=False)

Decodes = Callable[..., None]


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Decodes:
    """Let the file decode to these chunks; an exception among them is raised, a function called. ``claimed``:
    seconds that it says it has."""

    def decodes(*chunks: Samples | Exception | Callable[[], object], claimed: float = 0.0) -> None:
        def decode_file(path: Path, limits: Limits, halt: Halt, declared: Callable[[float], None]) -> Iterator[Samples]:
            assert path == PATH
            declared(claimed)
            for chunk in chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                if callable(chunk):
                    chunk()
                else:
                    yield chunk

        monkeypatch.setattr(upload, "decode_file", decode_file)

    return decodes


def transcribe(
    hub: Hub, progress: Callable[[int], None] | None = None, halt: Halt | None = None, wishes: Wishes = WISHES
) -> Completed:
    return upload.transcribe(hub, PATH, wishes, upload.file_limits(3600.0), progress, halt)


def talk(sentences: int) -> Samples:
    return np.concatenate([speech(1.0), silence(1.0)] * sentences)


def test_a_file_becomes_sentences(make_hub: MakeHub, engines: Engines, decodes: Decodes) -> None:
    sound = talk(40)  # longer than may be on its way at a time
    decodes(*np.array_split(sound, 7))
    hub = make_hub()
    done = transcribe(hub)
    assert [s.text for s in done.sentences] == ["二。"] * 40
    assert done.length == len(sound)
    assert np.array_equal(np.concatenate(engines.heard), sound)


def test_an_empty_file_has_no_sentences(make_hub: MakeHub, decodes: Decodes) -> None:
    decodes()
    assert transcribe(make_hub()) == Completed((), (), (), 0)


def test_progress_is_heard_once_the_file_is_read_and_rises_to_100(
    make_hub: MakeHub, engines: Engines, decodes: Decodes
) -> None:
    engines.held = {Detect, Transcribe}
    decodes(talk(5))
    hub, percents = make_hub(), Queue[int]()
    running = in_thread(lambda: transcribe(hub, percents.put))
    stashed, flushed = [], False
    while not flushed:
        stream, job, done = engines.waiting.get(timeout=PATIENCE_S)
        if isinstance(job, Detect):
            flushed = job.flush
            assert percents.empty()
            done(engines.result(stream, job))
        else:
            stashed.append((stream, job, done))
    for asked in stashed:
        engines.waiting.put(asked)
    for _ in range(5):
        engines.answer()
    running.join(PATIENCE_S)
    assert not running.is_alive()
    heard = [percents.get_nowait() for _ in range(percents.qsize())]
    assert heard == sorted(set(heard))
    assert heard[-1] == 100
    assert len(heard) > 2


def test_progress_while_a_file_is_read_is_of_what_it_claims(make_hub: MakeHub, decodes: Decodes) -> None:
    percents, first = Queue[int](), []
    decodes(talk(20), lambda: first.append(percents.get(timeout=PATIENCE_S)), talk(20), claimed=80.0)
    transcribe(make_hub(), percents.put)
    heard = first + [percents.get_nowait() for _ in range(percents.qsize())]
    assert first[0] <= 50
    assert heard == sorted(set(heard)) and heard[-1] == 100


@pytest.mark.parametrize("claimed", [0.001, 1e9])
def test_a_claim_that_is_wrong_spoils_no_progress(make_hub: MakeHub, decodes: Decodes, claimed: float) -> None:
    percents: list[int] = []
    decodes(talk(10), talk(10), claimed=claimed)
    transcribe(make_hub(), percents.append)
    assert percents == sorted(set(percents)) and percents[-1] == 100


def test_another_thread_halts_it_and_the_engines_are_asked_no_more(
    make_hub: MakeHub, engines: Engines, decodes: Decodes
) -> None:
    """While it is read, while it is recognised, and before it has begun."""
    hub = make_hub()
    for chunks in ((talk(1), None, talk(1)), (None, talk(1))):
        halt = Halt()
        decodes(*(halt.ask if chunk is None else chunk for chunk in chunks))
        with pytest.raises(Halted):
            transcribe(hub, halt=halt)
        join_recordings()
        assert hub.active == 0
    engines.held = {Transcribe}
    halt, ended = Halt(), Queue[type[BaseException]]()
    decodes(talk(3))

    def run() -> None:
        try:
            transcribe(hub, halt=halt)
        except Halted:
            ended.put(Halted)

    in_thread(run)
    engines.answer()
    halt.ask()
    assert ended.get(timeout=PATIENCE_S) is Halted
    join_recordings()
    assert hub.active == 0 and len(engines.released) == 2


def test_in_the_background_it_pauses_while_people_would_notice(make_hub: MakeHub, decodes: Decodes) -> None:
    clock = [0.0]
    headroom = Headroom(0.85, clock=lambda: clock[0])
    for _ in range(FEW):
        headroom.waited(LATE_S + 0.1)
    hub, heard = make_hub(headroom=headroom), Queue[int]()
    decodes(talk(2))
    background = replace(WISHES, background=True)
    running = in_thread(lambda: transcribe(hub, heard.put, wishes=background))
    running.join(2 * upload.LOOK_S)
    assert running.is_alive() and heard.empty()
    clock[0] += WINDOW_S + 1
    assert heard.get(timeout=PATIENCE_S) >= 0
    running.join(PATIENCE_S)
    assert not running.is_alive()


@pytest.mark.parametrize("chunks", [(), (talk(1),)], ids=["at once", "half way"])
def test_a_file_that_cannot_be_decoded_leaves_nothing_behind(
    make_hub: MakeHub, decodes: Decodes, chunks: tuple[Samples, ...]
) -> None:
    decodes(*chunks, XingjiError("decode_failed"))
    hub = make_hub(limits=HubLimits(sessions=1))
    for _ in range(3):
        with pytest.raises(XingjiError, match="decode_failed"):
            transcribe(hub)
        join_recordings()
        assert hub.active == 0


def test_a_full_server_takes_no_file(make_hub: MakeHub, engines: Engines, decodes: Decodes) -> None:
    decodes(talk(1))
    hub = make_hub(limits=HubLimits(sessions=0))
    engines.is_behind = True
    with pytest.raises(XingjiError, match="busy"):
        transcribe(hub)


def test_half_a_file_is_no_answer(make_hub: MakeHub, decodes: Decodes) -> None:
    hub = make_hub()
    decodes(talk(1), lambda: hub.drain(0.0), talk(1))
    with pytest.raises(XingjiError, match="busy"):
        transcribe(hub)


def test_a_file_longer_than_a_recording_may_be_is_refused(make_hub: MakeHub, decodes: Decodes) -> None:
    decodes(talk(1), talk(1), talk(1), AssertionError("decoded further"))
    with pytest.raises(XingjiError, match="too_large"):
        transcribe(make_hub(Clocks(longest=3.0)))


def transcription(hub: Hub) -> upload.Transcription:
    return upload.Transcription(hub, PATH, WISHES, upload.file_limits(3600.0))


def test_sentences_are_told_while_the_rest_is_still_read(make_hub: MakeHub, decodes: Decodes) -> None:
    read = []
    decodes(*(part for n in range(50) for part in (lambda n=n: read.append(n), talk(1))))  # type: ignore[misc]
    hub = make_hub()
    with closing(transcription(hub)) as running:
        events = iter(running)
        assert isinstance(first_of(events, SentenceSettled), SentenceSettled)
        assert len(read) < 50
        assert isinstance(first_of(events, Completed), Completed)
        assert list(events) == [] and read == list(range(50))


def first_of(events: Iterator[Event | None], kind: type[Event]) -> Event | None:
    return next(event for event in events if isinstance(event, kind))


def test_who_listens_is_not_left_without_a_word(
    make_hub: MakeHub, engines: Engines, decodes: Decodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "TICK_S", 0.01)
    decodes(talk(1))
    engines.held = {Detect}
    with closing(transcription(make_hub())) as running:
        events = iter(running)
        assert next(events) is None and next(events) is None
        engines.let_go()
        assert isinstance(first_of(events, Completed), Completed)


@pytest.mark.parametrize("asked", [0, 1, 2], ids=["before it begins", "as it begins", "half way"])
def test_what_is_closed_early_leaves_nothing_behind(
    make_hub: MakeHub, engines: Engines, decodes: Decodes, asked: int
) -> None:
    ended = []

    def decode_file(path: Path, *_: object) -> Iterator[Samples]:
        try:
            while True:
                yield talk(1)
        finally:
            ended.append(path)

    hub = make_hub(limits=HubLimits(sessions=1))
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(upload, "decode_file", decode_file)
            running = transcription(hub)
        for _ in zip(range(asked), running, strict=False):
            pass
        running.close()
        running.close()
        join_recordings()
        assert hub.active == 0
    assert len(ended) == len(engines.released) == 2


def test_a_defect_of_ours_is_an_internal_error(
    make_hub: MakeHub, decodes: Decodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "handle", BrokenSession.handle)
    decodes(talk(1))
    with pytest.raises(XingjiError, match="internal"):
        transcribe(make_hub())
