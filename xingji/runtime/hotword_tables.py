"""Named hotword tables: a folder with a file for each, of the same shape as ``hotwords.json``.

The folder is the truth: a file that was put there, edited or taken away counts at the next use. A
recording takes a table as it is when it starts. All methods are thread-safe.
"""

import logging
import threading
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

from ..core.errors import XingjiError
from ..core.hotwords import HotwordIndex
from ..core.lexicon import Lexicon
from ..core.pronunciation import Pronouncer
from ..core.types import Hotword
from ..wire import ID
from .green import offload
from .hotword_file import HotwordFile, Table

log = logging.getLogger(__name__)

MOST_TABLES = 1000

Stamp = tuple[int, int]  # a file's time of change and size


class HotwordTables:
    def __init__(self, folder: Path, pronouncer: Pronouncer, lexicon: Lexicon | None = None) -> None:
        """``folder`` may be missing; the first table makes it."""
        self._folder, self._pronouncer, self._lexicon = folder, pronouncer, lexicon
        self._lock = threading.RLock()
        self._files: dict[str, tuple[Stamp, HotwordFile]] = {}
        # An index is large: it is kept as long as a recording uses it, and shared by those that do.
        self._indexes: WeakValueDictionary[str, HotwordIndex] = WeakValueDictionary()

    def all(self) -> dict[str, Table]:
        """Every table, by id."""
        with self._lock:
            return {id: self._file(id).table for id in self._ids()}

    def read(self, id: str) -> Table:
        """Raises XingjiError("not_found")."""
        with self._lock:
            return self._file(id).table

    def notes(self, id: str) -> tuple[dict[str, Any], float]:
        """What the table's file says besides its words, and when it was last changed, in unix seconds.

        Raises XingjiError("not_found").
        """
        with self._lock:
            return self._file(id).notes()

    def create(
        self, items: object, id: object = None, notes: Mapping[str, object] = MappingProxyType({})
    ) -> tuple[str, Table]:
        """A new table; its id is made here where none is given. ``notes`` are kept beside the words, whoever
        changes them later.

        Raises XingjiError: invalid_hotwords, also for a bad id or one table too many; version_conflict
        where the id is taken.
        """
        with self._lock:
            if id is None:
                id = f"table_{uuid.uuid4().hex}"
            if not isinstance(id, str) or not ID.fullmatch(id):
                rule = {"zh": "应为 1 到 80 个字母、数字、_ 或 -。", "en": "must be 1 to 80 of A-Z a-z 0-9 _ -."}
                raise XingjiError("invalid_hotwords", field="id", detail={**rule})
            if self._path(id).exists():
                raise XingjiError("version_conflict", detail={"version": self._file(id).table.version})
            if len(self._ids()) >= MOST_TABLES:
                most = {"zh": f"最多 {MOST_TABLES} 个热词表。", "en": f"at most {MOST_TABLES} tables."}
                raise XingjiError("invalid_hotwords", field="id", detail={**most})
            self._folder.mkdir(parents=True, exist_ok=True)
            HotwordFile(self._path(id), lambda words: None).replace(items, notes=notes)
            return id, self._file(id).table

    def replace(self, id: str, items: object, if_version: int | None = None) -> Table:
        """All words of a table anew. Raises XingjiError: not_found, invalid_hotwords, version_conflict."""
        with self._lock:
            return self._file(id).replace(items, if_version)

    def delete(self, id: str, if_version: int | None = None) -> None:
        """Recordings that use the table keep it. Raises XingjiError: not_found, version_conflict."""
        with self._lock:
            self._file(id).expect(if_version)
            self._path(id).unlink(missing_ok=True)
            self._forget(id)

    def index(self, id: str) -> HotwordIndex:
        """The table, ready for use. Raises XingjiError("not_found")."""
        with self._lock:
            words = self._file(id).table.words
            index = self._indexes.get(id)
            if index is None:
                index = offload(HotwordIndex, words, self._pronouncer, self._lexicon)
                self._indexes[id] = index
            return index

    def _ids(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.json") if ID.fullmatch(path.stem))

    def _path(self, id: str) -> Path:
        return self._folder / f"{id}.json"

    def _file(self, id: str) -> HotwordFile:
        """The table as the folder has it now. A file that cannot be parsed changes nothing."""
        stamp = self._look(id)
        if stamp is None:
            self._forget(id)
            raise XingjiError("not_found")
        known = self._files.get(id)
        if known is not None and known[0] == stamp:
            return known[1]
        if known is None:
            file = HotwordFile(self._path(id), partial(self._changed, id))
        else:
            file = known[1]
            try:
                file.reload()
            except XingjiError:
                log.warning("hotword table is not valid; it stays as it was", extra={"file": file.name})
        self._files[id] = (stamp, file)
        return file

    def _look(self, id: str) -> Stamp | None:
        if not ID.fullmatch(id):
            return None
        try:
            stat = self._path(id).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size

    def _changed(self, id: str, words: tuple[Hotword, ...]) -> None:
        self._indexes.pop(id, None)

    def _forget(self, id: str) -> None:
        self._files.pop(id, None)
        self._indexes.pop(id, None)
