"""An inference worker: its own process, one thread that owns the models, one socket to the gateway.

Started as ``python -m xingji.runtime.worker ROLE ADDRESS`` with the model directories as JSON in
``XINGJI_WORKER``. It loads, warms up, says ``ready`` and then answers jobs until the socket closes.
State of running streams lives here and dies with the process: a job that needs state which is
not here is answered with ``Forgotten``, and the session sends everything again. Where the memory
of the device does not suffice, batches become smaller, and at last the models move to the CPU.
"""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..core.messages import Decode, Detect, Forgotten, Lost, Result, Transcribe
from ..core.types import SAMPLE_RATE, Hypothesis
from . import ipc
from .batch import Limit, Request, take

log = logging.getLogger(__name__)


# The streaming step gains to about 16 rows. A job that carries a backlog goes nearly alone: the others of its
# batch would wait for all its chunks. A segment of 5 s fills a core by itself, and what waits behind a batch
# waits for all of it; a GPU has room for many.
STREAM_LIMITS = {
    Detect: Limit(jobs=16, samples=60 * SAMPLE_RATE),
    Decode: Limit(jobs=16, samples=20 * SAMPLE_RATE),
}
SEGMENT_LIMITS = {
    "cpu": {Transcribe: Limit(jobs=4, samples=12 * SAMPLE_RATE, ordered=False)},
    "accelerator": {Transcribe: Limit(jobs=16, samples=120 * SAMPLE_RATE, ordered=False)},
}


class Role(Protocol):
    """The models of one worker and what it keeps for each stream."""

    limits: Mapping[type[Any], Limit]
    device: str

    def load_on(self, device: str) -> None:
        """Load the models, in place of any that were there. What was known of streams is forgotten."""

    def warm_up(self) -> None: ...
    def answer(self, batch: Sequence[Request]) -> list[Result]: ...
    def release(self, stream: int) -> None: ...
    def describe(self) -> dict[str, Any]: ...


@dataclass(slots=True)
class _Stream:
    """Where one recording stands. ``heard`` and ``decoded`` tell whether a job continues this state."""

    detector: Any = None
    heard: int = -1
    segment: int = -1
    decoder: Any = None
    marks: Any = None  # of the punctuator
    decoded: int = 0


@dataclass(slots=True)
class StreamRole:
    """FSMN-VAD, streaming Paraformer and realtime punctuation."""

    models: dict[str, Path]
    device: str
    limits: Mapping[type[Any], Limit] = field(default_factory=lambda: STREAM_LIMITS)
    _streams: dict[int, _Stream] = field(default_factory=dict)
    _vad: Any = None
    _asr: Any = None
    _punc: Any = None

    def __post_init__(self) -> None:
        self.load_on(self.device)

    def load_on(self, device: str) -> None:
        from ..engines.ct_punc import CtPunc
        from ..engines.fsmn_vad import Fsmn
        from ..engines.paraformer import StreamingParaformer

        self.device = device
        self._streams.clear()
        self._vad = Fsmn(self.models["vad"], device)
        self._asr = StreamingParaformer(self.models["paraformer"], device)
        self._punc = CtPunc(self.models["punc"], device)

    def warm_up(self) -> None:
        noise = _noise()
        hop, chunk = SAMPLE_RATE // 5, SAMPLE_RATE * 6 // 10
        self.answer([Request(0, -1, Detect(noise[: 5 * hop], 0, True, True, SAMPLE_RATE, hop))])
        self.answer([Request(1, -1, Decode(0, noise[: 2 * chunk], 0, True, chunk, True))])
        self._punc.revise([(self._punc.open(), "你好", True)])
        self.release(-1)

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        if isinstance(batch[0].job, Detect):
            return self._known(batch, self._detector_state, self._detect)
        return self._known(batch, self._decoder_state, self._decode)

    def release(self, stream: int) -> None:
        self._streams.pop(stream, None)

    def describe(self) -> dict[str, Any]:
        models = {"vad": self._vad, "paraformer": self._asr, "punc": self._punc}
        return {part: asdict(model.describe()) for part, model in models.items()}

    def _known(
        self,
        batch: Sequence[Request],
        state: Callable[[_Stream, Any], bool],
        run: Callable[[list[tuple[_Stream, Any]]], list[Result]],
    ) -> list[Result]:
        """``run`` what continues a state that is here; the rest is Forgotten."""
        items = [(self._streams.setdefault(r.stream, _Stream()), r.job) for r in batch]
        known = [state(stream, job) for stream, job in items]
        results = iter(run([item for item, here in zip(items, known, strict=True) if here]))
        return [next(results) if here else Forgotten() for here in known]

    def _detector_state(self, stream: _Stream, job: Detect) -> bool:
        if job.first:
            stream.detector, stream.heard = self._vad.open(), job.offset
        return stream.heard == job.offset

    def _detect(self, items: list[tuple[_Stream, Detect]]) -> list[Result]:
        for stream, _ in items:
            stream.heard = -1  # until the models have answered
        results = self._vad.detect([(stream.detector, job) for stream, job in items])
        for stream, job in items:
            stream.heard = -1 if job.flush else job.offset + len(job.samples)
        return list(results)

    def _decoder_state(self, stream: _Stream, job: Decode) -> bool:
        if job.offset == 0:
            stream.segment, stream.decoded = job.segment, 0
            stream.decoder, stream.marks = self._asr.open(), self._punc.open()
        return stream.segment == job.segment and stream.decoded == job.offset

    def _decode(self, items: list[tuple[_Stream, Decode]]) -> list[Result]:
        for stream, _ in items:
            stream.decoded = -1
        texts = self._asr.decode([(stream.decoder, job) for stream, job in items])
        marked = [(stream.marks, bare, job.last) for (stream, job), bare in zip(items, texts, strict=True)]
        revisions = self._punc.revise(marked)
        results: list[Result] = []
        for (stream, job), bare, revision in zip(items, texts, revisions, strict=True):
            stream.decoded = -1 if job.last else job.offset + len(job.samples)
            if job.punctuation:
                results.append(Hypothesis(revision.text, bare, revision.stable))
            else:
                results.append(Hypothesis(bare, bare, len(bare)))
        return results


