"""From what was seen to figures. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from .observe import Observed
from .resources import Usage

Key = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Key, float]  # a metric's name and labels → its value

LAG_S, SECOND_PASS_S = 1.0, 1.5  # what a server must hold at its 95th percentile
TOLD = 0.95  # so much of the partials must have been told for a client's reckoning to be exact


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds."""

    p50: float
    p95: float
    p99: float
    count: int

    def __str__(self) -> str:
        """Milliseconds."""
        return " / ".join(f"{value * 1000:.0f}" for value in (self.p50, self.p95, self.p99))


def spread(seconds: Sequence[float]) -> Spread | None:
    if not seconds:
        return None
    p50, p95, p99 = (float(value) for value in np.percentile(seconds, (50, 95, 99)))
    return Spread(p50, p95, p99, len(seconds))


def milliseconds(seconds: Sequence[float]) -> str:
    return str(spread(seconds) or "–")


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of job over a run."""

    jobs: int
    calls: float  # of the model
    busy_s: float
    audio_s: float

    @property
    def batch(self) -> float:
        """Jobs that went together, as a call sees it."""
        return self.jobs / self.calls if self.calls else 0.0

    @property
    def rtf(self) -> float:
        return self.busy_s / self.audio_s if self.audio_s else 0.0


@dataclass(slots=True)
class Run:
    server: str
    clients: int
    seconds: float  # of audio from each client
    observed: Observed
    wall_s: float  # from the first packet to the last stop
    processes: dict[str, Usage]  # over wall_s
    engines: dict[str, Engine] = field(default_factory=dict)
    server_lag: Spread | None = None  # the server's own partial lag; between the histogram's edges interpolated
    server_lag_held: float | None = None  # share of partials within LAG_S, exact
    waiting: dict[str, float] = field(default_factory=dict)  # role → most jobs that waited
    gpu_mb: float | None = None
    others_s: float = 0.0  # processor seconds that the rest of the machine took meanwhile

    @property
    def told(self) -> float | None:
        """Partials told for each computed; None where the server does not say how many it computed."""
        decode = self.engines.get("decode")
        computed = decode.jobs - self.observed.sentences if decode else 0
        return self.observed.partials / computed if computed > 0 else None

    @property
    def exact(self) -> bool:
        """Is the client's reckoning of the partial lag exact? Otherwise it is an upper bound."""
        return self.told is None or self.told >= TOLD

    @property
    def lag(self) -> Spread | None:
        """The client's figure where it is exact, else the server's."""
        seen = spread([lag for _, lag, _ in self.observed.partial])
        return seen if self.exact or self.server_lag is None else self.server_lag

    @property
    def diverges(self) -> bool:
        """The last third waits much longer than the first: the server falls behind, however short the run."""
        third = self.seconds / 3
        lags = [(at, lag if self.exact else least) for at, lag, least in self.observed.partial]
        first = [lag for at, lag in lags if at < third]
        last = [lag for at, lag in lags if at >= 2 * third]
        if not (first and last):
            return bool(first)
        begin, end = float(np.median(first)), float(np.median(last))
        return end - begin > 0.3 and end > 2 * begin

    @property
    def whole(self) -> bool:
        """Nothing was lost and nobody was refused."""
        seen = self.observed
        return not seen.errors and len(seen.final) == self.clients and seen.sentences > 0

    @property
    def second_pass_held(self) -> bool | None:
        seen = spread(self.observed.second_pass)
        return None if seen is None else seen.p95 <= SECOND_PASS_S

    @property
    def held(self) -> bool:
        """The criterion of the search."""
        if not self.whole or self.diverges or self.lag is None:
            return False
        if not self.exact and self.server_lag_held is not None:
            return self.server_lag_held >= 0.95
        return self.lag.p95 <= LAG_S

    def share(self, process: str) -> float:
        """Of one core, over the run."""
        return self.processes[process].cpu_s / self.wall_s

    @property
    def server_share(self) -> float:
        return sum(self.share(name) for name in self.processes if name != LOAD)


LOAD = "load generator"


def read_metrics(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def grown(before: Samples, after: Samples) -> Samples:
    return {key: value - before.get(key, 0.0) for key, value in after.items()}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def buckets(samples: Samples, name: str) -> list[tuple[float, float]]:
    """Upper edge and how many are at most that, rising."""
    found = [(float(dict(labels)["le"]), count) for (key, labels), count in samples.items() if key == f"{name}_bucket"]
    return sorted(found)


def quantile(edges: Sequence[tuple[float, float]], part: float) -> float:
    """Interpolated within its bucket; the greatest finite edge where it lies beyond."""
    wanted = part * edges[-1][1]
    low, before = 0.0, 0.0
    for edge, count in edges:
        if count >= wanted and count > before:
            return low if edge == float("inf") else low + (edge - low) * (wanted - before) / (count - before)
        low, before = (edge, count) if edge != float("inf") else (low, count)
    return low


def histogram(samples: Samples, name: str) -> Spread | None:
    edges = buckets(samples, name)
    if not edges or not edges[-1][1]:
        return None
    p50, p95, p99 = (quantile(edges, part) for part in (0.5, 0.95, 0.99))
    return Spread(p50, p95, p99, int(edges[-1][1]))


def share_within(samples: Samples, name: str, edge: float) -> float | None:
    edges = buckets(samples, name)
    if not edges or not edges[-1][1]:
        return None
    return dict(edges)[edge] / edges[-1][1]


def engines(samples: Samples) -> dict[str, Engine]:
    """Of each kind of job that ran."""
    kinds = sorted(dict(labels)["job"] for name, labels in samples if name == "xingji_batch_jobs_count")
    found = {
        kind: Engine(
            int(value(samples, "xingji_batch_jobs_count", job=kind)),
            _calls(samples, kind),
            value(samples, "xingji_engine_busy_seconds_total", job=kind),
            value(samples, "xingji_engine_audio_seconds_total", job=kind),
        )
        for kind in kinds
    }
    return {kind: engine for kind, engine in found.items() if engine.jobs}


def _calls(samples: Samples, kind: str) -> float:
    """Each job of a batch of n was observed as n, so a bucket of jobs holds jobs ÷ n calls. Buckets wider than one
    are taken at their middle."""
    edges = sorted(
        (float(dict(labels)["le"]), count)
        for (name, labels), count in samples.items()
        if name == "xingji_batch_jobs_bucket" and ("job", kind) in labels
    )
    calls, low, before = 0.0, 0.0, 0.0
    for edge, count in edges:
        size = low + 1 if edge == float("inf") else (low + 1 + edge) / 2
        calls += (count - before) / size
        low, before = (low if edge == float("inf") else edge), count
    return calls


def together(runs: Iterable[Run]) -> Observed:
    seen = Observed()
    for run in runs:
        seen.add(run.observed)
    return seen


def as_raw(run: Run) -> dict[str, object]:
    """For JSON."""
    return asdict(run) | {"held": run.held, "exact": run.exact, "told": run.told, "diverges": run.diverges}
