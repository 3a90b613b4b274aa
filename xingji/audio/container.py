"""Uploaded audio of any common container becomes 16 kHz int16 samples.

The file is decoded by a fresh child interpreter that can open nothing else, has limits on
memory and processor time, and dies with the iterator: a hostile file costs one short-lived process.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np

from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, Samples

from .child import DECLARED, spawn, verdict
from .halt import Halt
from .limits import Limits

FORMAT_NAMES = ("aac", "flac", "m4a", "mp3", "ogg", "wav", "webm", "wma")
"""What we promise to decode. What a file is called does not matter; its content decides."""

CHUNK_BYTES = SAMPLE_RATE * 2  # one second of int16


def decode_file(
    path: Path, limits: Limits, halt: Halt | None = None, declared: Callable[[float], None] | None = None
) -> Generator[Samples, None, None]:
    """Yield the file's audio, channels averaged, in chunks of one second (the last may be shorter).

    Damaged packets are skipped. Raises ``XingjiError``: ``empty_file``, ``unsupported_format``,
    ``decode_failed``, ``too_large`` (possibly after the audio up to the limit), or ``internal`` when the
    child cannot run at all. Close the iterator (or drop it) to stop early; the child is killed. So it is when another
    thread asks ``halt``: then the iterator ends. ``declared`` is told, before any audio comes, how many seconds the
    file claims to have; 0 where it does not say. Never to be believed.
    Blocks the calling thread, or only the calling greenlet where eventlet has patched the process.
    """
    if path.stat().st_size == 0:
        raise XingjiError("empty_file")
    with _start(path, limits) as child:
        halt = halt or Halt()
        halt.on(child.kill)
        try:
            yield from _chunks(child, limits.max_wall_s, declared or (lambda seconds: None))
            if not halt.asked and (error := verdict(child)):
                raise error
        finally:
            child.kill()


def _start(path: Path, limits: Limits) -> subprocess.Popen[bytes]:
    # Buffered also under eventlet, so that a read is short only at the end.
    return spawn("file", str(path.resolve()), limits, subprocess.DEVNULL, CHUNK_BYTES)


def _chunks(child: subprocess.Popen[bytes], budget_s: float, declared: Callable[[float], None]) -> Iterator[Samples]:
    assert child.stdout is not None
    size = DECLARED.size
    while True:
        begun = time.monotonic()
        # A timer works alike for threads, greenlets and Windows pipes, where select and timeouts do not.
        timer = threading.Timer(budget_s, child.kill)
        timer.daemon = True
        timer.start()
        try:
            data = child.stdout.read(size)
        finally:
            timer.cancel()
        budget_s -= time.monotonic() - begun
        if budget_s <= 0:
            raise XingjiError("too_large")
        if not data:
            return
        if size == DECLARED.size:
            size = CHUNK_BYTES
            declared(*DECLARED.unpack(data))
            continue
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2")
