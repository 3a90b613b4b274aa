"""The ways to a recogniser that is not one of the workers' usual ones: over HTTP, or in a process of its own.

A model over HTTP has a bounded number of threads here (green ones under eventlet); people come before files, and
nobody who waits queues for long. A watch asks its server now and then how it is, so that one that is away costs no
sentence any time, and is used again soon after it is back.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from queue import PriorityQueue
from typing import Any, Protocol

from ..core.messages import Align, Lost, NoSpeech, Result, Transcribe, Work
from ..core.types import Hypothesis
from .registry import Entry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """``patience_s``: how long a segment of somebody who waits may queue. ``hosts``: whom a request may name."""

    threads: int = 16
    patience_s: float = 5.0
    check_s: float = 10.0
    hosts: tuple[str, ...] = ()


class Recogniser(Protocol):
    """A model over HTTP (``engines.qwen3_asr.Qwen3Asr``)."""

    def transcribe(self, job: Transcribe) -> Hypothesis | NoSpeech | Lost: ...
    def check(self) -> bool: ...
    def status(self) -> Any: ...  # a dataclass
    def close(self) -> None: ...


class Worker(Protocol):
    """A process with a model of its own (``runtime.link.Link``)."""

    ready: threading.Event

    @property
    def hopeless(self) -> bool: ...
    @property
    def waiting(self) -> int: ...
    def submit(self, stream: int, job: Work, done: Callable[[Result], None], patient: bool = False) -> None: ...
    def close(self) -> None: ...


Asked = tuple[bool, int, float, Transcribe, Callable[[Hypothesis | NoSpeech | Lost], None]]


class Remote:
    """The threads that ask one model on one server."""

    def __init__(self, key: str, recogniser: Recogniser, rules: Rules) -> None:
        self._recogniser, self._rules = recogniser, rules
        self._numbers = itertools.count()
        self._queue: PriorityQueue[Asked | tuple[float]] = PriorityQueue()
        self._over = threading.Event()
        threads = {f"{key}-{number}": self._run for number in range(rules.threads)} | {f"{key}-watch": self._watch}
        for name, work in threads.items():
            threading.Thread(target=work, name=name, daemon=True).start()

    def submit(self, job: Transcribe, done: Callable[[Hypothesis | NoSpeech | Lost], None], patient: bool) -> None:
        self._queue.put((patient, next(self._numbers), time.monotonic(), job, done))

    def status(self) -> dict[str, Any]:
        return asdict(self._recogniser.status()) | {"waiting": self._queue.qsize()}

    def close(self) -> None:
        """What still waits for an answer gets Lost."""
        self._over.set()
        for _ in range(self._rules.threads):
            self._queue.put((float("inf"),))

    def _run(self) -> None:
        while True:
            match self._queue.get():
                case (patient, _, since, job, done):
                    waited = time.monotonic() - since
                    done(Lost("busy") if waited > self._rules.patience_s and not patient else self._ask(job))
                case _:
                    return

    def _ask(self, job: Transcribe) -> Hypothesis | NoSpeech | Lost:
        try:
            return self._recogniser.transcribe(job)
        except Exception:  # the worker loop's rim, for a model over HTTP
            log.exception("recogniser failed")
            return Lost("engine_failed")

    def _watch(self) -> None:
        while not self._over.is_set():
            try:
                self._recogniser.check()
            except Exception:  # the same: a watch that died would leave the model out for ever
                log.exception("health check failed")
            self._over.wait(self._rules.check_s)
        self._recogniser.close()


class Embedded:
    """A model in a worker process of its own. While that loads, nobody waits for it."""

    def __init__(self, entry: Entry, worker: Worker) -> None:
        self._entry, self._worker = entry, worker

    def submit(
        self, job: Transcribe | Align, done: Callable[[Hypothesis | NoSpeech | Lost], None], patient: bool
    ) -> None:
        def answered(result: Result) -> None:
            done(result if isinstance(result, Hypothesis | NoSpeech | Lost) else Lost("engine_failed"))

        if self._worker.ready.is_set():
            self._worker.submit(job.segment, job, answered, patient)
        else:
            done(Lost("unavailable" if self._worker.hopeless else "not_ready"))

    def status(self) -> dict[str, Any]:
        ready = self._worker.ready.is_set()
        problem = None if ready else "unavailable" if self._worker.hopeless else "loading"
        return {
            "model": self._entry.repo,
            "host": "",
            "external": False,
            "reachable": ready,
            "resting": not ready,
            "problem": problem,
            "waiting": self._worker.waiting,
        }

    def close(self) -> None:
        self._worker.close()
