"""Backup audio, where an operator wants it: what each recording took, as ``<recording id>.wav``, for some hours.

A disk that is full or a folder that cannot be written costs the backup, never the recording.
"""

import logging
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..core.errors import XingjiError
from ..core.types import SAMPLE_RATE, Samples
from ..wire import ID
from .green import offload

log = logging.getLogger(__name__)

SWEEP_S = 600.0
AT_ONCE = SAMPLE_RATE  # samples that are gathered before they are written
LARGEST = 0xFFFF_FFFF - 36  # bytes that the header of a WAV file can tell


class Backup:
    """One recording's file, written from one thread; it is made with its first samples and valid at any moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[Samples] = []
        self._file: BinaryIO | None = None
        self._bytes = 0
        self._over = False
        self._lost = False

    @property
    def id(self) -> str | None:
        """The recording's id once there is a file; None where there is none."""
        return self._path.stem if self._bytes and not self._lost else None

    def write(self, samples: Samples) -> None:
        if not self._over:
            self._waiting.append(samples)
            if sum(map(len, self._waiting)) >= AT_ONCE:
                self._attempt(self._append)

    def close(self) -> None:
        """Nothing more will be written. Harmless when repeated."""
        if not self._over:
            self._attempt(self._append)
            self._over = True
            self._attempt(self._let_go)

    def discard(self) -> None:
        """As if the recording had not been backed up."""
        self._over = self._lost = True
        self._attempt(self._remove)

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            offload(work)
        except OSError as error:
            if not self._lost:
                log.warning("backup audio is lost", extra={"recording": self._path.stem, "errno": error.errno})
                self.discard()

    def _append(self) -> None:
        data = b"".join(samples.astype("<i2").tobytes() for samples in self._waiting)
        self._waiting.clear()
        if not data:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so that what cannot be written is known now and not when the file is closed.
            self._file = self._path.open("xb", buffering=0)
            os.chmod(self._path, 0o600)
            _write(self._file, header(0))
        _write(self._file, data)
        self._bytes += len(data)
        self._file.seek(0)
        _write(self._file, header(self._bytes))
        self._file.seek(0, os.SEEK_END)

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()

    def _remove(self) -> None:
        self._waiting.clear()
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()


class Backups:
    def __init__(self, folder: Path | None, keep_h: float) -> None:
        """``folder`` None: nothing is backed up."""
        self._folder, self._keep_s = folder, keep_h * 3600.0

    def begin(self, recording_id: str) -> Backup | None:
        return None if self._folder is None else Backup(self._folder / f"{recording_id}.wav")

    def find(self, id: str) -> Path:
        """Raises XingjiError("not_found")."""
        if self._folder is None or not ID.fullmatch(id):
            raise XingjiError("not_found")
        path = self._folder / f"{id}.wav"
        if not path.is_file():
            raise XingjiError("not_found")
        return path

    def delete(self, id: str) -> None:
        """Raises XingjiError("not_found")."""
        self.find(id).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what is older than it may be; other files in the folder stay."""
        if self._folder is None:
            return
        oldest = time.time() - self._keep_s
        for path in self._folder.glob("*.wav"):
            try:
                if ID.fullmatch(path.stem) and path.stat().st_mtime < oldest:
                    path.unlink()
            except OSError:
                log.warning("old backup audio cannot be deleted", extra={"recording": path.stem})

    def watch(self) -> None:
        """Sweep now and then; run on a thread of its own, for ever."""
        while True:
            offload(self.sweep)
            time.sleep(SWEEP_S)


def header(size: int) -> bytes:
    """Of a WAV file with ``size`` bytes of 16-bit mono samples at 16 kHz."""
    size = min(size, LARGEST)
    width = np.dtype(np.int16).itemsize
    form = (b"fmt ", 16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * width, width, 8 * width)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", *form, b"data", size)


def _write(file: BinaryIO, data: bytes) -> None:
    """All of it: an unbuffered file may take less at a time, as on a disk that is filling up."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
