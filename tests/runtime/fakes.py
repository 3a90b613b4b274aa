"""Engines without models: speech is whatever is not zero, and what is answered when is up to the test."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

import numpy as np

from xingji.core.messages import (
    Align,
    Command,
    Completed,
    Correct,
    Decode,
    Detect,
    Edge,
    Edits,
    Effect,
    Hurry,
    Job,
    Result,
    Stop,
    Transcribe,
    Work,
)
from xingji.core.pronunciation import Sounds
from xingji.core.types import SAMPLE_RATE, Edit, Hypothesis, Samples
from xingji.runtime.driver import Failed, Moment, Told

PATIENCE_S = 20.0  # how long a test waits for what must come before it fails


def speech(seconds: float) -> Samples:
    return np.full(round(seconds * SAMPLE_RATE), 1000, np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), np.int16)


class Unpronounceable:
    """Knows how nothing sounds: hotwords act by their letters alone."""

    def syllables(self, text: str) -> tuple[Sounds, ...]:
        return ((),) * len(text)


Asked = tuple[int, Work, Callable[[Result], None]]


@dataclass
class Engines:
    """Answers at once, on the thread that asks, except for kinds in ``held``: those wait for ``answer``.

    Stands in for the pool as well. A segment is read 一一一… while streaming, one character per chunk,
    and 二。 in the second pass; the corrector makes that 三。
    """

    held: set[type[Any]] = field(default_factory=set)
    ready: bool = True
    is_behind: bool = False
    costs: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    heard: list[Samples] = field(default_factory=list)  # every sample given to the detector, in order
    released: list[int] = field(default_factory=list)
    patient: set[bool] = field(default_factory=set)  # what jobs have said of themselves
    waiting: "Queue[Asked]" = field(default_factory=Queue)
    _speaking: set[int] = field(default_factory=set)
    _texts: dict[int, str] = field(default_factory=dict)

    def wait(self, timeout_s: float) -> bool:
        return self.ready

    def behind(self, patient: bool) -> bool:
        return self.is_behind

    def release(self, stream: int) -> None:
        self.released.append(stream)

    def submit(self, stream: int, job: Work, done: Callable[[Result], None], patient: bool = False) -> None:
        self.patient.add(patient)
        if type(job) in self.held:
            self.waiting.put((stream, job, done))
        else:
            done(self.result(stream, job))

    def answer(self, result: Result | None = None) -> Work:
        """Wait for the next held job and answer it."""
        stream, job, done = self.waiting.get(timeout=PATIENCE_S)
        done(self.result(stream, job) if result is None else result)
        return job

    def let_go(self) -> None:
        """Hold nothing any more."""
        self.held.clear()
        while True:
            try:
                stream, job, done = self.waiting.get_nowait()
            except Empty:
                return
            done(self.result(stream, job))

    def result(self, stream: int, job: Work) -> Result:
        match job:
            case Detect():
                return self._edges(stream, job)
            case Decode():
                before = "" if job.offset == 0 else self._texts[stream]
                text = self._texts[stream] = before + "一" * -(-len(job.samples) // job.chunk)
                return Hypothesis(text, text)
            case Transcribe():
                return Hypothesis("二。")
            case Align():
                return Hypothesis(job.text)  # it does not know
            case Correct():
                return Edits((Edit(1, 2, "！"),))

    def _edges(self, stream: int, job: Detect) -> tuple[Edge, ...]:
        """Onset where something is heard, endpoint where a whole hop is silent."""
        if job.first:
            self._speaking.discard(stream)
        self.heard.append(job.samples)
        edges = []
        for at in range(0, len(job.samples), job.hop):
            hop = job.samples[at : at + job.hop]
            begin, end = job.offset + at, job.offset + at + len(hop)
            if hop.any() and stream not in self._speaking:
                self._speaking.add(stream)
                edges.append(Edge("onset", begin + int(np.flatnonzero(hop)[0]), end))
            elif not hop.any() and stream in self._speaking:
                self._speaking.discard(stream)
                edges.append(Edge("endpoint", begin, end))
        return tuple(edges)


@dataclass
class Source:
    """Passes samples on as they come, and has ``held`` back until the end."""

    held: Samples = field(default_factory=lambda: silence(0))
    asked: int = 0  # for the rest
    closed: int = 0

    def read(self, samples: Samples) -> Samples:
        return samples

    def rest(self) -> Samples:
        self.asked += 1
        return self.held

    def close(self) -> None:
        self.closed += 1


class Listener:
    """What a driver tells, in order."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.moments: list[Moment] = []
        self._queue: Queue[Told] = Queue()

    def __call__(self, told: Told, moment: Moment) -> None:
        self.told.append(told)
        self.moments.append(moment)
        self._queue.put(told)

    def wait_for(self, *kinds: type[Any]) -> Any:
        """The next of ``kinds``; others are passed over."""
        while not isinstance(told := self._queue.get(timeout=PATIENCE_S), kinds):
            pass
        return told

    def end(self) -> Completed:
        over = self.wait_for(Completed, Failed)
        assert isinstance(over, Completed)
        return over

    def kinds(self) -> list[str]:
        return [type(told).__name__ for told in self.told]


class BrokenSession:
    """A session with a defect: it raises at the first command."""

    completed = stopped = awaits_only_corrections = False
    judged = done = backlog = 0

    def handle(self, command: Command) -> list[Effect]:
        if isinstance(command, Stop | Hurry):
            return []
        raise ZeroDivisionError

    def resolve(self, job: Job, result: Result) -> list[Effect]:
        raise ZeroDivisionError


def in_thread(run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def join_recordings() -> None:
    """Wait until the hubs have forgotten recordings that have ended."""
    for thread in threading.enumerate():
        if thread.name.startswith("recording-"):
            thread.join(PATIENCE_S)
