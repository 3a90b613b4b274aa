"""Uploaded audio of any common container becomes 16 kHz int16 samples.

The file is decoded by a fresh child interpreter that can open nothing else, has limits on
memory and processor time, and dies with the iterator: a hostile file costs one short-lived process.
"""

import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from xingji.core.errors import XingjiError
from xingji.core.types import SAMPLE_RATE, Samples

log = logging.getLogger(__name__)

FORMAT_NAMES = ("aac", "flac", "m4a", "mp3", "ogg", "wav", "webm", "wma")
"""What we promise to decode. What a file is called does not matter; its content decides."""

# A file that begins like this is of a known format; if it cannot be opened it is damaged, not foreign.
SIGNATURES = ((0, b"RIFF"), (0, b"ID3"), (0, b"OggS"), (0, b"fLaC"), (4, b"ftyp"), (0, b"\x1aE\xdf\xa3"),
              (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), (0, b"#!AMR"))  # fmt: skip

CHUNK_BYTES = SAMPLE_RATE * 2  # one second of int16
REFUSED = 3  # the child's exit status when its last line on stderr names the reason

_ROOT = Path(__file__).resolve().parents[2]  # where the child finds this package
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "HOME", "APPDATA", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Beyond the first three is ``too_large``, else ``unsupported_format``."""

    max_seconds: float  # of decoded audio; what a header declares is never believed
    max_wall_s: float  # spent waiting for the child; the consumer's own time does not count
    max_memory_bytes: int  # beyond what the interpreter and its libraries take (enforced on Linux)
    min_rate: int = 4_000  # Hz
    max_rate: int = 192_000  # Hz
    max_channels: int = 8


def decode_file(path: Path, limits: Limits) -> Iterator[Samples]:
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
            _check(child)
        finally:
            child.kill()


def is_container(head: bytes) -> bool:
    """Do these first bytes (16 are enough) begin a file of a format that we know? Else they may be bare samples."""
    return any(head.startswith(mark, at) for at, mark in SIGNATURES)


def wav_header(rate: int, size: int) -> bytes:
    """What goes in front of ``size`` bytes of mono int16 at ``rate`` Hz, so that they can be decoded as a file."""
    form = b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", *form, b"data", size)


def _start(path: Path, limits: Limits) -> subprocess.Popen[bytes]:
    """A fresh interpreter, never a fork of this one: the parent may be patched, threaded or large."""
    # Secrets in our environment are no business of a process that reads strangers' files.
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "xingji.audio.decode_child", str(path.resolve()), json.dumps(asdict(limits))],
        cwd=_ROOT,
        env=environment | {"OPENBLAS_NUM_THREADS": "1"},
        bufsize=CHUNK_BYTES,  # buffered also under eventlet, so that a read is short only at the end
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


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


def _check(child: subprocess.Popen[bytes]) -> None:
    """Raise what the child, whose output has ended, has to say about its end."""
    assert child.stderr is not None
    complaint = child.stderr.read()
    status = child.wait()
    if status == 0:
        return
    if status == REFUSED:
        raise XingjiError(json.loads(complaint.splitlines()[-1])["code"])
    if sys.platform != "win32" and status == -signal.SIGXCPU:
        raise XingjiError("too_large")
    last_words = complaint[-2000:].decode(errors="replace")
    log.error("decoder child died", extra={"status": status, "stderr": last_words})
    # A signal means that the file broke the decoder; a plain status means that the child never got to work.
    raise XingjiError("decode_failed" if status < 0 else "internal")
