"""Times for the words of a reading that has none, on its way from the recogniser to the session.

An aligner gives them where there is one, else the workers' own second pass, and where neither can, nobody. A text never
waits for long: what somebody waits for goes on without times once its limit is over. So the session sees one reading,
with words or without, and what it makes of the text is the same (words that were aligned have no confidence).
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ..core.messages import Align, Result, Transcribe, Work
from ..core.types import Hypothesis
from .metrics import Metrics

Done = Callable[[Result], None]


class Workers(Protocol):
    def submit(self, stream: int, job: Work, done: Done, patient: bool = False) -> None: ...


class Aligner(Protocol):
    """A model that only aligns (``remote.Embedded``)."""

    def submit(self, job: Align, done: Done, patient: bool) -> None: ...


class Aligning:
    def __init__(self, aligner: Aligner | None, within_s: float, metrics: Metrics) -> None:
        """``within_s``: how long somebody who waits for a text waits for its times; 0: nothing is aligned."""
        self._aligner, self._within_s, self._metrics = aligner, within_s, metrics

    def align(
        self,
        workers: Workers,
        stream: int,
        job: Transcribe,
        heard: Hypothesis,
        done: Callable[[Hypothesis], None],
        patient: bool,
    ) -> None:
        """``done`` is called once with ``heard``, with times if they come in time. A file is patient: nobody waits."""
        if heard.words or not heard.text or not self._within_s:
            done(heard)
            return
        work = Align(job.segment, job.samples, heard.text, heard.language or job.language, job.begin)
        answer = _Once(heard, done, None if patient else self._within_s)

        def ask_workers() -> None:
            workers.submit(stream, work, self._metrics.asked(work, answer), patient)

        def aligned(result: Result) -> None:
            if isinstance(result, Hypothesis) and result.words:
                answer(result)
            elif not answer.given:
                ask_workers()

        if self._aligner is None:
            ask_workers()
        else:
            self._aligner.submit(work, self._metrics.asked(work, aligned), patient)


class _Once:
    """Passes the reading on once: with the words of the first answer, or without when the time is over."""

    def __init__(self, heard: Hypothesis, done: Callable[[Hypothesis], None], within_s: float | None) -> None:
        self._heard, self._done = heard, done
        self._lock = threading.Lock()
        self.given = False
        self._timer: threading.Timer | None = None
        if within_s is not None:
            self._timer = threading.Timer(within_s, self._finish, (heard,))
            self._timer.daemon = True
            self._timer.start()

    def __call__(self, result: Result) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if isinstance(result, Hypothesis) and result.words:
            self._finish(replace(self._heard, words=result.words, timestamp_source=result.timestamp_source))
        else:
            self._finish(self._heard)

    def _finish(self, heard: Hypothesis) -> None:
        with self._lock:
            if self.given:
                return
            self.given = True
        self._done(heard)
