"""Uploaded audio of any common container becomes 16 kHz int16 samples.

The file is decoded by a fresh child interpreter that can open nothing else, has limits on
memory and processor time, and dies with the iterator: a hostile file costs one short-lived process.
"""

import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, Samples

from .child import spawn, verdict
from .limits import Limits

FORMAT_NAMES = ("aac", "flac", "m4a", "mp3", "ogg", "wav", "webm", "wma")
"""What we promise to decode. What a file is called does not matter; its content decides."""

CHUNK_BYTES = SAMPLE_RATE * 2  # one second of int16


def decode_file(path: Path, limits: Limits) -> Generator[Samples, None, None]:
    """Yield the file's audio, channels averaged, in chunks of one second (the last may be shorter).

    Damaged packets are skipped. Raises ``XingjiError``: ``empty_file``, ``unsupported_format``,
    ``decode_failed``, ``too_large`` (possibly after the audio up to the limit), or ``internal`` when the
    child cannot run at all. Close the iterator (or drop it) to stop early; the child is killed.
    Blocks the calling thread, or only the calling greenlet where eventlet has patched the process.
    """
    if path.stat().st_size == 0:
        raise XingjiError("empty_file")
    with _start(path, limits) as child:
        try:
            yield from _chunks(child, limits.max_wall_s)
            if error := verdict(child):
                raise error
        finally:
            child.kill()


def _start(path: Path, limits: Limits) -> subprocess.Popen[bytes]:
    # Buffered also under eventlet, so that a read is short only at the end.
    return spawn("file", str(path.resolve()), limits, subprocess.DEVNULL, CHUNK_BYTES)


def _chunks(child: subprocess.Popen[bytes], budget_s: float) -> Iterator[Samples]:
    assert child.stdout is not None
    while True:
        begun = time.monotonic()
        # A timer works alike for threads, greenlets and Windows pipes, where select and timeouts do not.
        timer = threading.Timer(budget_s, child.kill)
        timer.daemon = True
        timer.start()
        try:
            data = child.stdout.read(CHUNK_BYTES)
        finally:
            timer.cancel()
        budget_s -= time.monotonic() - begun
        if budget_s <= 0:
            raise XingjiError("too_large")
        if not data:
            return
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2")
