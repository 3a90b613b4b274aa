"""The audio of file jobs: a folder with a file for each, under its job's id. Disk work runs on a real thread."""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..core.errors import XingjiError
from .green import offload

COPIED = 1 << 20  # bytes at a time


class AudioFolder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, id: str) -> Path:
        return self._folder / id

    def write(self, id: str, audio: IO[bytes]) -> int:
        """The bytes of ``audio``, on the disk when this returns. Raises OSError, XingjiError("empty_file"); then
        nothing is left of it."""
        return offload(_written, self.path(id), audio)

    def sync(self, id: str) -> int:
        """As ``write``, of a file that was written by somebody else."""
        return offload(_synced, self.path(id))

    def remove(self, id: str) -> None:
        """What cannot be deleted now is by ``keep_only``."""
        offload(_removed, self.path(id))

    def keep_only(self, ids: Collection[str]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.iterdir():
            if path.name not in ids:
                _removed(path)


def _written(path: Path, audio: IO[bytes]) -> int:
    try:
        with path.open("xb") as file:
            os.chmod(path, 0o600)
            shutil.copyfileobj(audio, file, COPIED)
        return _synced(path)
    except BaseException:
        _removed(path)
        raise


def _synced(path: Path) -> int:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    if not size:
        raise XingjiError("empty_file")
    with suppress(PermissionError):  # Windows opens no folders, and needs not to
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return size


def _removed(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
