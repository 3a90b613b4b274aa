"""What each kind of worker keeps: their models, and for each stream how far it has come.

A role belongs to the worker's one thread. It knows no socket and no queue; ``worker.py`` feeds it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..core.messages import Decode, Detect, Forgotten, Result, Work
from ..core.timing import sure
from ..core.types import SAMPLE_RATE, HotwordTable, Hypothesis, TimestampSource
from .batch import Limit, Request
from .segment_roles import TURNS, AlignerRole, Qwen3Role, SegmentRole, noise

# The streaming step gains to about 16 rows. A job that carries a backlog goes nearly alone: the others of its
# batch would wait for all its chunks.
STREAM_LIMITS = {
    Detect: Limit(jobs=16, samples=60 * SAMPLE_RATE, first=True),
    Decode: Limit(jobs=16, samples=20 * SAMPLE_RATE),
}

_FULL = 8  # streams at a time, when the costs are measured


class Role(Protocol):
    """The models of one worker and what it keeps for each stream."""

    limits: Mapping[type[Any], Limit]
    device: str
    costs: Mapping[str, float]  # seconds of work that a second of speech makes in full batches, by kind of job

    def load_on(self, device: str) -> None:
        """Load the models, in place of any that were there. What was known of streams is forgotten."""

    def warm_up(self) -> None:
        """Run everything once, and measure ``costs``."""

    def answer(self, batch: Sequence[Request]) -> list[Result]: ...
    def release(self, stream: int) -> None: ...

    def learn(self, table: HotwordTable) -> None:
        """From now on jobs may name this table, until ``lacks`` says otherwise."""

    def lacks(self, job: Work) -> list[str]:
        """Digests of the tables that the job names and that are not here."""

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
    """FSMN-VAD, streaming Paraformer and realtime punctuation. Where nobody is to stream, Paraformer is not there and
    only ``Detect`` is asked."""

    models: dict[str, Path]
    device: str
    precision: str = "auto"
    limits: Mapping[type[Any], Limit] = field(default_factory=STREAM_LIMITS.copy)
    costs: Mapping[str, float] = field(default_factory=dict)
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
        self._vad = Fsmn(self.models["vad"], device, self.precision)
        if "paraformer" in self.models:
            self._asr = StreamingParaformer(self.models["paraformer"], device, self.precision)
        self._punc = CtPunc(self.models["punc"], device, self.precision)

    def warm_up(self) -> None:
        hop, chunk = SAMPLE_RATE // 10, SAMPLE_RATE * 6 // 10
        self._punc.revise([(self._punc.open(), "你好", True)])

        def detect(turn: int) -> list[Any]:
            return [Detect(noise(hop), turn * hop, turn == 0, False, SAMPLE_RATE, hop) for _ in range(_FULL)]

        def decode(turn: int) -> list[Any]:
            return [Decode(0, noise(chunk), turn * chunk, False, chunk, True) for _ in range(_FULL)]

        self.costs = {"detect": self._cost(detect, hop)}
        if self._asr is not None:
            self.costs |= {"decode": self._cost(decode, chunk)}

    def _cost(self, jobs: Callable[[int], list[Any]], step: int) -> float:
        """Of a full batch; the best of a few turns, which other work on the machine disturbs least."""
        took = []
        for turn in range(TURNS):
            batch = [Request(row, -1 - row, job) for row, job in enumerate(jobs(turn))]
            begun = time.perf_counter()
            self.answer(batch)
            took.append(time.perf_counter() - begun)
        for row in range(_FULL):
            self.release(-1 - row)
        return min(took) / _FULL / (step / SAMPLE_RATE)

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        if isinstance(batch[0].job, Detect):
            return self._known(batch, self._detector_state, self._detect)
        return self._known(batch, self._decoder_state, self._decode)

    def release(self, stream: int) -> None:
        self._streams.pop(stream, None)

    def learn(self, table: HotwordTable) -> None:
        pass  # its recogniser takes none

    def lacks(self, job: Work) -> list[str]:
        return []

    def describe(self) -> dict[str, Any]:
        models = {"vad": self._vad, "paraformer": self._asr, "punc": self._punc}
        return {part: asdict(model.describe()) for part, model in models.items() if model is not None}

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
        asked = [(s.marks, bare, job.last) for (s, job), bare in zip(items, texts, strict=True) if job.punctuation]
        revisions = iter(self._punc.revise(asked))
        results: list[Result] = []
        for (stream, job), bare in zip(items, texts, strict=True):
            stream.decoded = -1 if job.last else job.offset + len(job.samples)
            text, stable = next(revisions) if job.punctuation else (bare, len(bare))
            words = self._asr.words(stream.decoder)
            source: TimestampSource | None = "cif" if words else None
            results.append(Hypothesis(text, bare, stable, words=words, confidence=sure(words), timestamp_source=source))
        return results


ROLES: dict[str, Callable[..., Role]] = {
    "stream": StreamRole,
    "segment": SegmentRole,
    "qwen3": Qwen3Role,
    "aligner": AlignerRole,
}
