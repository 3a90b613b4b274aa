"""An uploaded file is a recording fed fast: one pipeline for live and file."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from queue import Empty, Queue

import numpy as np

from ..audio import Limits, decode_file
from ..core.errors import XingjiError
from ..core.messages import Completed, Event
from ..core.types import Samples
from ..wire import Wishes
from .driver import Failed, Moment, Stopped, Told
from .hub import Hub

# Half a file is no answer. What else than its end may stop it, and what that means to whoever sent it.
CUT_SHORT = {"max_duration": "too_large", "idle": "decode_failed", "server_shutdown": "busy", "error": "internal"}
TICK_S = 1.0


class Decoded:
    """The source of a file's recording: samples come decoded, nothing is held back."""

    def read(self, samples: Samples) -> Samples:
        return samples

    def rest(self) -> Samples:
        return np.empty(0, np.int16)

    def close(self) -> None:
        pass


class Transcription:
    """A file that is being recognised. Iterating over it, once, does the work and gives what happens: events of the
    session up to Completed, and None about once a second besides. It does not run ahead of its reader.

    Iterating raises XingjiError: what ``decode_file`` raises, or one of ``CUT_SHORT``. Must be closed in the end.
    """

    def __init__(
        self, hub: Hub, path: Path, wishes: Wishes, limits: Limits, progress: Callable[[int], None] | None = None
    ) -> None:
        """``progress`` hears rising percents up to 100. Raises XingjiError: what ``decode_file`` and ``Hub.open``
        raise."""
        self._progress, self._percent = progress, 0
        self._told: Queue[Event | Failed] = Queue()
        self._stopped_by = ""
        self._over = False
        self._chunks = decode_file(path, limits)
        first = next(self._chunks, None)  # a file that cannot be decoded should not take a place
        self._samples = chain(() if first is None else (first,), self._chunks)
        self._driver = hub.open(wishes, Decoded(), self._tell)

    def __iter__(self) -> Iterator[Event | None]:
        ticked_at = time.monotonic()
        while not self._over:
            if (event := self._next()) is not None:
                yield event
            else:
                self._feed()
            if not self._over and time.monotonic() - ticked_at >= TICK_S:
                yield None
                ticked_at = time.monotonic()

    def close(self) -> None:
        """Nothing goes on after this; harmless when all is done."""
        if not self._over:
            self._driver.cancel()
        self._chunks.close()

    def _feed(self) -> None:
        if self._driver.stopped:
            return
        samples = next(self._samples, None)
        if samples is None:
            self._driver.stop("client")
        else:
            self._driver.feed(samples)

    def _next(self) -> Event | None:
        """None where nothing has happened. Waits for it when there is nothing else to do."""
        try:
            told = self._told.get(timeout=TICK_S if self._driver.stopped else 0)
        except Empty:
            return None
        match told:
            case Failed():
                raise XingjiError("internal")
            case Completed() if self._stopped_by != "client":
                raise XingjiError(CUT_SHORT[self._stopped_by])
            case Completed():
                self._over = True
                if self._progress is not None:
                    self._progress(100)
        return told

    def _tell(self, told: Told, moment: Moment) -> None:
        """From the driver's thread."""
        match told:
            case Stopped(reason):
                self._stopped_by = reason
                return
            case Completed() | Failed():
                pass
            case _ if self._progress is not None and moment.received and self._driver.stopped:
                percent = moment.done * 100 // moment.received
                if self._percent < percent < 100:
                    self._percent = percent
                    self._progress(percent)
        self._told.put(told)


def transcribe(
    hub: Hub, path: Path, wishes: Wishes, limits: Limits, progress: Callable[[int], None] | None = None
) -> Completed:
    """Decode and recognise a file; blocks until it is done. Raises XingjiError as ``Transcription`` does."""
    with closing(Transcription(hub, path, wishes, limits, progress)) as running:
        done = deque(running, maxlen=1).pop()
    assert isinstance(done, Completed)
    return done
