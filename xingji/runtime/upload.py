"""An uploaded file is a recording fed fast: one pipeline for live and file."""

import threading
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np

from ..audio import Halt, Halted, Limits, decode_file
from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.types import SAMPLE_RATE, Samples
from ..wire import Wishes
from .driver import Failed, Moment, Stopped, Told
from .hub import Hub

# Half a file is no answer. What else than its end may stop it, and what that means to whoever sent it.
CUT_SHORT = {"max_duration": "too_large", "idle": "decode_failed", "server_shutdown": "busy", "error": "internal"}
SPEEDUP = 4.0  # seconds of audio that decoding must manage in a second of waiting, at the very least
LOOK_S = 0.2  # how often a job that gives way to people looks whether it still must


def file_limits(max_seconds: float) -> Limits:
    return Limits(max_seconds, max_wall_s=60.0 + max_seconds / SPEEDUP, max_memory_bytes=256 << 20)


class Decoded:
    """The source of a file's recording: samples come decoded, nothing is held back."""

    def read(self, samples: Samples) -> Samples:
        return samples

    def rest(self) -> Samples:
        return np.empty(0, np.int16)

    def close(self) -> None:
        pass


def transcribe(
    hub: Hub,
    path: Path,
    wishes: Wishes,
    limits: Limits,
    progress: Callable[[int], None] | None = None,
    halt: Halt | None = None,
) -> Completed:
    """Decode and recognise a file; blocks until it is done. ``progress`` hears rising percents up to 100: of what the
    file claims to hold while it is read, of what it held from then on.

    Raises XingjiError: what ``decode_file`` and ``Hub.open`` raise, or one of ``CUT_SHORT``. Raises Halted where
    another thread has asked ``halt``; the decoder is gone then, and no engine is asked for more.
    """
    halt = halt or Halt()
    answer: list[Completed | Failed] = []
    stopped_by = ""
    over = threading.Event()
    percent = 0
    claimed = 0  # samples

    def declared(seconds: float) -> None:
        nonlocal claimed
        claimed = int(seconds * SAMPLE_RATE)

    def tell(told: Told, moment: Moment) -> None:
        nonlocal percent, stopped_by
        total = moment.received if driver.stopped else max(claimed, moment.received) if claimed else 0
        match told:
            case Completed() | Failed():
                answer.append(told)
                over.set()
            case Stopped(reason):
                stopped_by = reason
            case _ if progress is not None and total:
                now = moment.done * 100 // total
                if percent < now < 100:
                    percent = now
                    progress(now)
            case _:
                pass

    chunks = decode_file(path, limits, halt, declared)  # ended by its own end or by being dropped
    first = next(chunks, None)  # a file that cannot be decoded should not take a place
    if halt.asked:
        raise Halted
    driver = hub.open(wishes, Decoded(), tell)
    halt.on(driver.cancel)
    try:
        for samples in chain(() if first is None else (first,), chunks):
            while wishes.background and hub.strained and not driver.stopped:
                time.sleep(LOOK_S)
            if driver.stopped:
                break
            driver.feed(samples)
    except BaseException:
        driver.cancel()
        raise
    driver.stop("client")
    driver.finished.wait()
    if driver.cancelled and not answer:
        raise Halted
    over.wait()
    if isinstance(answer[0], Failed):
        raise XingjiError("internal")
    if stopped_by != "client":
        raise XingjiError(CUT_SHORT[stopped_by])
    if progress is not None:
        progress(100)
    return answer[0]
