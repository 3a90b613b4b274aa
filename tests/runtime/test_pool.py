"""Workers as processes: every job is answered whatever becomes of them.

Most tests run real worker processes whose models are played (``played_worker.py``); those marked
``models`` load the model pack.
"""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.runtime.fakes import PATIENCE_S, Listener, Source, Unpronounceable, in_thread, silence
from tests.support import utterances
from xingji.core.messages import (
    Completed,
    Decode,
    Detect,
    Forgotten,
    Job,
    Lost,
    NoSpeech,
    Profile,
    Result,
    SentenceRevised,
    Transcribe,
)
from xingji.core.session import Session
from xingji.core.types import Hotword, HotwordTable, Hypothesis, Samples, Stage
from xingji.runtime import ipc
from xingji.runtime import link as link_module
from xingji.runtime import pool as pool_module
from xingji.runtime.driver import Driver
from xingji.runtime.link import HOPELESS, TRIES, Link
from xingji.runtime.metrics import Metrics
from xingji.runtime.pool import BEHIND_S, Pool

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0  # a busy machine may take this long to load torch
HOP, CHUNK = 3200, 9600


def detect(offset: int = 0, first: bool = True, flush: bool = False) -> Detect:
    return Detect(silence(0.2), offset, first, flush, 12_800, HOP)


def decode(offset: int = 0, last: bool = False) -> Decode:
    return Decode(0, silence(0.6), offset, last, CHUNK, True)


def transcribe(language: str = "auto") -> Transcribe:
    return Transcribe(0, silence(0.5), language, True)


class Asked:
    """Jobs given to a link or a pool, and their answers in order of arrival."""

    def __init__(self, submit: Callable[..., None]) -> None:
        self._submit = submit
        self._answers: Queue[tuple[str, Result]] = Queue()

    def __call__(self, name: str, job: Job, stream: int = 1) -> None:
        self._submit(stream, job, lambda result: self._answers.put((name, result)))

    def answers(self, count: int = 1, timeout_s: float = PATIENCE_S) -> dict[str, Result]:
        got = [self._answers.get(timeout=timeout_s) for _ in range(count)]
        assert len(dict(got)) == count, "each job is answered once"
        return dict(got)

    def nothing_more(self) -> bool:
        return self._answers.empty()


# -- played models -------------------------------------------------------------------------


