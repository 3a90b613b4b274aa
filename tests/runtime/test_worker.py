"""The worker's loop over a real socket, with models that the test plays."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from queue import Queue
from typing import Any

import numpy as np
import pytest
import torch

from tests.runtime.fakes import PATIENCE_S, in_thread, speech
from xingji.core.messages import Decode, Detect, Edge, Forgotten, Job, Lost, Result, Transcribe
from xingji.core.types import Hotword, HotwordTable, Hypothesis, Word
from xingji.engines import Revision
from xingji.runtime import ipc
from xingji.runtime.batch import Limit, Request
from xingji.runtime.roles import StreamRole
from xingji.runtime.worker import Worker, connect

HOP, CHUNK = 3200, 9600


CUDA_FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 36.00 MiB.")
MPS_FULL = RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GiB, max allowed: 18.1 GiB).")


class PlayedRole:
    """Answers a batch when the test lets it; one about stream 13 fails, one larger than ``room`` is ``too_much``."""

    room = 8
    too_much: Exception = CUDA_FULL

    def __init__(self) -> None:
        self.limits: dict[type[Any], Limit] = {Detect: Limit(8)}
        self.device = "cpu"
        self.batches: Queue[list[int]] = Queue()
        self.goes_on = threading.Semaphore(0)
        self.costs = {"detect": 0.01}
        self.acts: list[tuple[str, list[int]]] = []
        self.known: set[str] = set()

    def load_on(self, device: str) -> None:
        self.device, self.room = device, 8
        self.acts.append((device, []))

    def warm_up(self) -> None:
        self.acts.append(("warm up", []))

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        streams = [request.stream for request in batch]
        self.batches.put(streams)
        assert self.goes_on.acquire(timeout=PATIENCE_S)
        self.acts.append(("answer", streams))
        if 13 in streams:
            raise ZeroDivisionError
        if len(batch) > self.room:
            raise self.too_much
        return [() for _ in batch]

    def release(self, stream: int) -> None:
        self.acts.append(("release", [stream]))

    def learn(self, table: HotwordTable) -> None:
        if "spoilt" in [word.text for word in table.words]:
            raise ZeroDivisionError
        self.known.add(table.digest)

    def lacks(self, job: Job) -> list[str]:
        named = job.hotwords if isinstance(job, Transcribe) else ()
        return [table.digest for table in named if table.digest not in self.known]

    def describe(self) -> dict[str, Any]:
        return {"played": {"device": self.device}}


def detect(offset: int = 0, samples: Any = None, first: bool = True, flush: bool = False) -> Detect:
    return Detect(speech(0.2) if samples is None else samples, offset, first, flush, 12_800, HOP)


class Gateway:
    """The other end of the socket."""

    def __init__(self, role: Any) -> None:
        self.connection, end = socket.socketpair()
        self.connection.settimeout(PATIENCE_S)
        self.end = end
        self.loop = Worker(end, role)
        self.worker = in_thread(self.loop.run)
        self.begun: list[list[int]] = []
        self._ids = 0

    def ask(self, stream: int, job: Job) -> None:
        self._ids += 1
        how = {"patience": 0, "alone": False}
        ipc.send(self.connection, {"id": self._ids, "stream": stream, "job": ipc.pack(job), **how})

    def release(self, stream: int) -> None:
        ipc.send(self.connection, {"release": stream})

    def pile_up(self, role: PlayedRole, *streams: int) -> None:
        """Jobs for ``streams`` that lie waiting together, behind one of stream 0."""
        self.ask(0, detect())
        assert role.batches.get(timeout=PATIENCE_S) == [0]
        for stream in streams:
            self.ask(stream, detect())
        deadline = time.monotonic() + PATIENCE_S
        while len(self.loop._waiting) < len(streams):
            assert time.monotonic() < deadline

    def said(self) -> dict[str, Any]:
        """The next message; those that only say what is begun are kept in ``begun``."""
        while (message := ipc.receive(self.connection)) is not None and "begun" in message:
            self.begun.append(message["begun"])
        assert message is not None
        return message

    def answer(self) -> tuple[int, Result]:
        message = self.said()
        assert message["seconds"] >= 0.0
        return message["id"], ipc.unpack(message["result"])

    def close(self) -> None:
        self.connection.close()
        self.worker.join(PATIENCE_S)
        assert not self.worker.is_alive(), "the socket's end is the worker's end"
        self.end.close()


@pytest.fixture
def role() -> PlayedRole:
    return PlayedRole()


@pytest.fixture
def gateway(role: PlayedRole) -> Iterator[Gateway]:
    gateway = Gateway(role)
    yield gateway
    role.goes_on.release(1000)
    gateway.close()


@pytest.mark.parametrize("word", ["张伟", "spoilt"])
def test_a_job_waits_for_the_tables_that_it_names(gateway: Gateway, role: PlayedRole, word: str) -> None:
    """Without them it is given back; a table that cannot be learnt is as good as an empty one."""
    role.goes_on.release(2)
    table = HotwordTable("one", (Hotword(word),))
    job = Transcribe(0, speech(0.2), "auto", True, hotwords=(table, HotwordTable("two")))
    gateway.ask(1, job)
    assert gateway.said() == {"id": 1, "lacks": ["one", "two"]}
    for known in (table, HotwordTable("two")):
        ipc.send(gateway.connection, ipc.pack_table(known))
    gateway.ask(1, job)
    assert gateway.answer() == (2, ())


def test_what_has_come_meanwhile_goes_together(gateway: Gateway, role: PlayedRole) -> None:
    gateway.ask(0, detect())
    assert role.batches.get(timeout=PATIENCE_S) == [0]
    for stream in (1, 2, 1, 3):
        gateway.ask(stream, detect())
    role.goes_on.release()
    assert gateway.answer() == (1, ())
    assert gateway.begun == [[1]], "it says what it begins before it begins"
    seen: list[int] = []
    while len(seen) < 4:
        seen += role.batches.get(timeout=PATIENCE_S)
        role.goes_on.release()
    assert sorted(seen) == [1, 1, 2, 3]
    assert sorted(gateway.answer()[0] for _ in range(4)) == [2, 3, 4, 5]


def test_of_a_batch_that_fails_only_the_culprit_is_lost_and_its_company_goes_alone_for_once(
    gateway: Gateway, role: PlayedRole, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.pile_up(role, 1, 13, 2)
    role.goes_on.release(1 + 1 + 3)
    lost = Lost("engine_failed")
    assert [gateway.answer() for _ in range(4)] == [(1, ()), (2, ()), (3, lost), (4, ())]
    assert [role.batches.get_nowait() for _ in range(4)] == [[1, 13, 2], [1], [13], [2]]
    for expected in ([[1], [2], [3]], [[1, 2, 3]]):  # who has been answered alone is trusted again
        gateway.pile_up(role, 1, 2, 3)
        role.goes_on.release(1 + len(expected))
        assert all(gateway.answer()[1] == () for _ in range(4))
        assert [role.batches.get_nowait() for _ in expected] == expected
    assert [record.message for record in caplog.records] == ["inference failed"] * 2


def test_an_engine_that_fails_loses_that_job_and_the_worker_lives(
    gateway: Gateway, role: PlayedRole, caplog: pytest.LogCaptureFixture
) -> None:
    role.goes_on.release(2)
    gateway.ask(13, detect())
    assert gateway.answer() == (1, Lost("engine_failed"))
    gateway.ask(1, detect())
    assert gateway.answer() == (2, ())
    assert [record.message for record in caplog.records] == ["inference failed"]


@pytest.mark.parametrize(("ordered", "expected"), [(False, 2), (True, 4)])
def test_what_does_not_fit_goes_in_halves_and_stays_small(
    gateway: Gateway, role: PlayedRole, ordered: bool, expected: int
) -> None:
    role.device, role.room = "cuda:0", 2
    gateway.loop._limits[Detect] = Limit(8, ordered=ordered)
    gateway.pile_up(role, *range(1, 9))
    role.goes_on.release(1 + 7)
    assert [gateway.answer() for _ in range(9)] == [(id, ()) for id in range(1, 10)]
    halves = [[1, 2, 3, 4], [1, 2], [3, 4], [5, 6, 7, 8], [5, 6], [7, 8]]
    assert [role.batches.get_nowait() for _ in range(7)] == [[*range(1, 9)], *halves]
    gateway.pile_up(role, 1, 2, 3, 4)
    role.goes_on.release(1 + expected)
    assert [gateway.answer() for _ in range(5)] == [(id, ()) for id in range(10, 15)]
    assert [len(role.batches.get_nowait()) for _ in range(expected)] == [4 // expected] * expected
    assert role.device == "cuda:0"


@pytest.mark.parametrize(
    ("device", "error", "reason"),
    [("cuda:0", CUDA_FULL, "cuda_out_of_memory"), ("mps", MPS_FULL, "mps_out_of_memory")],
)
def test_what_does_not_fit_alone_takes_the_models_to_the_cpu(
    gateway: Gateway, role: PlayedRole, device: str, error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.mps.empty_cache", lambda: None)
    gateway.pile_up(role, 1, 2)
    role.device, role.room, role.too_much = device, 0, error
    role.goes_on.release(2)
    assert gateway.said() == {"degraded": reason}
    assert gateway.said() == {"ready": {"played": {"device": "cpu"}}, "costs": {"detect": 0.01}, "degraded": reason}
    role.goes_on.release(2)
    assert [gateway.answer() for _ in range(3)] == [(1, ()), (2, ()), (3, ())]
    assert [act for act, _ in role.acts] == ["answer", "cpu", "warm up", "answer", "answer"]


def test_on_the_cpu_nothing_is_out_of_an_accelerators_memory(gateway: Gateway, role: PlayedRole) -> None:
    role.room = 0
    role.goes_on.release()
    gateway.ask(1, detect())
    assert gateway.answer() == (1, Lost("engine_failed"))


def test_a_stream_is_released_after_its_last_job(gateway: Gateway, role: PlayedRole) -> None:
    gateway.ask(0, detect())
    assert role.batches.get(timeout=PATIENCE_S) == [0]
    gateway.ask(1, detect())
    gateway.ask(1, detect())
    gateway.release(1)
    gateway.release(2)
    role.goes_on.release(3)
    assert [gateway.answer()[0] for _ in range(3)] == [1, 2, 3]
    gateway.release(3)
    gateway.ask(4, detect())  # whose answer shows that all before it is done
    role.goes_on.release()
    gateway.answer()
    acts = [act for act in role.acts if act[1] in ([1], [2])]
    assert sorted(acts) == [("answer", [1]), ("answer", [1]), ("release", [1]), ("release", [2])]
    assert acts.index(("release", [1])) > max(n for n, act in enumerate(acts) if act == ("answer", [1]))


@pytest.mark.parametrize("family", ["unix", "loopback"])
def test_connect_shows_the_token(tmp_path: Any, family: str) -> None:
    if family == "unix":
        listener = socket.socket(socket.AF_UNIX)
        address = str(tmp_path / "w.sock")
        listener.bind(address)
        listener.listen(1)
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        address = str(listener.getsockname()[1])
    with listener:
        listener.settimeout(PATIENCE_S)
        with connect(address, "secret"):
            accepted, _ = listener.accept()
            with accepted:
                assert ipc.receive(accepted) == {"token": "secret"}


# -- state of streams --------------------------------------------------------------------


class Model:
    """All three stream models: each state is the list of sample counts it was given."""

    def open(self) -> list[int]:
        return []

    def detect(self, items: Sequence[tuple[list[int], Detect]]) -> list[tuple[Edge, ...]]:
        self.fail(job for _, job in items)
        for state, job in items:
            state.append(len(job.samples))
        return [(Edge("onset", sum(state), len(state)),) for state, _ in items]

    def decode(self, items: Sequence[tuple[list[int], Decode]]) -> list[str]:
        self.fail(job for _, job in items)
        for state, job in items:
            state.append(len(job.samples))
        return ["一" * len(state) for state, _ in items]

    def words(self, state: list[int]) -> tuple[Word, ...]:
        return ()

    def revise(self, items: Sequence[tuple[list[int], str, bool]]) -> list[Revision]:
        return [Revision(text + ("。" if last else ""), len(text)) for _, text, last in items]

    def fail(self, jobs: Any) -> None:
        if any(len(job.samples) == 1 for job in jobs):
            raise ZeroDivisionError


@pytest.fixture
def stream_role(monkeypatch: pytest.MonkeyPatch) -> StreamRole:
    monkeypatch.setattr(StreamRole, "__post_init__", lambda self: None)
    role = StreamRole({}, "cpu")
    role._vad = role._asr = role._punc = Model()
    return role


def ask(role: StreamRole, *items: tuple[int, Job]) -> list[Result]:
    return role.answer([Request(n, stream, job) for n, (stream, job) in enumerate(items)])


def samples(count: int) -> Any:
    return np.zeros(count, np.int16)


def decode(offset: int, count: int = CHUNK, last: bool = False, segment: int = 0, punctuation: bool = True) -> Decode:
    return Decode(segment, samples(count), offset, last, CHUNK, punctuation)


def onset(at: int, decided: int) -> tuple[Edge, ...]:
    return (Edge("onset", at, decided),)


def test_the_detector_goes_on_where_it_was(stream_role: StreamRole) -> None:
    assert ask(stream_role, (1, detect(0))) == [onset(3200, 1)]
    assert ask(stream_role, (2, detect(6400)), (1, detect(3200, first=False))) == [onset(3200, 1), onset(6400, 2)]
    assert ask(stream_role, (1, detect(6400, first=False, flush=True))) == [onset(9600, 3)]


@pytest.mark.parametrize(
    "job",
    [detect(3200, first=False), detect(0, first=False), decode(CHUNK), decode(CHUNK, last=True)],
    ids=["detector", "detector at 0", "decoder", "decoder's end"],
)
def test_a_stream_that_is_not_known_is_forgotten(stream_role: StreamRole, job: Job) -> None:
    known: Job = detect(0) if isinstance(job, Detect) else decode(0)
    [forgotten, result] = ask(stream_role, (1, job), (2, known))
    assert forgotten == Forgotten()
    assert result != Forgotten(), "the others in the batch are served"
    assert ask(stream_role, (1, job)) == [Forgotten()]


@pytest.mark.parametrize(
    ("before", "job"),
    [
        ([detect(0)], detect(6400, first=False)),  # a step is missing
        ([detect(0), detect(3200, first=False)], detect(3200, first=False)),  # a step twice
        ([detect(0, flush=True)], detect(3200, first=False)),  # over
        ([decode(0)], decode(2 * CHUNK)),
        ([decode(0)], decode(CHUNK, segment=1)),
        ([decode(0), decode(CHUNK, last=True)], decode(2 * CHUNK)),
    ],
)
def test_what_does_not_continue_the_state_is_forgotten(stream_role: StreamRole, before: list[Job], job: Job) -> None:
    for earlier in before:
        assert ask(stream_role, (1, earlier)) != [Forgotten()]
    assert ask(stream_role, (1, job)) == [Forgotten()]


def test_the_decoder_begins_again_with_each_segment(stream_role: StreamRole) -> None:
    assert ask(stream_role, (1, decode(0))) == [Hypothesis("一", "一", 1)]
    assert ask(stream_role, (1, decode(CHUNK, last=True))) == [Hypothesis("一一。", "一一", 2)]
    assert ask(stream_role, (1, decode(0, segment=1, last=True))) == [Hypothesis("一。", "一", 1)]
    assert ask(stream_role, (1, decode(0, segment=1, last=True, punctuation=False))) == [Hypothesis("一", "一", 1)]


@pytest.mark.parametrize(
    ("first", "failing", "after"),
    [
        (detect(0), detect(3200, samples(1), first=False), detect(3201, first=False)),
        (decode(0), decode(CHUNK, 1), decode(CHUNK + 1)),
    ],
    ids=["detector", "decoder"],
)
def test_after_a_failure_the_state_is_not_trusted(
    stream_role: StreamRole, first: Job, failing: Job, after: Job
) -> None:
    ask(stream_role, (1, first))
    with pytest.raises(ZeroDivisionError):
        ask(stream_role, (1, failing))
    assert ask(stream_role, (1, after)) == [Forgotten()]
    assert ask(stream_role, (1, first)) != [Forgotten()], "from its start it goes again"


class Cramped(Model):
    """Has room for ``room`` items; what it has no room for it leaves half-done."""

    def __init__(self, room: int) -> None:
        self.room = room

    def fail(self, jobs: Any) -> None: ...

    def detect(self, items: Sequence[tuple[list[int], Detect]]) -> list[tuple[Edge, ...]]:
        return self._fitting(super().detect(items))

    def decode(self, items: Sequence[tuple[list[int], Decode]]) -> list[str]:
        return self._fitting(super().decode(items))

    def _fitting(self, results: list[Any]) -> list[Any]:
        if len(results) > self.room:
            raise CUDA_FULL
        return results


@pytest.mark.parametrize("room", [1, 0], ids=["halves", "cpu"])
@pytest.mark.parametrize(
    ("first", "after", "answers"),
    [
        (detect(0), detect(3200, first=False), [onset(3200, 1), onset(6400, 2)]),
        (decode(0), decode(CHUNK), [Hypothesis("一", "一", 1), Hypothesis("一一", "一一", 2)]),
    ],
    ids=["detector", "decoder"],
)
def test_what_a_full_device_left_half_done_is_not_used(
    stream_role: StreamRole, first: Job, after: Job, answers: list[Result], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_on(role: StreamRole, device: str) -> None:
        role.device, role._vad, role._asr = device, Cramped(8), Cramped(8)
        role._streams.clear()

    monkeypatch.setattr(StreamRole, "load_on", load_on)
    monkeypatch.setattr(StreamRole, "warm_up", lambda role: None)
    monkeypatch.setattr(StreamRole, "describe", lambda role: {})
    ask(stream_role, (1, first))
    stream_role.device, stream_role._vad, stream_role._asr = "cuda:0", Cramped(room), Cramped(room)
    near, far = socket.socketpair()
    with near, far:
        run = Worker(far, stream_role)._run
        assert run([Request(1, 1, after), Request(2, 2, first)]) == [Forgotten(), answers[0]]
        assert stream_role.device == ("cuda:0" if room else "cpu")
        assert run([Request(3, 1, first), Request(4, 2, after)]) == (
            answers if room == 0 else [answers[0], Forgotten()]
        )
        assert run([Request(5, 1, after)]) == [answers[1]], "nothing is there twice, nothing is missing"


def test_a_released_stream_leaves_nothing(stream_role: StreamRole) -> None:
    ask(stream_role, (1, detect(0)))
    ask(stream_role, (1, decode(0)))
    stream_role.release(1)
    stream_role.release(1)
    assert stream_role._streams == {}
