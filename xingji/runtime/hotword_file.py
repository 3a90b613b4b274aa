"""``hotwords.json`` as a table with a version: read, watched, changed through the API, never emptied by accident.

A file that cannot be parsed, for example because an editor is half way through writing it, leaves
the table as it is. Writing goes to a temporary file that then takes the old one's name, and keeps
keys of the document that are not ours. All methods are thread-safe.
"""

import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.errors import XingjiError
from ..core.hotword_table import parse
from ..core.types import Hotword

log = logging.getLogger(__name__)

POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    words: tuple[Hotword, ...]
    version: int  # rises with every change, from 1
    updated_at: float  # unix seconds


class HotwordFile:
    def __init__(self, path: Path, changed: Callable[[tuple[Hotword, ...]], None]) -> None:
        """Read ``path``, which may be missing; ``changed`` hears of every new table, also of the first."""
        self._path, self._changed = path, changed
        self._lock = threading.RLock()
        self._digest = ""
        self.table = Table((), 0, time.time())
        try:
            self.reload()
        except XingjiError:
            log.warning("hotword file is not valid; starting without hotwords", extra={"file": path.name})
            self._take(())

    @property
    def name(self) -> str:
        return self._path.name

    def watch(self) -> None:
        """Follow edits of the file; run on a thread of its own, for ever."""
        seen = self._look()
        while True:
            time.sleep(POLL_S)
            now = self._look()
            if now is None or now == seen:  # a file that is gone is likely about to be replaced
                continue
            seen = now
            try:
                self.reload()
            except XingjiError:
                log.warning("hotword file is not valid; the table stays", extra={"file": self.name})

    def reload(self) -> Table:
        """Read the file again. Raises XingjiError("invalid_hotwords"); the table then stays as it was."""
        with self._lock:
            data = self._read()
            digest = hashlib.sha256(data).hexdigest()
            words = parse(_document(data))
            if digest != self._digest:
                self._digest = digest
                self._take(words)
            return self.table

    def replace(
        self, items: object, if_version: int | None = None, notes: Mapping[str, object] = MappingProxyType({})
    ) -> Table:
        """All words anew; ``notes`` become keys of the document. Raises XingjiError: invalid_hotwords,
        version_conflict."""
        with self._lock:
            self.expect(if_version)
            return self._write(parse(items), notes)

    def notes(self) -> tuple[dict[str, Any], float]:
        """Keys of the document that are not ours, and when the file was changed, in unix seconds."""
        with self._lock:
            document = _document(self._read())
            changed = self._path.stat().st_mtime if self._path.is_file() else self.table.updated_at
        found = document if isinstance(document, dict) else {}
        return {key: value for key, value in found.items() if key != "hotwords"}, changed

    def add(self, items: object, if_version: int | None = None) -> Table:
        """Add words; one that is there already is merged. Raises like ``replace``."""
        with self._lock:
            self.expect(if_version)
            return self._write(parse([*map(plain, self.table.words), *map(plain, parse(items))]))

    def remove(self, texts: Sequence[str], if_version: int | None = None) -> Table:
        """Raises XingjiError: not_found where one of them is not in the table; nothing changes then."""
        with self._lock:
            self.expect(if_version)
            gone = set(texts)
            if not gone or not gone <= {word.text for word in self.table.words}:
                raise XingjiError("not_found")
            return self._write(tuple(word for word in self.table.words if word.text not in gone))

    def expect(self, version: int | None) -> None:
        """Raises XingjiError("version_conflict") where the table has another version; None is any."""
        if version is not None and version != self.table.version:
            raise XingjiError("version_conflict", detail={"version": self.table.version})

    def _write(self, words: tuple[Hotword, ...], notes: Mapping[str, object] = MappingProxyType({})) -> Table:
        try:
            old = _document(self._read())
        except XingjiError:
            old = None
        document = {**(old if isinstance(old, dict) else {}), **notes}
        document["hotwords"] = [plain(word) for word in words]
        data = json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
        mode = self._path.stat().st_mode & 0o777 if self._path.is_file() else 0o644
        with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=".hotwords-", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                file.close()
                os.chmod(file.name, mode)
                os.replace(file.name, self._path)
            except OSError:
                os.unlink(file.name)
                raise
        self._digest = hashlib.sha256(data).hexdigest()
        self._take(words)
        return self.table

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b"[]"
        except OSError as error:
            raise XingjiError("invalid_hotwords", field="hotwords") from error

    def _take(self, words: tuple[Hotword, ...]) -> None:
        self.table = Table(words, self.table.version + 1, time.time())
        self._changed(words)
        log.info("hotwords in use", extra={"file": self.name, "count": len(words), "version": self.table.version})

    def _look(self) -> tuple[int, int, str] | None:
        try:
            stat = self._path.stat()
            return stat.st_mtime_ns, stat.st_size, hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError:
            return None


def plain(word: Hotword) -> str | dict[str, Any]:
    """A word as it is written in the file: a bare string where nothing but the text was given."""
    item: dict[str, Any] = {"text": word.text}
    if word.weight != Hotword(word.text).weight:
        item["weight"] = word.weight
    if word.language is not None:
        item["lang"] = word.language
    if word.aliases:
        item["aliases"] = list(word.aliases)
    return item if len(item) > 1 else word.text


def _document(data: bytes) -> object:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise XingjiError("invalid_hotwords", field="hotwords") from error
