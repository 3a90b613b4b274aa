"""Runs corrections on a bounded number of threads, one request per recording at a time, and never lets them queue up.

Sentences of a recording that come while its request is under way wait for it and then go together, so that a minute
of speech costs a bounded number of requests however short its sentences are. A sentence has so many seconds from when
it came, waiting and a retry included; one that has too few left is answered with ``Lost`` and the model is not asked.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from queue import Queue
from typing import Any, Protocol

from ..core.messages import Correct, Edits, Lost, Result

log = logging.getLogger(__name__)

TOGETHER = 8  # sentences in one request
WORTH_ASKING = 0.1  # part of a sentence's time: with less of it left no model answers

_Waiting = tuple[float, Correct, Callable[[Result], None]]  # since when, what, and who is told


class Corrector(Protocol):
    """An LLM that proposes edits (``engines.qwen3.Qwen3Corrector``)."""

    def correct(self, jobs: Sequence[Correct], within_s: float | None = None) -> list[Edits | Lost]: ...
    def status(self) -> Any: ...  # a dataclass


class Corrections:
    def __init__(self, corrector: Corrector, threads: int, patience_s: float) -> None:
        """``patience_s``: the time of one sentence."""
        self._corrector, self._patience_s = corrector, patience_s
        self._lock = threading.Lock()
        self._waiting: dict[int, deque[_Waiting]] = {}  # by recording; it has an entry while any of it is under way
        self._next: Queue[int] = Queue()  # recordings of which something waits and nothing is under way
        for number in range(threads):
            threading.Thread(target=self._run, name=f"correct-{number}", daemon=True).start()

    def submit(self, stream: int, job: Correct, done: Callable[[Result], None]) -> None:
        """Jobs of one recording are answered in their order. Never blocks."""
        with self._lock:
            first = stream not in self._waiting
            self._waiting.setdefault(stream, deque()).append((time.monotonic(), job, done))
        if first:
            self._next.put(stream)

    def status(self) -> dict[str, Any]:
        """Facts for the health page: configured, reachable, external, model, host …"""
        return asdict(self._corrector.status())

    def _run(self) -> None:
        while True:
            stream = self._next.get()
            with self._lock:
                line = self._waiting[stream]
                together = [line.popleft() for _ in range(min(TOGETHER, len(line)))]
            self._correct(together)
            with self._lock:
                if line:
                    self._next.put(stream)
                else:
                    del self._waiting[stream]

    def _correct(self, together: Sequence[_Waiting]) -> None:
        now = time.monotonic()
        in_time = [item for item in together if self._left(item, now) > self._patience_s * WORTH_ASKING]
        for item in together:
            if item not in in_time:
                item[2](Lost("timeout"))
        if not in_time:
            return
        results: list[Edits | Lost]
        try:
            within = min(self._left(item, now) for item in in_time)
            results = self._corrector.correct([job for _, job, _ in in_time], within)
        except Exception:  # the worker loop's rim, for a model over HTTP: the thread must live, and each be answered
            log.exception("correction failed")
            results = [Lost("http_error")] * len(in_time)
        for (_, _, done), result in zip(in_time, results, strict=True):
            done(result)

    def _left(self, item: _Waiting, now: float) -> float:
        return item[0] + self._patience_s - now
