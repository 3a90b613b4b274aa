"""Jobs: what was accepted survives, each ends once, and the folder is safe from others, from trouble and from time."""

import errno
import io
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests.runtime.fakes import PATIENCE_S
from xingji.audio import Halt, Halted
from xingji.core.errors import XingjiError
from xingji.core.messages import Completed, SentenceReadings
from xingji.core.types import SAMPLE_RATE, Hotword, Sentence, Span, Stage, Word
from xingji.runtime import job_audio, job_runner
from xingji.runtime.job_runner import Jobs
from xingji.runtime.job_sqlite import FILE, SqliteStore
from xingji.runtime.jobs import ATTEMPTS, Job, Options, State
from xingji.runtime.metrics import Metrics
from xingji.wire import Wishes

OPTIONS = Options(Wishes(stream=False, hotwords=(Hotword("林滔", aliases=("林涛",)),)), form="srt")
LARGE = 1 << 30


def sentence(text: str = "你好。", *lost: tuple[Stage, str]) -> Completed:
    said = Sentence(0, 0, 8000, Stage.SECOND_PASS, 1, text, words=(Word("你", Span(0, 4000), 0.5),))
    return Completed((said,), (SentenceReadings({Stage.SECOND_PASS: text}, lost=lost),), (), SAMPLE_RATE)