def start_instead(worker: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on workers are started by a script in ``folder`` that runs ``worker``, instead of by Python."""
    script = folder / "python"
    played = ROOT / "tests" / "runtime" / worker
    script.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "{played}" "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workers with played models; the folder is how tests talk to them."""
    start_instead("played_worker.py", tmp_path, monkeypatch)
    return tmp_path


MakeLink = Callable[..., Link]


@pytest.fixture
def make_link(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeLink]:
    links: list[Link] = []
    impatient = SimpleNamespace(monotonic=time.monotonic, sleep=lambda s: time.sleep(min(s, 0.02)))
    monkeypatch.setattr(link_module, "time", impatient)

    def make(job_timeout_s: float = 60.0, device: str = "cpu", start_limit_s: float = START_S) -> Link:
        setup = {"models": {"folder": str(workplace)}, "device": device, "mps": False, "precision": "auto"}
        setup |= {"log_level": "CRITICAL"}
        link = Link("segment", setup, job_timeout_s, start_limit_s, Metrics())
        links.append(link)
        return link

    yield make
    for link in links:
        link.close()
        link._reader.join(PATIENCE_S)
        assert not link._reader.is_alive()


@pytest.fixture
def link(make_link: MakeLink) -> Link:
    return ready(make_link())


def ready(link: Link) -> Link:
    assert link.ready.wait(START_S)
    return link


def test_closing_while_a_process_begins_leaves_none(make_link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    class Slow(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **more: Any) -> None:
            time.sleep(0.3)
            super().__init__(*args, **more)
            begun.append(self)

    monkeypatch.setattr(link_module.subprocess, "Popen", Slow)
    link = make_link()
    time.sleep(0.1)
    link.close()
    link._reader.join(PATIENCE_S)
    assert all(process.poll() is not None for process in begun)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_jobs_are_answered(link: Link) -> None:
    asked, pid = Asked(link.submit), link.pid
    asked("detect", detect())
    asked("decode", decode())
    asked("transcribe", transcribe())
    read = Hypothesis(str(pid))
    assert asked.answers(3) == {"detect": (), "decode": read, "transcribe": read}
    assert (link.state, link.restarts, link.waiting, link.waited_s(2)) == ("ready", 0, 0, 0.0)
    assert (link.models, link.degraded) == ({"played": {"device": "cpu"}}, None)


def test_more_than_the_socket_holds_in_both_directions(link: Link) -> None:
    asked = Asked(link.submit)
    for n in range(400):
        asked(str(n), Transcribe(0, silence(5.0), "auto", True), stream=n)
        link.release(n)
    assert [*asked.answers(400)] == [str(n) for n in range(400)], "in order"


def test_jobs_may_come_before_the_worker_is_there(make_link: MakeLink, workplace: Path) -> None:
    (workplace / "hold").touch()
    link = make_link()
    asked = Asked(link.submit)
    asked("early", transcribe())
    assert (link.state, link.waiting) == ("starting", 1)
    (workplace / "hold").unlink()
    assert asked.answers() == {"early": Hypothesis(str(ready(link).pid))}


def test_after_a_kill_stateless_jobs_go_to_the_successor_and_the_others_are_forgotten(link: Link) -> None:
    asked, pid = Asked(link.submit), link.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that nothing is answered before the kill
    for n in range(3):
        asked(f"transcribe {n}", transcribe())
    asked("detect", detect())
    asked("decode", decode())
    os.kill(pid, signal.SIGKILL)
    answers = asked.answers(5)
    successor = ready(link).pid
    assert (answers["detect"], answers["decode"]) == (Forgotten(), Forgotten())
    assert {answers[f"transcribe {n}"] for n in range(3)} == {Hypothesis(str(successor))}
    assert successor != pid
    assert (link.restarts, link.state, gone(pid)) == (1, "ready", True)
    assert asked.nothing_more()


def test_a_table_goes_to_a_worker_once_and_again_where_it_lost_it(
    make_link: MakeLink, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learnt() -> list[str]:
        log = workplace / "learnt"
        lines = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    a, b, c = (HotwordTable(name, (Hotword("张伟"),) * 3) for name in "abc")
    link = ready(make_link())

    def ask(*tables: HotwordTable) -> None:
        asked = Asked(link.submit)
        asked("one", Transcribe(0, silence(0.5), "auto", True, hotwords=tables))
        assert asked.answers() == {"one": Hypothesis(str(link.pid))}

    ask(a, b)
    assert learnt() == ["a", "3", "b", "3"]
    ask(a, b)
    ask()
    assert learnt() == []
    ask(c)  # and a has no room any more
    assert learnt() == ["c", "3"]
    ask(b, a)
    assert learnt() == ["a", "3", "b", "3"], "what is lacking comes again, also what that drove out"
    os.kill(link.pid or 0, signal.SIGKILL)
    until(lambda: link.restarts == 1 and link.ready.is_set())
    learnt()
    ask(b)
    assert learnt() == ["b", "3"], "a new process knows nothing"
    monkeypatch.setattr(link_module, "TABLES", 1)
    ask(a)
    assert len(link._sent) == 1


@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_job_that_kills_every_worker_is_given_up_and_those_around_it_are_not(link: Link, place: int) -> None:
    """Four go together. The first time it takes others with it; from then on they go alone."""
    asked, pid = Asked(link.submit), link.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    for n in range(6):
        asked("poison" if n == place else f"good {n}", transcribe("poison" if n == place else "auto"))
    os.kill(pid, signal.SIGCONT)
    answers = asked.answers(6)
    assert answers.pop("poison") == Lost("crashed")
    assert all(isinstance(answer, Hypothesis) for answer in answers.values()), answers
    assert ready(link).restarts == TRIES


def test_a_worker_that_hangs_is_ended_and_its_jobs_come_back(
    make_link: MakeLink, caplog: pytest.LogCaptureFixture
) -> None:
    link = ready(make_link(job_timeout_s=1.0))
    asked, pid = Asked(link.submit), link.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asked("transcribe", transcribe())
    asked("detect", detect())
    assert asked.answers() == {"detect": Forgotten()}
    assert asked.answers() == {"transcribe": Hypothesis(str(ready(link).pid))}
    assert (link.restarts, gone(pid)) == (1, True)
    assert "worker hangs" in [record.message for record in caplog.records]


@pytest.mark.parametrize("held", ["hold", "hold_loading"])
def test_a_worker_that_never_gets_ready_is_ended_and_started_again(
    make_link: MakeLink, workplace: Path, caplog: pytest.LogCaptureFixture, held: str
) -> None:
    (workplace / held).touch()
    link = make_link(start_limit_s=0.5)
    asked = Asked(link.submit)
    until(lambda: link.pid is not None)
    first = link.pid
    until(lambda: link.restarts > 0)
    assert gone(first)
    link._start_limit_s = START_S  # now it may take its time, on a busy machine too
    asked("transcribe", transcribe())
    (workplace / held).unlink()
    assert asked.answers(1, START_S) == {"transcribe": Hypothesis(str(ready(link).pid))}
    assert link.pid != first
    assert "worker hangs" in [record.message for record in caplog.records]


def test_jobs_are_refused_where_no_start_comes_to_an_end(make_link: MakeLink, workplace: Path) -> None:
    (workplace / "hold").touch()
    link = make_link(start_limit_s=0.1)
    asked = Asked(link.submit)
    asked("transcribe", transcribe())
    asked("detect", detect())
    assert asked.answers(2) == {"transcribe": Lost("unavailable"), "detect": Forgotten()}
    assert link.restarts >= HOPELESS - 1


def test_a_worker_that_hangs_on_its_way_to_the_cpu_is_ended(make_link: MakeLink, workplace: Path) -> None:
    (workplace / "room").write_text("0")
    link = ready(make_link(job_timeout_s=60.0, device="cuda"))
    (workplace / "hold_loading").touch()
    asked, pid = Asked(link.submit), link.pid
    asked("transcribe", transcribe())
    until(lambda: link.state == "starting")
    link._start_limit_s = 1.0
    until(lambda: link.state == "lost" or link.restarts > 0)
    link._start_limit_s = START_S
    (workplace / "hold_loading").unlink()
    assert asked.answers(1, START_S) == {"transcribe": Hypothesis(str(ready(link).pid))}
    assert gone(pid)


def test_an_engine_that_fails_loses_that_job_and_the_worker_lives(link: Link) -> None:
    asked, pid = Asked(link.submit), link.pid
    asked("failing", transcribe("raise"))
    asked("good", transcribe())
    assert asked.answers(2) == {"failing": Lost("engine_failed"), "good": Hypothesis(str(pid))}
    assert link.restarts == 0


def test_what_the_device_has_no_room_for_is_answered_in_smaller_batches(make_link: MakeLink, workplace: Path) -> None:
    (workplace / "room").write_text("1")
    link = ready(make_link(device="cuda"))
    asked, pid = Asked(link.submit), link.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that they come together
    for n in range(20):
        asked(str(n), detect(), stream=n)
    os.kill(pid, signal.SIGCONT)
    assert asked.answers(20, START_S) == {str(n): () for n in range(20)}
    assert (link.state, link.restarts, link.degraded) == ("ready", 0, None)
    assert link.models == {"played": {"device": "cuda:0"}}
    assert asked.nothing_more()


def test_a_full_device_moves_the_models_to_the_cpu_and_the_worker_goes_on(
    make_link: MakeLink, workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (workplace / "room").write_text("0")
    link = ready(make_link(job_timeout_s=1.0, device="cuda"))
    (workplace / "hold_loading").touch()
    asked, pid = Asked(link.submit), link.pid
    asked("first", transcribe())
    until(lambda: link.degraded is not None)
    assert (link.state, link.ready.is_set(), link.degraded) == ("starting", True, "cuda_out_of_memory")
    asked("meanwhile", transcribe())
    asked("detect", detect())
    time.sleep(1.5)  # loading may take longer than a job
    (workplace / "hold_loading").unlink()
    read = Hypothesis(str(pid))
    assert asked.answers(3, START_S) == {"first": read, "meanwhile": read, "detect": ()}
    assert (link.state, link.restarts, link.degraded) == ("ready", 0, "cuda_out_of_memory")
    assert link.models == {"played": {"device": "cpu"}}
    assert asked.nothing_more()
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["models move to the CPU", "models run on the CPU"]


def test_a_move_that_fails_ends_the_process_and_its_jobs_go_to_the_next(make_link: MakeLink, workplace: Path) -> None:
    (workplace / "room").write_text("0")
    link = ready(make_link(device="cuda"))
    (workplace / "cannot_load").touch()
    asked = Asked(link.submit)
    asked("transcribe", transcribe())
    until(lambda: link.restarts > 0)
    (workplace / "cannot_load").unlink()
    assert asked.answers(1, START_S) == {"transcribe": Hypothesis(str(ready(link).pid))}
    assert link.degraded == "cuda_out_of_memory"


def test_a_model_that_cannot_load_makes_jobs_unavailable_until_it_can(make_link: MakeLink, workplace: Path) -> None:
    (workplace / "cannot_load").touch()
    (workplace / "hold").touch()
    link = make_link()
    asked = Asked(link.submit)
    asked("transcribe", transcribe())
    asked("another", transcribe())
    asked("detect", detect())
    (workplace / "hold").unlink()
    lost = Lost("unavailable")
    assert asked.answers(3) == {"transcribe": lost, "another": lost, "detect": Forgotten()}
    assert link.restarts >= HOPELESS - 1
    assert not link.ready.is_set()
    asked("refused at once", transcribe())
    assert asked.answers() == {"refused at once": lost}
    (workplace / "cannot_load").unlink()
    ready(link)
    asked("good", transcribe())
    assert asked.answers() == {"good": Hypothesis(str(link.pid))}


def test_one_failed_start_costs_no_job(make_link: MakeLink, workplace: Path) -> None:
    (workplace / "cannot_load").touch()
    (workplace / "hold").touch()
    link = make_link()
    asked = Asked(link.submit)
    for n in range(3):
        asked(f"transcribe {n}", transcribe())
    asked("detect", detect())
    first = link.pid
    while first is None:
        first = link.pid
    os.kill(first, signal.SIGKILL)
    (workplace / "cannot_load").unlink()
    (workplace / "hold").unlink()
    answers = asked.answers(4)
    assert answers.pop("detect") == ()
    assert set(answers.values()) == {Hypothesis(str(ready(link).pid))}


@pytest.mark.parametrize(
    "hello",
    [b"", b"\0\0\0\1\xc1", b"GET / HTTP/1.1\r\n\r\n", "wrong token", "silent"],
    ids=["closes", "nonsense", "another protocol", "wrong token", "says nothing"],
)
def test_a_stranger_is_shown_the_door(
    make_link: MakeLink, workplace: Path, monkeypatch: pytest.MonkeyPatch, hello: bytes | str
) -> None:
    monkeypatch.setattr(link_module, "HELLO_S", 0.05)
    (workplace / "hold").touch()
    link = make_link()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(PATIENCE_S)
        stranger.connect(link._address)
        if hello == "wrong token":
            ipc.send(stranger, {"token": "0" * 32})
        elif isinstance(hello, bytes):
            stranger.sendall(hello)
            stranger.shutdown(socket.SHUT_WR)
        (workplace / "hold").unlink()
        assert ipc.receive(stranger) is None
    ready(link)
    assert stat.S_IMODE(os.stat(Path(link._address).parent).st_mode) == 0o700


def test_close_ends_the_process_and_refuses_jobs(link: Link) -> None:
    pid, asked = link.pid, Asked(link.submit)
    link.close()
    assert gone(pid)
    assert not Path(link._address).parent.exists()
    asked("late", transcribe())
    assert asked.answers() == {"late": Lost("unavailable")}


def test_the_pool_sends_each_kind_to_its_worker(workplace: Path) -> None:
    metrics = Metrics()
    pool = Pool({"folder": workplace}, "cpu", 60.0, START_S, "CRITICAL", metrics)
    try:
        assert pool.wait(PATIENCE_S)
        assert pool.ready
        asked = Asked(pool.submit)
        asked("detect", detect())
        asked("decode", decode())
        asked("transcribe", transcribe())
        pool.release(1)
        stream, segment = (Hypothesis(str(pool.links[role].pid)) for role in ("stream", "segment"))
        assert asked.answers(3) == {"detect": (), "decode": stream, "transcribe": segment}
        text = metrics.text().decode()
        for job in ("detect", "decode", "transcribe"):
            assert f'xingji_batch_jobs_count{{job="{job}"}} 1.0' in text
        assert "xingji_stream_worker_ready 1.0" in text and "xingji_segment_worker_restarts 0.0" in text
        assert "xingji_stream_worker_process_resident_memory_bytes" in text or sys.platform != "linux"
    finally:
        pool.close()
    assert all(gone(link.pid) for link in pool.links.values())


@pytest.fixture
def wide(workplace: Path) -> Iterator[Pool]:
    """A pool with two workers of each role."""
    workers = {"stream": 2, "segment": 2}
    pool = Pool({"folder": workplace}, "cpu", 60.0, START_S, "CRITICAL", Metrics(), workers=workers)
    try:
        assert pool.wait(PATIENCE_S)
        yield pool
    finally:
        pool.close()


def seat(pool: Pool, stream: int) -> str:
    """The process that answers a stream."""
    asked = Asked(pool.submit)
    asked("where", decode(), stream=stream)
    (answer,) = asked.answers().values()
    assert isinstance(answer, Hypothesis)
    return answer.text


def test_streams_are_shared_out_and_stay_where_they_are(wide: Pool) -> None:
    assert list(wide.links) == ["stream", "stream_2", "segment", "segment_2"]
    seats = {stream: seat(wide, stream) for stream in range(4)}
    first, second = (str(wide.links[name].pid) for name in ("stream", "stream_2"))
    assert sorted(seats.values()) == sorted([first, second] * 2)
    for stream in (0, 1, 2, 3):
        assert seat(wide, stream) == seats[stream]
    left = [stream for stream in seats if seats[stream] == first]
    for stream in left:
        wide.release(stream)
    assert {seat(wide, 10), seat(wide, 11)} == {first}, "the places that became free are taken"


def test_a_worker_that_dies_takes_only_its_own_streams(wide: Pool, workplace: Path) -> None:
    seats = {stream: seat(wide, stream) for stream in (0, 1)}
    (workplace / "hold_jobs").touch()
    asked = Asked(wide.submit)
    for stream in (0, 1):
        asked(str(stream), decode(), stream=stream)
    os.kill(int(seats[0]), signal.SIGKILL)
    assert asked.answers(1) == {"0": Forgotten()}
    (workplace / "hold_jobs").unlink()
    assert asked.answers(1) == {"1": Hypothesis(seats[1])}


def test_streams_of_a_worker_that_is_away_move_to_another(wide: Pool, workplace: Path) -> None:
    seats = {stream: seat(wide, stream) for stream in (0, 1)}
    (workplace / "hold").touch()
    os.kill(int(seats[0]), signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while all(link.ready.is_set() for link in wide.links.values()):
        assert time.monotonic() < deadline
    assert {seat(wide, 0), seat(wide, 1), seat(wide, 2)} == {seats[1]}
    (workplace / "hold").unlink()


def test_segments_go_to_whoever_owes_least(wide: Pool, workplace: Path) -> None:
    (workplace / "hold_jobs").touch()
    asked = Asked(wide.submit)
    for name in "abcd":
        asked(name, transcribe())
    assert [link.waiting for name, link in wide.links.items() if link.role == "segment"] == [2, 2]
    (workplace / "hold_jobs").unlink()
    assert len({answer for answer in map(str, asked.answers(4).values())}) == 2


def test_while_one_worker_is_away_the_other_takes_its_new_work(wide: Pool, workplace: Path) -> None:
    (workplace / "hold").touch()
    os.kill(wide.links["segment"].pid or 0, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while wide.links["segment"].ready.is_set():
        assert time.monotonic() < deadline
    assert wide.ready
    asked = Asked(wide.submit)
    asked("a", transcribe())
    asked("b", transcribe())
    there = Hypothesis(str(wide.links["segment_2"].pid))
    assert asked.answers(2) == {"a": there, "b": there}
    (workplace / "hold").unlink()


@pytest.mark.parametrize("role", ["stream", "segment"])
def test_the_pool_is_behind_while_a_job_waits_long_for_its_turn(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    now, limit = 1000.0, BEHIND_S[role]
    clock = SimpleNamespace(monotonic=lambda: now, sleep=time.sleep)
    monkeypatch.setattr(link_module, "time", clock)
    monkeypatch.setattr(pool_module, "time", SimpleNamespace(monotonic=time.monotonic))
    pool = Pool({"folder": workplace}, "cpu", 60.0, START_S, "CRITICAL", Metrics())
    held = workplace / "hold_jobs"
    try:
        assert pool.wait(PATIENCE_S)
        link, asked = pool.links[role], Asked(pool.submit)
        held.touch()
        job = decode if role == "stream" else transcribe
        asked("at work", job())
        deadline = time.monotonic() + PATIENCE_S
        while not link._running:
            assert time.monotonic() < deadline
        now += 2 * limit
        assert (link.waited_s(2), pool.behind(2)) == (0.0, False), "a long job is no queue"
        pool.submit(9, job(), lambda result: None, patience=1)
        now += 2 * limit
        assert pool.behind(2) and not pool.behind(0), "files wait for people, not people for files"
        asked("waiting", job(), stream=2)
        now += 0.9 * limit
        assert link.waited_s(0) > 0.0 and not pool.behind(0)
        now += 0.2 * limit
        asked("waiting too", job(), stream=3)
        assert link.waited_s(0) > limit and pool.behind(0)
        held.unlink()
        asked.answers(3)
        deadline = time.monotonic() + PATIENCE_S
        while link.waiting:
            assert time.monotonic() < deadline
        assert (link.waited_s(2), pool.behind(2)) == (0.0, False)
    finally:
        pool.close()


# -- the model pack --------------------------------------------------------------------------

PROFILE = Profile(correct=False)
PARTS = ("vad", "paraformer", "punc", "sensevoice")


@pytest.fixture(scope="module")
def pool(models: Path) -> Iterator[Pool]:
    pool = Pool({part: models / part for part in PARTS}, "cpu", 60.0, START_S, "WARNING", Metrics())
    assert pool.wait(START_S)
    yield pool
    pool.close()


def record(pool: Pool, stream: int, sound: Samples, half_way: Callable[[], None]) -> tuple[Completed, Listener]:
    listener = Listener()
    driver = Driver(stream, Session(PROFILE, Unpronounceable()), pool, Source(), listener)
    in_thread(driver.run)
    middle = len(sound) // 2
    for at in range(0, len(sound), 1600):
        if at <= middle < at + 1600:
            listener.wait_for(SentenceRevised)
            half_way()
        driver.feed(sound[at : at + 1600])
    driver.stop("client")
    assert driver.finished.wait(START_S)
    over = listener.told[-1]
    assert isinstance(over, Completed)
    return over, listener


@pytest.mark.models
def test_the_models_are_described(pool: Pool) -> None:
    described = pool.links["stream"].models | pool.links["segment"].models
    assert set(described) == {"vad", "paraformer", "punc", "sensevoice"}
    assert all(facts["parameters"] > 0 and facts["size"] > 0 for facts in described.values())


@pytest.mark.models
def test_silence_is_no_speech(pool: Pool) -> None:
    asked = Asked(pool.submit)
    asked("detect", Detect(silence(2.0), 0, True, True, 12_800, HOP), stream=100)
    asked("transcribe", transcribe(), stream=100)
    asked("forgotten", decode(CHUNK), stream=100)
    answers = asked.answers(3, START_S)
    assert answers["detect"] == ()
    assert answers["transcribe"] == NoSpeech()
    assert answers["forgotten"] == Forgotten()


@pytest.mark.models
def test_a_language_the_model_does_not_know_is_lost_and_the_worker_lives(pool: Pool) -> None:
    asked, before = Asked(pool.submit), pool.links["segment"].restarts
    asked("lost", transcribe("tlh"))
    asked("good", transcribe())
    assert asked.answers(2, START_S) == {"lost": Lost("engine_failed"), "good": NoSpeech()}
    assert pool.links["segment"].restarts == before


def settled(over: Completed) -> list[object]:
    """What may not depend on timing."""
    texts = [(r.readings[Stage.STREAMED], r.readings[Stage.SECOND_PASS], r.lost) for r in over.readings]
    return [over.length, over.non_speech, texts, [(s.text, s.start, s.end, s.stage) for s in over.sentences]]


@pytest.fixture(scope="module")
def undisturbed(pool: Pool) -> tuple[Samples, list[object]]:
    """Two utterances, and what they become when nobody dies."""
    sound = np.concatenate([np.frombuffer(item.pcm, np.int16) for item in utterances()[:2]])
    over, _ = record(pool, 200, sound, lambda: None)
    assert "".join(s.text for s in over.sentences)
    return sound, settled(over)


@pytest.mark.models
@pytest.mark.parametrize("victims", [("stream",), ("segment",), ("stream", "segment")], ids=repr)
def test_killing_workers_changes_no_result(
    pool: Pool, undisturbed: tuple[Samples, list[object]], victims: tuple[str, ...]
) -> None:
    sound, expected = undisturbed

    def kill() -> None:
        for role in victims:
            pid = pool.links[role].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

    before = {role: link.restarts for role, link in pool.links.items()}
    disturbed, listener = record(pool, 201, sound, kill)
    assert settled(disturbed) == expected
    assert {role for role, link in pool.links.items() if link.restarts > before[role]} == set(victims)
    never_falls(listener)


@pytest.mark.models
@pytest.mark.parametrize(("room", "reason"), [(1, None), (0, "cuda_out_of_memory")], ids=["halves", "cpu"])
def test_a_device_that_becomes_full_changes_no_result(
    models: Path,
    undisturbed: tuple[Samples, list[object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    room: int,
    reason: str | None,
) -> None:
    sound, expected = undisturbed
    start_instead("cramped_worker.py", tmp_path, monkeypatch)
    monkeypatch.setenv("XINGJI_TEST_ROOM", str(room))
    pool = Pool({part: models / part for part in PARTS}, "cuda", 60.0, START_S, "WARNING", Metrics())
    try:
        assert pool.wait(START_S)
        ended: Queue[tuple[Completed, Listener]] = Queue()
        for stream in (300, 301):
            in_thread(lambda stream=stream: ended.put(record(pool, stream, sound, lambda: None)))  # type: ignore[misc]
        for _ in range(2):
            over, listener = ended.get(timeout=START_S)
            assert settled(over) == expected
            never_falls(listener)
        for link in pool.links.values():
            assert (link.state, link.restarts, link.degraded) == ("ready", 0, reason)
    finally:
        pool.close()
    assert ("batch does not fit" in capfd.readouterr().err) or room == 0


def never_falls(listener: Listener) -> None:
    partials = [told.sentence for told in listener.told if isinstance(told, SentenceRevised)]
    for id in {sentence.id for sentence in partials}:
        stages = [sentence.stage for sentence in partials if sentence.id == id]
        assert stages == sorted(stages)
