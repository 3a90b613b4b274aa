"""An uploaded file is a recording fed fast: one pipeline for live and file."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..audio import Limits, decode_file
from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.types import Samples
from ..wire import Wishes
from .driver import Failed, Moment, Stopped, Told
from .hub import Hub

# Half a file is no answer. What else than its end may stop it, and what that means to whoever sent it.
CUT_SHORT = {"max_duration": "too_large", "idle": "decode_failed", "server_shutdown": "busy", "error": "internal"}


class Decoded:
    """The source of a file's recording: samples come decoded, nothing is held back."""

    def read(self, samples: Samples) -> Samples:
        return samples

    def rest(self) -> Samples:
        return np.empty(0, np.int16)

    def close(self) -> None:
        pass


def transcribe(
    hub: Hub, path: Path, wishes: Wishes, limits: Limits, progress: Callable[[int], None] | None = None
) -> Completed:
    """Decode and recognise a file; blocks until it is done. ``progress`` hears rising percents up to 100.

    Raises XingjiError: what ``decode_file`` and ``Hub.open`` raise, or one of ``CUT_SHORT``.
    """
    answer: list[Completed | Failed] = []
    stopped_by = ""
    over = threading.Event()
    percent = 0

    def tell(told: Told, moment: Moment) -> None:
        nonlocal percent, stopped_by
        match told:
            case Completed() | Failed():
                answer.append(told)
                over.set()
            case Stopped(reason):
                stopped_by = reason
            case _ if progress is not None and moment.received and driver.stopped:
                now = moment.done * 100 // moment.received
                if percent < now < 100:
                    percent = now
                    progress(now)
            case _:
                pass

    chunks = decode_file(path, limits)  # ended by its own end or by being dropped
    first = next(chunks, None)  # a file that cannot be decoded should not take a place
    driver = hub.open(wishes, Decoded(), tell)
    try:
        if first is not None:
            driver.feed(first)
        for samples in chunks:
            if driver.stopped:
                break
            driver.feed(samples)
    except BaseException:
        driver.cancel()
        raise
    driver.stop("client")
    driver.finished.wait()
    over.wait()
    if isinstance(answer[0], Failed):
        raise XingjiError("internal")
    if stopped_by != "client":
        raise XingjiError(CUT_SHORT[stopped_by])
    if progress is not None:
        progress(100)
    return answer[0]
