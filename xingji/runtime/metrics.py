"""What an operator sees at ``/metrics``, in Prometheus' text format. Numbers only: no text, no audio, no ids.

``Metrics`` holds the instruments of one gateway; ``Stopwatch`` measures how long one live recording
makes people wait. Both are told what happens and decide nothing.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ..core.messages import (
    Correct,
    Decode,
    Event,
    Forgotten,
    Job,
    Lost,
    Result,
    SentenceDropped,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Transcribe,
    Work,
)
from ..core.types import SAMPLE_RATE, Stage
from .batch import length

CONTENT_TYPE = CONTENT_TYPE_LATEST

_WAITS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_SHED = ("overloaded", "timeout", "circuit_open")  # why a correction was left out, though the model works
PATIENT = 2  # the most patience that a job can have, see ``batch.Request``
_ROWS = (1, 2, 3, 4, 6, 8, 12, 16)


class Worker(Protocol):
    """What is asked of a link to a worker process."""

    @property
    def pid(self) -> int | None: ...
    @property
    def waiting(self) -> int: ...
    def waited_s(self, patience: int) -> float: ...

    restarts: int
    state: str


class Metrics:
    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        PlatformCollector(registry=registry)
        ProcessCollector(namespace="xingji_gateway", registry=registry)
        self._answered = Counter("xingji_jobs", "Jobs answered by an engine", ["job", "outcome"], registry=registry)
        self._took = Histogram(
            "xingji_job_seconds", "From asking an engine to its answer", ["job"], buckets=_WAITS_S, registry=registry
        )
        self._ran = Counter("xingji_engine_busy_seconds", "Time spent in a model", ["job"], registry=registry)
        self._audio = Counter("xingji_engine_audio_seconds", "Audio given to a model", ["job"], registry=registry)
        self._batch = Histogram(
            "xingji_batch_jobs", "Jobs that went to a model together", ["job"], buckets=_ROWS, registry=registry
        )
        self._stopped = Counter("xingji_recordings", "Recordings that stopped", ["reason"], registry=registry)
        self._shed = Counter(
            "xingji_shed",
            "Left out under load: corrections, texts put together with later ones, recordings refused",
            ["what"],
            registry=registry,
        )
        self._edits = Counter(
            "xingji_edits",
            "What votes and corrections would change in sentences, by what bore it out or spoke against it",
            ["outcome", "reason"],
            registry=registry,
        )
        self._fallbacks = Counter(
            "xingji_fallbacks",
            "Segments that another model read than was asked for",
            ["model", "reason"],
            registry=registry,
        )
        self._file_jobs = Counter(
            "xingji_file_jobs", "File jobs that ended: done, failed, cancelled", ["state"], registry=registry
        )
        waits = {
            "partial_lag": "From the arrival of the audio that a partial text needs to that text",
            "first_text": "From the arrival of a sentence's first sample (at the detector's onset) to its first text",
            "second_pass": "From the detector's decision that a sentence has ended to its second-pass text",
            "settled": "From the detector's decision that a sentence has ended to its last text",
        }
        self.waits = {
            name: Histogram(f"xingji_{name}_seconds", meaning, buckets=_WAITS_S, registry=registry)
            for name, meaning in waits.items()
        }

    def watch_recordings(
        self, active: Callable[[], float], capacity: Callable[[], float], room: Mapping[str, Callable[[], float]]
    ) -> None:
        """``room``: live recordings in progress, how many the workers hold, and recent lag; by name."""
        self._gauge("xingji_recordings_active", "Recordings in progress", active)
        self._gauge("xingji_recordings_capacity", "Most recordings at a time; 0: no number limits them", capacity)
        self._gauge("xingji_live_active", "Live recordings in progress", room["active"])
        self._gauge("xingji_live_capacity", "Live recordings that the workers hold; 0: not planned", room["capacity"])
        self._gauge("xingji_live_lag_seconds", "What nine of ten texts of late waited at most", room["lag"])

    def watch_jobs(self, count: Callable[[str], float]) -> None:
        """``count``: file jobs in a state."""
        for state, meaning in (("queued", "that wait for their turn"), ("running", "that are being recognised")):
            self._gauge(f"xingji_file_jobs_{state}", f"File jobs {meaning}", partial(count, state))

    def job_ended(self, state: str) -> None:
        self._file_jobs.labels(state).inc()

    def watch_worker(self, role: str, worker: Worker) -> None:
        """Its queue and its process, under names that hold ``role``."""
        name = f"xingji_{role}_worker"
        self._gauge(f"{name}_ready", "1 while it answers", lambda: float(worker.state == "ready"))
        self._gauge(f"{name}_restarts", "Times it was started again", lambda: max(0, worker.restarts))
        self._gauge(f"{name}_jobs_waiting", "Jobs it owes", lambda: worker.waiting)
        self._gauge(
            f"{name}_queue_age_seconds",
            "How long the oldest job has waited for its turn",
            lambda: worker.waited_s(PATIENT),
        )
        ProcessCollector(namespace=name, pid=lambda: worker.pid or -1, registry=self._registry)

    def asked(self, job: Work, done: Callable[[Result], None]) -> Callable[[Result], None]:
        """``done``, and the answer is counted."""
        kind, begun = _kind(job), time.monotonic()
        if isinstance(job, Decode) and not job.last and len(job.samples) >= 2 * job.chunk:
            self._shed.labels("partial").inc(len(job.samples) // job.chunk - 1)

        def counted(result: Result) -> None:
            outcome = {Lost: "lost", Forgotten: "forgotten"}.get(type(result), "answered")
            self._answered.labels(kind, outcome).inc()
            self._took.labels(kind).observe(time.monotonic() - begun)
            if isinstance(job, Correct) and isinstance(result, Lost) and result.reason in _SHED:
                self._shed.labels("correction").inc()
            if isinstance(job, Transcribe) and job.preview and result == Lost("overloaded"):
                self._shed.labels("partial").inc()
            done(result)

        return counted

    def ran(self, job: Work, seconds: float, batch: int) -> None:
        """One job of a ``batch``; ``seconds`` is its share of the model's time."""
        kind = _kind(job)
        self._ran.labels(kind).inc(seconds)
        self._audio.labels(kind).inc(length(job) / SAMPLE_RATE)
        self._batch.labels(kind).observe(batch)

    def fell_back(self, model: str, reason: str) -> None:
        self._fallbacks.labels(model, reason).inc()

    def refused(self) -> None:
        self._shed.labels("recording").inc()

    def told(self, readings: Iterable[SentenceReadings]) -> None:
        """A recording's sentences are complete."""
        for sentence in readings:
            for edit in sentence.edits:
                self._edits.labels("accepted", edit.reason).inc()
            for refused in sentence.rejected:
                self._edits.labels("rejected", refused.reason).inc()

    def stopped(self, reason: str) -> None:
        self._stopped.labels(reason).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        Gauge(name, meaning, registry=self._registry).set_function(value)


