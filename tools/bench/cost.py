"""How many streams a core, or a GPU, can carry by what each step costs: pure arithmetic, to be set beside the search.

A stream asks the detector for every 100 ms, and while somebody speaks the streaming recogniser for every 600 ms and
the second pass for the whole sentence. Each worker is one thread that owns its models, so three things can be full
first: a worker's thread, the gateway's thread, all cores together. ``RHO`` leaves room for waiting: a queue that is
always busy has no 95th percentile.

Costs come from the table that ``python -m tools.bench_engines`` prints (a Markdown file), from a JSON file of
``{"detect": {"step_s": 0.1, "ms": {"1": 0.4, "8": 0.2}}, "decode": …, "transcribe": …}`` (milliseconds for each stream
of a batch, which is also how the costs of a GPU are given), or from a run of this bench.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .figures import LOAD, Engine, Run

RHO = 0.8
ENGINES = {"FSMN-VAD": "detect", "streaming Paraformer": "decode", "SenseVoice": "transcribe"}
WORKERS = {"stream": ("detect", "decode"), "segment": ("transcribe",)}
SPEECH = 0.85  # of the time somebody speaks, where no run says how much


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of job."""

    step_s: float  # audio of one job
    ms: Mapping[int, float]  # batch → milliseconds for each stream of it

    def rtf(self, batch: int) -> float:
        """Seconds of work for a second of this engine's audio, at the largest batch known that is not greater."""
        known = [size for size in self.ms if size <= batch] or [min(self.ms)]
        return self.ms[max(known)] / 1000 / self.step_s


Costs = dict[str, Step]


@dataclass(frozen=True, slots=True)
class Prediction:
    source: str
    batch: int
    shares: Mapping[str, float]  # process → of its thread, for one stream
    cores: int
    on_device: bool = False  # the workers' work is a GPU's: cores are not what it uses

    @property
    def cpu(self) -> float:
        """Of a core, for one stream."""
        return self.shares.get("gateway", 0.0) if self.on_device else sum(self.shares.values())

    @property
    def per_core(self) -> float:
        return RHO / self.cpu if self.cpu else float("inf")

    @property
    def limits(self) -> dict[str, float]:
        """Streams until each thing is full. On a GPU both workers share it, one at a time."""
        found = {f"{name} thread": RHO / share for name, share in self.shares.items() if share}
        if self.on_device and (device := sum(share for name, share in self.shares.items() if name in WORKERS)):
            found["GPU"] = RHO / device
        return found | {f"{self.cores} cores": self.per_core * self.cores}

    @property
    def streams(self) -> int:
        return int(min(self.limits.values()))

    @property
    def narrowest(self) -> str:
        return min(self.limits, key=lambda name: self.limits[name])


def read(path: Path) -> Costs:
    """Raises ValueError where the file is neither."""
    text = path.read_text("utf-8")
    return from_json(text) if path.suffix == ".json" else from_table(text)


def from_json(text: str) -> Costs:
    try:
        return {
            kind: Step(float(row["step_s"]), {int(batch): float(ms) for batch, ms in row["ms"].items()})
            for kind, row in json.loads(text).items()
        }
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError('costs are {"detect": {"step_s": 0.1, "ms": {"1": 0.4}}, …}') from error


def from_table(text: str) -> Costs:
    """The first table of engine costs in ``text``."""
    batches: list[int] = []
    found: Costs = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == "engine" and not batches:
            batches = [int(cell.split()[1]) for cell in cells if re.fullmatch(r"batch \d+", cell)]
        elif batches and cells[0] in ENGINES and ENGINES[cells[0]] not in found:
            costs = dict(zip(batches, map(float, cells[-len(batches) :]), strict=True))
            found[ENGINES[cells[0]]] = Step(_seconds(cells[1]), costs)
    if not found:
        raise ValueError("there is no table of engine costs")
    return found


def _seconds(cell: str) -> float:
    number, unit = cell.split()
    return float(number) * {"ms": 0.001, "s": 1.0}[unit]


def speaking(engines: Mapping[str, Engine]) -> Mapping[str, float]:
    """Engine → its audio for a second of the recording, in a run; the detector hears all of it."""
    heard = engines["detect"].audio_s if "detect" in engines else 0.0
    return {kind: engine.audio_s / heard for kind, engine in engines.items()} if heard else {}


def predict(
    source: str,
    costs: Costs,
    batch: int,
    cores: int,
    gateway: float,
    part: Mapping[str, float] | None = None,
    on_device: bool = False,
) -> Prediction:
    """``gateway``: its share of a core for one stream. ``part``: see ``speaking``."""
    usual = {"detect": 1.0, "decode": SPEECH, "transcribe": SPEECH}
    parts = usual | dict(part or {})
    shares = {
        worker: sum(costs[kind].rtf(batch) * parts[kind] for kind in kinds if kind in costs)
        for worker, kinds in WORKERS.items()
    }
    return Prediction(source, batch, {"gateway": gateway, **shares}, cores, on_device)


def extrapolated(run: Run, cores: int) -> Prediction:
    """From what the processes used in ``run``; the batches are those it had."""
    decode = run.engines.get("decode")
    shares = {name: run.share(name) / run.clients for name in run.processes if name != LOAD}
    return Prediction(f"run of {run.clients}", round(decode.batch) if decode else 1, shares, cores)


def table(predictions: Sequence[Prediction], found: int | None) -> list[str]:
    """Markdown lines."""
    lines = [
        "| costs from | batch | core/stream % | streams/core | streams here | full first |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for one in predictions:
        lines.append(
            f"| {one.source} | {one.batch} | {one.cpu * 100:.2f} | {one.per_core:.1f} | {one.streams} "
            f"| {one.narrowest} |"
        )
    if found is not None:
        lines.append(f"| **the search found** | | | | **{found}** | |")
    return lines