@dataclass(slots=True)
class SegmentRole:
    """SenseVoice: whole segments, no state."""

    models: dict[str, Path]
    device: str
    limits: Mapping[type[Any], Limit] = field(default_factory=dict)
    _asr: Any = None

    def __post_init__(self) -> None:
        self.load_on(self.device)

    def load_on(self, device: str) -> None:
        from ..engines.sensevoice import SenseVoice

        self.device, self.limits = device, SEGMENT_LIMITS["cpu" if device == "cpu" else "accelerator"]
        self._asr = SenseVoice(self.models["sensevoice"], device)

    def warm_up(self) -> None:
        self._asr.transcribe([Transcribe(0, _noise(), "auto", True)])

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        return list(self._asr.transcribe([request.job for request in batch]))

    def release(self, stream: int) -> None:
        pass

    def describe(self) -> dict[str, Any]:
        return {"sensevoice": asdict(self._asr.describe())}


ROLES: dict[str, Callable[[dict[str, Path], str], Role]] = {"stream": StreamRole, "segment": SegmentRole}


class Worker:
    """Reads requests on one thread, answers them on another; the socket's end is the end of both."""

    def __init__(self, connection: socket.socket, role: Role) -> None:
        self._connection, self._role = connection, role
        self._limits = dict(role.limits)  # lowered to what the device's memory has room for
        self._arrived = threading.Condition()
        self._waiting: list[Request] = []
        self._suspects: set[int] = set()  # streams that were in a batch that failed, until they have been answered
        self._released: list[int] = []
        self._over = False

    def run(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._waiting or self._released or self._over)
                if self._over:
                    return
                for at, request in enumerate(self._waiting):
                    if request.stream in self._suspects and not request.alone:
                        self._waiting[at] = replace(request, alone=True)
                batch = take(self._waiting, self._limits)
                busy = {request.stream for request in self._waiting}
                over = [stream for stream in self._released if stream not in busy]
                self._released = [stream for stream in self._released if stream in busy]
            if batch:
                self._answer(batch)
            for stream in over:  # after its last job, which would bring it back
                self._role.release(stream)
                self._suspects.discard(stream)

    def _answer(self, batch: list[Request]) -> None:
        ipc.send(self._connection, {"begun": [request.id for request in batch]})
        begun = time.perf_counter()
        results = self._run(batch)
        took = time.perf_counter() - begun
        if len(batch) == 1 and not isinstance(results[0], Lost | Forgotten):
            self._suspects.discard(batch[0].stream)
        for request, result in zip(batch, results, strict=True):
            answer = {"id": request.id, "result": ipc.pack(result), "seconds": took / len(batch), "batch": len(batch)}
            ipc.send(self._connection, answer)

    def _run(self, batch: list[Request]) -> list[Result]:
        """One result for each. What the device has no room for is tried again in halves, then on the CPU. A batch
        that fails for another reason is tried again one by one: it is the fault of one, and only that one is lost.

        A call that failed leaves the states of its streams half-done, and the role does not use them again:
        tried once more, a job that begins a stream or needs none is answered, any other is Forgotten.
        """
        kind, half = type(batch[0].job), len(batch) // 2
        try:
            return self._role.answer(batch)
        except Exception as error:
            shortage = _shortage(self._role.device, error)
            if shortage is None:
                log.exception("inference failed", extra={"job": kind.__name__, "batch": len(batch)})
                if not half:
                    return [Lost("engine_failed")]
        # Out here, the traceback no longer holds what the call had taken of the memory.
        if shortage is None:
            self._suspects |= {request.stream for request in batch}
            return [result for request in batch for result in self._run([request])]
        if half:
            log.warning("batch does not fit", extra={"job": kind.__name__, "batch": len(batch), "reason": shortage})
            limit = self._limits[kind]
            # Each time costs a stream its state, and a session gives it again three times only: 16, 4, 1.
            self._limits[kind] = replace(limit, jobs=max(1, half // 2) if limit.ordered else half)
            return self._run(batch[:half]) + self._run(batch[half:])
        self._move_to_cpu(shortage)
        return self._run(batch)

    def _move_to_cpu(self, reason: str) -> None:
        """Loading takes as long as at the start, so the gateway is told before as well as after."""
        from ..engines.device import give_back

        ipc.send(self._connection, {"degraded": reason})
        full = self._role.device
        self._role.load_on("cpu")
        give_back(full)
        self._role.warm_up()
        self._limits = dict(self._role.limits)
        ipc.send(self._connection, {"ready": self._role.describe(), "degraded": reason})

    def _read(self) -> None:
        while (message := ipc.receive(self._connection)) is not None:
            with self._arrived:
                if "release" in message:
                    self._released.append(message["release"])
                else:
                    job = ipc.unpack(message["job"])
                    how = message["patient"], message["alone"]
                    self._waiting.append(Request(message["id"], message["stream"], job, *how))
                self._arrived.notify()
        with self._arrived:
            self._over = True
            self._arrived.notify()


def connect(address: str, token: str) -> socket.socket:
    """``address`` is a unix socket's path, or ``port`` on the loopback where there are none."""
    if address.isdigit():
        connection = socket.create_connection(("127.0.0.1", int(address)))
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
    ipc.send(connection, {"token": token})
    return connection


def _noise() -> Any:
    return np.random.default_rng(0).integers(-300, 300, 2 * SAMPLE_RATE).astype(np.int16)


def _shortage(device: str, error: Exception) -> str | None:
    if device == "cpu":
        return None  # without torch: played models do not bring it along
    from ..engines.device import out_of_memory

    return out_of_memory(device, error)


def load(role_name: str, setup: dict[str, Any]) -> tuple[Role, str | None]:
    """The role's models, loaded and warm, and why they are not on the device that was asked for."""

    def build(device: str) -> Role:
        role = ROLES[role_name]({name: Path(path) for name, path in setup["models"].items()}, device)
        role.warm_up()
        return role

    if setup["device"] == "cpu":
        return build("cpu"), None
    from ..engines.device import place

    return place(setup["device"], setup["mps"], build)


def main(role_name: str, address: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's to handle
    setup = json.loads(os.environ["XINGJI_WORKER"])
    logging.basicConfig(level=setup["log_level"], stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    connection = connect(address, setup["token"])
    role, degraded = load(role_name, setup)
    ipc.send(connection, {"ready": role.describe(), "degraded": degraded})
    Worker(connection, role).run()


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    except OSError:
        sys.exit(1)  # the gateway is gone