class Stopwatch:
    """How long one live recording makes people wait. Called from the driver's thread, ``arrived`` from the client's."""

    REMEMBERED = 2048  # frames: over 30 s of 20 ms frames, and a sentence's first sample is never older than that

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        lagged: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """``lagged`` is told every partial's lag."""
        self._waits, self._clock, self._lagged = metrics.waits, clock, lagged
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=self.REMEMBERED)
        self._begun: dict[int, int] = {}  # sentence → its first sample
        self._silent: set[int] = set()  # sentences without any text yet
        self._ended: dict[int, float] = {}  # sentence → when its end was decided
        self._awaiting: set[int] = set()  # sentences whose second pass is awaited

    def arrived(self, total: int) -> None:
        """``total`` samples have come so far."""
        self._arrivals.append((total, self._clock()))

    def answered(self, job: Job) -> None:
        """A job's result has come, and what follows from it is about to be told."""
        if isinstance(job, Decode) and not job.last:
            lag = self._since_arrival("partial_lag", job.needs)
            if lag is not None:
                self._lagged(lag)
        elif isinstance(job, Transcribe) and job.preview:  # no sign of load: it may be late by its length alone
            self._since_arrival("partial_lag", job.begin + len(job.samples))

    def told(self, event: Event) -> None:
        match event:
            case SpeechStarted(sentence, at):
                self._begun[sentence] = at
                self._silent.add(sentence)
            case SpeechEnded(sentence, _):
                self._ended[sentence] = self._clock()
                self._awaiting.add(sentence)
            case SentenceRevised(sentence):
                if sentence.text and sentence.id in self._silent:
                    self._silent.discard(sentence.id)
                    self._since_arrival("first_text", self._begun[sentence.id] + 1)
                if sentence.stage == Stage.SECOND_PASS and sentence.id in self._awaiting:
                    self._awaiting.discard(sentence.id)
                    self._waits["second_pass"].observe(self._clock() - self._ended[sentence.id])
            case SentenceSettled(sentence):
                if sentence.id in self._ended:
                    self._waits["settled"].observe(self._clock() - self._ended[sentence.id])
                self._forget(sentence.id)
            case SentenceDropped(sentence, _):
                self._forget(sentence)
            case _:
                pass

    def _since_arrival(self, name: str, count: int) -> float | None:
        """Observe the time since the first ``count`` samples were there; None where that is no longer known."""
        for total, when in list(self._arrivals):
            if total >= count:
                waited = self._clock() - when
                self._waits[name].observe(waited)
                return waited
        return None

    def _forget(self, sentence: int) -> None:
        self._begun.pop(sentence, None)
        self._ended.pop(sentence, None)
        self._silent.discard(sentence)
        self._awaiting.discard(sentence)


def _kind(job: Any) -> str:
    return type(job).__name__.lower()
