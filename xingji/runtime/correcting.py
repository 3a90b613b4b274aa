"""Runs corrections on a bounded number of threads and never lets them queue up.

Correction is the first thing to be shed: one that has waited longer than a sentence may take at
all is answered with ``Lost`` without asking the model.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from queue import Queue
from typing import Any, Protocol

from ..core.messages import Correct, Edits, Lost, Result

log = logging.getLogger(__name__)


class Corrector(Protocol):
    """An LLM that proposes edits (``engines.qwen3.Qwen3Corrector``)."""

    def correct(self, job: Correct) -> Edits | Lost: ...
    def status(self) -> Any: ...  # a dataclass


class Corrections:
    def __init__(self, corrector: Corrector, threads: int, patience_s: float) -> None:
        self._corrector, self._patience_s = corrector, patience_s
        self._queue: Queue[tuple[float, Correct, Callable[[Result], None]]] = Queue()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"correct-{number}", daemon=True).start()

    def submit(self, job: Correct, done: Callable[[Result], None]) -> None:
        self._queue.put((time.monotonic(), job, done))

    def status(self) -> dict[str, Any]:
        """Facts for the health page: configured, reachable, external, model, host …"""
        return asdict(self._corrector.status())

    def _run(self) -> None:
        while True:
            since, job, done = self._queue.get()
            if time.monotonic() - since > self._patience_s:
                done(Lost("timeout"))
                continue
            try:
                result: Edits | Lost = self._corrector.correct(job)
            except Exception:
                log.exception("correction failed")
                result = Lost("http_error")
            done(result)
