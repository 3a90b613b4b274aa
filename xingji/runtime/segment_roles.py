"""What workers keep that are given whole segments: a model each, and nothing of any stream."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.messages import Align, Result, Transcribe, Work
from ..core.types import SAMPLE_RATE, HotwordTable, Samples
from .batch import Limit, Request

# A segment of 5 s fills a core by itself, and what waits behind a batch waits for all of it; a GPU has room for many.
_ON_CPU = Limit(jobs=4, samples=12 * SAMPLE_RATE, ordered=False)
_ON_ACCELERATOR = Limit(jobs=16, samples=120 * SAMPLE_RATE, ordered=False)
SEGMENT_LIMITS: Mapping[str, Mapping[type[Any], Limit]] = {
    "cpu": {Transcribe: _ON_CPU, Align: _ON_CPU},
    "accelerator": {Transcribe: _ON_ACCELERATOR, Align: _ON_ACCELERATOR},
}
TURNS = 3  # costs are measured so often
_SENTENCE = 5 * SAMPLE_RATE  # a usual one


@dataclass(slots=True)
class SegmentRole:
    """SenseVoice: whole segments, no state. It also gives words their times that others have read."""

    models: dict[str, Path]
    device: str
    precision: str = "auto"
    limits: Mapping[type[Any], Limit] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    _asr: Any = None

    def __post_init__(self) -> None:
        self.load_on(self.device)

    def load_on(self, device: str) -> None:
        from ..engines.sensevoice import SenseVoice

        self.device, self.limits = device, SEGMENT_LIMITS["cpu" if device == "cpu" else "accelerator"]
        tables = self._asr.tables if self._asr else None
        self._asr = SenseVoice(self.models["sensevoice"], device, self.precision)
        self._asr.tables = tables or self._asr.tables  # they are of the same model

    def warm_up(self) -> None:
        took = []
        for _ in range(TURNS):
            begun = time.perf_counter()
            self._asr.transcribe([Transcribe(0, noise(_SENTENCE), "auto", True)])
            took.append(time.perf_counter() - begun)
        self.costs = {"transcribe": min(took) / (_SENTENCE / SAMPLE_RATE)}

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        jobs = [request.job for request in batch]
        return list(self._asr.align(jobs) if isinstance(jobs[0], Align) else self._asr.transcribe(jobs))

    def release(self, stream: int) -> None:
        pass

    def learn(self, table: HotwordTable) -> None:
        self._asr.tables.learn(table)

    def lacks(self, job: Work) -> list[str]:
        tables = job.hotwords if isinstance(job, Transcribe) else ()
        return [table.digest for table in tables if table not in self._asr.tables]

    def describe(self) -> dict[str, Any]:
        return {"sensevoice": asdict(self._asr.describe())}


@dataclass(slots=True)
class Qwen3Role:
    """Qwen3-ASR on a GPU: whole segments, no state."""

    models: dict[str, Path]
    device: str
    precision: str = "auto"  # the library's own
    share: float = 0.8  # of the GPU's memory
    limits: Mapping[type[Any], Limit] = field(default_factory=lambda: SEGMENT_LIMITS["accelerator"])
    costs: Mapping[str, float] = field(default_factory=dict)
    _asr: Any = None

    def __post_init__(self) -> None:
        self.load_on(self.device)

    def load_on(self, device: str) -> None:
        from ..engines.qwen3_embedded import Qwen3Embedded

        self.device = device
        self._asr = Qwen3Embedded(self.models["qwen3_asr"], device, self.share)

    def warm_up(self) -> None:
        self._asr.transcribe([Transcribe(0, noise(_SENTENCE), "zh", True)])

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        return list(self._asr.transcribe([request.job for request in batch]))

    def release(self, stream: int) -> None:
        pass

    def learn(self, table: HotwordTable) -> None:
        pass

    def lacks(self, job: Work) -> list[str]:
        return []  # it is told words in its prompt

    def describe(self) -> dict[str, Any]:
        return {"qwen3_asr": asdict(self._asr.describe())}


@dataclass(slots=True)
class AlignerRole(Qwen3Role):
    """Qwen3-ForcedAligner on a GPU."""

    def load_on(self, device: str) -> None:
        from ..engines.qwen3_aligner import Qwen3Aligner

        self.device = device
        self._asr = Qwen3Aligner(self.models["qwen3_aligner"], device)

    def warm_up(self) -> None:
        self._asr.align([Align(0, noise(_SENTENCE), "你好", "zh")])

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        return list(self._asr.align([request.job for request in batch]))

    def describe(self) -> dict[str, Any]:
        return {"qwen3_aligner": asdict(self._asr.describe())}


def noise(samples: int) -> Samples:
    return np.random.default_rng(0).integers(-300, 300, samples).astype(np.int16)