DONE = sentence()
Stores = Callable[..., SqliteStore]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Stores of one folder, opened; the one before is closed first."""
    made: list[SqliteStore] = []

    def make(keep_h: float = 1.0, max_bytes: int = LARGE, **more: Any) -> SqliteStore:
        if made:
            made[-1].close()
        made.append(SqliteStore(tmp_path, keep_h, max_bytes, **more))
        assert made[-1].open() is None
        return made[-1]

    yield make
    for store in made:
        store.close()


def audio(data: bytes = b"sound") -> io.BytesIO:
    return io.BytesIO(data)


def add(store: SqliteStore, data: bytes = b"sound", name: str = "会议.wav") -> str:
    return store.add(OPTIONS, name, audio(data)).id


def code(work: Callable[[], object]) -> str:
    with pytest.raises(XingjiError) as caught:
        work()
    return caught.value.code


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "audio").iterdir()}


# -- the store --------------------------------------------------------------------------


def test_a_job_and_all_that_was_asked_for_survive_the_process(stores: Stores) -> None:
    job = stores().add(OPTIONS, "会议.wav", audio())
    assert (job.state, job.position, job.size, job.options) == (State.QUEUED, 1, 5, OPTIONS)
    store = stores()
    assert store.find(job.id) == job
    assert store.audio(job.id).read_bytes() == b"sound"
    assert job.id.startswith("job_") and len(job.id) == 36


def test_jobs_are_taken_in_order_and_counted_as_they_wait(stores: Stores) -> None:
    store = stores()
    ids = [add(store) for _ in range(3)]
    assert [store.find(id).position for id in ids] == [1, 2, 3]
    taken = [store.claim(State.RUNNING) for _ in range(2)]
    assert [job.id for job in taken if job] == ids[:2]
    assert [store.find(id).position for id in ids] == [None, None, 1]
    store.put_back(ids[1], counted=True)
    assert [store.find(id).position for id in ids] == [None, 1, 2], "at its old place"
    assert store.counts() == {State.RUNNING: 1, State.QUEUED: 2}


def test_pages_are_the_newest_first(stores: Stores) -> None:
    store = stores()
    ids = [add(store) for _ in range(5)]
    store.cancel(ids[2])
    first = store.page(None, None, 3)
    assert [job.id for job in first] == ids[:1:-1]
    assert [job.id for job in store.page(None, first[-1].number, 3)] == [ids[1], ids[0]]
    assert [job.id for job in store.page(State.CANCELLED, None, 3)] == [ids[2]]


def test_a_result_comes_back_as_it_was(stores: Stores) -> None:
    store = stores()
    id = add(store)
    assert code(lambda: store.result(id)) == "not_found"
    store.claim(State.RUNNING)
    store.finish(id, DONE)
    store = stores()
    assert store.result(id) == DONE
    job = store.find(id)
    assert (job.state, job.length) == (State.DONE, SAMPLE_RATE)
    assert job.started is not None and job.ended is not None and job.created <= job.started <= job.ended


def test_a_job_ends_once(stores: Stores) -> None:
    store = stores()
    id = add(store)
    store.claim(State.RUNNING)
    store.cancel(id)
    store.finish(id, DONE)
    store.fail(id, "internal")
    store.put_back(id, counted=True)
    assert (store.find(id).state, store.find(id).error) == (State.CANCELLED, None)
    assert code(lambda: store.cancel(id)) == "job_ended"
    assert code(lambda: store.cancel("job_x")) == code(lambda: store.delete("job_x")) == "not_found"


def test_what_was_under_way_when_the_process_died_waits_again_but_not_for_ever(stores: Stores) -> None:
    store = stores()
    id = add(store)
    for attempt in range(1, ATTEMPTS + 1):
        job = store.claim(State.RUNNING)
        assert job and (job.id, job.attempts) == (id, attempt)
        store = stores()
    job = store.find(id)
    assert (job.state, job.error) == (State.FAILED, "interrupted")
    assert code(lambda: store.audio(id)) == "audio_lost"


def test_an_attempt_that_was_none_does_not_count(stores: Stores) -> None:
    store = stores()
    id = add(store)
    for _ in range(2 * ATTEMPTS):
        store.claim(State.RUNNING)
        store.put_back(id, counted=False)
    assert store.find(id).attempts == 0


@pytest.mark.parametrize("keep_audio", [False, True])
def test_audio_goes_when_its_job_has_ended_unless_it_is_kept(stores: Stores, tmp_path: Path, keep_audio: bool) -> None:
    store = stores(keep_audio=keep_audio)
    ids = [add(store) for _ in range(4)]
    for _ in range(3):
        store.claim(State.RUNNING)
    store.finish(ids[0], DONE)
    store.fail(ids[1], "decode_failed")
    store.cancel(ids[2])
    assert files(tmp_path) == (set(ids) if keep_audio else {ids[3]})
    store = stores(keep_audio=keep_audio)
    assert files(tmp_path) == (set(ids) if keep_audio else {ids[3]})
    for id in ids:
        store.delete(id)
    assert files(tmp_path) == set()


def test_audio_of_what_was_never_accepted_is_not_left(stores: Stores, tmp_path: Path) -> None:
    store = stores()
    assert code(lambda: add(store, b"")) == "empty_file"
    (tmp_path / "audio" / "job_half").write_bytes(b"half of")
    id = add(store)
    stores()
    assert files(tmp_path) == {id}


def test_ended_jobs_go_after_their_time_and_their_texts_are_gone_from_the_disk(stores: Stores, tmp_path: Path) -> None:
    name = "密码是什么.wav"
    store = stores(keep_h=1e-9)
    ended, waiting = add(store, name=name), add(store)
    store.claim(State.RUNNING)
    store.finish(ended, DONE)
    time.sleep(0.01)
    store.sweep()
    assert code(lambda: store.find(ended)) == "not_found"
    assert store.find(waiting).state is State.QUEUED
    store.close()
    assert not any(name.encode() in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_the_oldest_ended_jobs_make_room_and_nothing_else_does(stores: Stores, tmp_path: Path) -> None:
    store = stores(max_bytes=3000, keep_audio=True)
    ids = [add(store, bytes(1000)) for _ in range(3)]
    assert store.room() == 0
    assert code(lambda: add(store, bytes(1000))) == "storage_full"
    assert files(tmp_path) == set(ids), "nothing of it is left"
    for id in ids[:2]:
        store.claim(State.RUNNING)
        store.fail(id, "decode_failed")
    assert store.room() == 2000
    assert code(lambda: add(store, bytes(2001))) == "storage_full"
    assert files(tmp_path) == set(ids), "nobody goes for what does not fit anyhow"
    later = add(store, bytes(1000))
    assert files(tmp_path) == {ids[1], ids[2], later}
    assert code(lambda: store.find(ids[0])) == "not_found"


class Full:
    """A source that meets a full disk half way."""

    def __init__(self, number: int) -> None:
        self._number = number

    def read(self, size: int = -1) -> bytes:
        raise OSError(self._number, "")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, "storage_full"), (errno.EDQUOT, "storage_full"), (errno.EIO, "jobs_unavailable")],
)
def test_a_disk_that_takes_no_audio(stores: Stores, tmp_path: Path, number: int, expected: str) -> None:
    store = stores()
    source: Any = Full(number)
    assert code(lambda: store.add(OPTIONS, "a", source)) == expected
    assert files(tmp_path) == set() and store.counts() == {}


def test_a_disk_that_takes_no_row(stores: Stores, tmp_path: Path) -> None:
    store = stores()
    assert store._database._db is not None
    (pages,) = store._database._db.execute("PRAGMA page_count").fetchone()
    store._database._db.execute(f"PRAGMA max_page_count = {pages}")
    assert code(lambda: store.add(OPTIONS, "名" * 50_000, audio())) == "storage_full"
    assert files(tmp_path) == set() and store.counts() == {}
    store._database._db.execute("PRAGMA max_page_count = 1000000")
    add(store)


def test_the_audio_is_on_the_disk_before_the_job_is_accepted(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, synced, fsync = stores(), [], os.fsync

    def noted(number: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{number}"))
        fsync(number)

    monkeypatch.setattr(job_audio.os, "fsync", noted)
    id = add(store)
    assert synced == [str(tmp_path / "audio" / id), str(tmp_path / "audio")]


def test_a_closed_store_says_so(stores: Stores, tmp_path: Path) -> None:
    store = stores()
    store.close()
    for work in (lambda: add(store), store.counts, lambda: store.find("job_x"), lambda: store.claim(State.RUNNING)):
        assert code(work) == "jobs_unavailable"
    assert files(tmp_path) == set()


# -- files that are not ours ----------------------------------------------------------------


def test_two_servers_never_work_on_one_folder(stores: Stores, tmp_path: Path) -> None:
    """The other one is another process; when it is killed the folder is free."""
    hold = (
        "import sys, pathlib, xingji.runtime.job_sqlite as j; s = j.SqliteStore(pathlib.Path(sys.argv[1]), 1, 1 << 30);"
        "print(s.open(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "None\n"
        mine = SqliteStore(tmp_path, 1, LARGE)
        assert mine.open() == "in_use"
        assert code(mine.counts) == "jobs_unavailable"
        other.kill()
    assert stores().counts() == {}


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE accounts (name)")
    db.close()


def newer(path: Path) -> None:
    store = SqliteStore(path.parent, 1, LARGE)
    store.open()
    store.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()


def corrupt(path: Path) -> None:
    store = SqliteStore(path.parent, 1, LARGE)
    store.open()
    for _ in range(20):
        add(store)
    store.close()
    data = bytearray(path.read_bytes())
    data[4096 : len(data)] = os.urandom(len(data) - 4096)
    path.write_bytes(data)


def is_text(path: Path) -> None:
    path.write_text("not a database at all\n" * 400)


def is_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (foreign, "foreign"),
        (newer, "newer"),
        (corrupt, "corrupt"),
        (is_text, "corrupt"),
        (is_folder, "unwritable"),
    ],
)
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, spoil: Callable[[Path], None], problem: str) -> None:
    path = tmp_path / FILE
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    store = SqliteStore(tmp_path, 1, LARGE)
    assert store.open() == problem
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert code(store.counts) == "jobs_unavailable"


# -- at work --------------------------------------------------------------------------------

Outcome = Completed | Exception | Callable[[Halt], Completed]


@dataclass
class World:
    """Recognition and fetching that do as the test says, one outcome after another; the last one for ever."""

    store: SqliteStore
    outcomes: list[Outcome] = field(default_factory=lambda: [DONE])
    fetched: list[bytes | Exception] = field(default_factory=lambda: [b"sound"])
    room: bool = True
    metrics: Metrics = field(default_factory=Metrics)
    told: "Queue[Job]" = field(default_factory=Queue)
    begun: "Queue[tuple[Path, Wishes]]" = field(default_factory=Queue)

    def jobs(self, urls: bool = True) -> Jobs:
        fetch: Any = self if urls else None
        self.metrics = Metrics()
        jobs = Jobs(self.store, self.recognise, fetch, lambda: self.room, self.metrics)
        jobs.start()
        wait(lambda: jobs.problem is None)
        return jobs

    def recognise(self, path: Path, wishes: Wishes, *, progress: Callable[[int], None], halt: Halt) -> Completed:
        self.begun.put((path, wishes))
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        progress(50)
        return outcome(halt) if callable(outcome) else outcome

    def check(self, url: str) -> None:
        if "bad" in url:
            raise XingjiError("url_refused")

    def __call__(self, url: str, path: Path, room: int, halt: Halt) -> None:
        outcome = self.fetched.pop(0) if len(self.fetched) > 1 else self.fetched[0]
        if isinstance(outcome, Exception):
            raise outcome
        path.write_bytes(outcome)

    def ended(self) -> Job:
        """The next job that ends."""
        while True:
            job = self.told.get(timeout=PATIENCE_S)
            if job.ended is not None:
                return job


def until_halted(halt: Halt) -> Completed:
    halted = threading.Event()
    halt.on(halted.set)
    assert halted.wait(PATIENCE_S)
    raise Halted


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("LOOK_S", "AGAIN_S"):
        monkeypatch.setattr(job_runner, name, 0.01)
    monkeypatch.setattr(job_runner, "SWEEP_S", 0.05)
    return World(SqliteStore(tmp_path, 1.0, LARGE))


@pytest.fixture
def jobs(world: World) -> Iterator[Jobs]:
    jobs = world.jobs()
    yield jobs
    jobs.close()


def submit(world: World, jobs: Jobs) -> Job:
    return jobs.add(OPTIONS, "a.wav", audio(), watcher=world.told.put)


def test_a_job_is_recognised_in_the_background_and_whoever_watches_hears_of_it(world: World, jobs: Jobs) -> None:
    id = submit(world, jobs).id
    heard = []
    while not heard or heard[-1].ended is None:
        heard.append(world.told.get(timeout=PATIENCE_S))
    states = [job.state for job in heard]
    assert set(states) == {State.QUEUED, State.RUNNING, State.DONE} or set(states) == {State.RUNNING, State.DONE}
    assert [job.progress for job in heard if job.state is State.RUNNING][-1] == 50 and heard[-1].progress == 100
    path, wishes = world.begun.get_nowait()
    assert path.name == id and wishes.background and wishes.hotwords == OPTIONS.wishes.hotwords
    job, result = jobs.result(id)
    assert result == DONE and job == jobs.find(id) == heard[-1]
    assert b'xingji_file_jobs_total{state="done"} 1.0' in world.metrics.text()


def test_without_room_a_job_waits_and_a_refusal_is_no_attempt(world: World, jobs: Jobs) -> None:
    world.room = False
    busy = XingjiError("busy")
    world.outcomes = [busy, XingjiError("not_ready"), busy, busy, busy, DONE]
    job = submit(world, jobs)
    time.sleep(0.05)
    assert world.begun.empty() and jobs.find(job.id).state is State.QUEUED
    assert b"xingji_file_jobs_queued 1.0" in world.metrics.text()
    world.room = True
    ended = world.ended()
    assert (ended.state, ended.attempts) == (State.DONE, 1)


LOST = (Stage.SECOND_PASS, "crashed")


@pytest.mark.parametrize(
    ("outcomes", "state", "error", "attempts"),
    [
        ([XingjiError("internal"), RuntimeError("x"), DONE], State.DONE, None, 3),
        ([sentence("", LOST), sentence("", LOST), DONE], State.DONE, None, 3),
        ([sentence("", LOST)], State.FAILED, "backend_failed", ATTEMPTS),
        ([sentence("流式。", LOST)], State.DONE, None, ATTEMPTS),
        ([sentence("你好。", (Stage.SECOND_PASS, "empty"))], State.DONE, None, 1),
        ([RuntimeError("x")], State.FAILED, "internal", ATTEMPTS),
        ([XingjiError("decode_failed")], State.FAILED, "decode_failed", 1),
        ([XingjiError("unknown_model")], State.FAILED, "unknown_model", 1),
    ],
)
def test_what_is_ours_is_tried_again_and_what_is_not_is_told(
    world: World, jobs: Jobs, outcomes: list[Outcome], state: State, error: str | None, attempts: int
) -> None:
    world.outcomes = outcomes
    submit(world, jobs)
    job = world.ended()
    assert (job.state, job.error, job.attempts) == (state, error, attempts)
    if state is State.FAILED:
        assert code(lambda: jobs.result(job.id)) == "job_not_done"


def test_a_running_job_is_halted_when_it_is_cancelled(world: World, jobs: Jobs) -> None:
    world.outcomes = [until_halted, DONE]
    first, second = submit(world, jobs), submit(world, jobs)
    world.begun.get(timeout=PATIENCE_S)
    assert code(lambda: jobs.result(first.id)) == "job_not_done"
    assert jobs.cancel(first.id).state is State.CANCELLED
    assert world.ended().id == first.id
    assert world.ended().id == second.id
    assert jobs.find(first.id).state is State.CANCELLED
    assert code(lambda: jobs.cancel(first.id)) == "job_ended"


def test_a_queued_job_that_is_cancelled_never_begins(world: World, jobs: Jobs) -> None:
    world.room = False
    job = submit(world, jobs)
    jobs.cancel(job.id)
    world.room = True
    assert world.ended().state is State.CANCELLED
    submit(world, jobs)
    assert world.ended().state is State.DONE
    assert world.begun.qsize() == 1


@pytest.mark.parametrize("running", [False, True])
def test_deleting_takes_all_of_a_job_away(world: World, jobs: Jobs, running: bool, tmp_path: Path) -> None:
    world.room, world.outcomes = running, [until_halted, DONE]
    job = submit(world, jobs)
    if running:
        world.begun.get(timeout=PATIENCE_S)
    jobs.delete(job.id)
    assert code(lambda: jobs.find(job.id)) == "not_found"
    assert files(tmp_path) == set()
    assert world.ended().state is State.CANCELLED


def test_an_orderly_end_puts_work_back_and_the_next_start_does_it(world: World, tmp_path: Path) -> None:
    world.outcomes = [until_halted, DONE]
    jobs = world.jobs()
    job = submit(world, jobs)
    world.begun.get(timeout=PATIENCE_S)
    jobs.close()
    again = world.jobs()
    try:
        wait(lambda: again.find(job.id).state is State.DONE)
        assert again.find(job.id).attempts == 1
    finally:
        again.close()


def test_a_result_waits_for_a_disk_that_is_full(
    world: World, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finish, refusals = world.store.finish, [XingjiError("storage_full")] * 3

    def reluctant(id: str, result: Completed) -> None:
        if refusals:
            raise refusals.pop()
        finish(id, result)

    monkeypatch.setattr(world.store, "finish", reluctant)
    submit(world, jobs)
    assert world.ended().state is State.DONE
    assert world.begun.qsize() == 1, "it was not recognised again"


def test_a_folder_that_cannot_be_used_is_tried_again(world: World, tmp_path: Path) -> None:
    path = tmp_path / FILE
    is_text(path)
    jobs = Jobs(world.store, world.recognise, None, lambda: True, world.metrics)
    jobs.start()
    try:
        wait(lambda: jobs.problem == "corrupt")
        assert code(lambda: submit(world, jobs)) == "jobs_unavailable"
        assert b"xingji_file_jobs_queued 0.0" in world.metrics.text()
        path.unlink()
        wait(lambda: jobs.problem is None)
        submit(world, jobs)
        assert world.ended().state is State.DONE
    finally:
        jobs.close()


def test_what_has_ended_is_swept(tmp_path: Path, world: World) -> None:
    world.store = SqliteStore(tmp_path, 1e-9, LARGE)
    jobs = world.jobs()
    try:
        id = submit(world, jobs).id
        world.ended()

        def gone() -> bool:
            return not jobs.page(None, None, 10)

        wait(gone)
        assert code(lambda: jobs.find(id)) == "not_found"
    finally:
        jobs.close()


# -- addresses ------------------------------------------------------------------------------


def test_audio_is_fetched_and_then_recognised(world: World, jobs: Jobs) -> None:
    world.fetched = [RuntimeError("x"), XingjiError("internal"), b"sound!"]
    job = jobs.add(OPTIONS, "", None, "https://example.org/a.wav?secret", world.told.put)
    assert (job.state, job.size) == (State.QUEUED, 0)
    ended = world.ended()
    assert (ended.state, ended.size, ended.attempts, ended.url) == (State.DONE, 6, 1, "")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (XingjiError("fetch_failed"), "fetch_failed"),
        (XingjiError("too_large"), "too_large"),
        (XingjiError("url_refused"), "url_refused"),
        (b"", "empty_file"),
    ],
    ids=repr,
)
def test_what_cannot_be_fetched_fails(world: World, jobs: Jobs, outcome: Any, expected: str) -> None:
    world.fetched = [outcome]
    jobs.add(OPTIONS, "", None, "https://example.org/", world.told.put)
    job = world.ended()
    assert (job.state, job.error, job.url) == (State.FAILED, expected, "")
    assert world.begun.empty()


def test_addresses_are_refused_where_they_are_not_wanted(world: World, jobs: Jobs) -> None:
    assert code(lambda: jobs.add(OPTIONS, "", None, "https://bad.example.org/")) == "url_refused"
    jobs.close()
    closed = world.jobs(urls=False)
    try:
        assert code(lambda: closed.add(OPTIONS, "", None, "https://example.org/")) == "not_supported"
        assert closed.page(None, None, 10) == []
    finally:
        closed.close()
