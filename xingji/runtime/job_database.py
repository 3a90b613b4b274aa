"""The SQLite file of the jobs: opened safely, locked for as long as it is open, every disk access on a real thread."""

import errno
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..core.errors import XingjiError
from .green import offload

log = logging.getLogger(__name__)

RETRY_MS = 5000

T = TypeVar("T")


class NotOurs(Exception):
    """``str`` of it says why: foreign, newer or corrupt."""


class Database:
    """Thread-safe."""

    def __init__(self, path: Path, application: int, version: int, schema: str) -> None:
        """``application`` tells our files from others, ``version`` their format, which ``schema`` makes."""
        self._path, self._application, self._version, self._schema = path, application, version, schema
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    def open(self, begin: Callable[[sqlite3.Connection], object]) -> str | None:
        """Then ``begin``, in a transaction. Answers why it cannot be opened; see ``jobs.Store.open``."""
        with self._lock:
            try:
                self._db = offload(self._opened, begin)
            except sqlite3.Error as error:
                return _problem(error)
            except OSError:
                return "unwritable"
            except NotOurs as reason:
                return str(reason)
            return None

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                offload(self._db.close)
                self._db = None

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """``work`` in one transaction: all of it is kept, or nothing. Raises XingjiError: jobs_unavailable,
        storage_full."""
        with self._lock:
            if self._db is None:
                raise unavailable()
            try:
                result: T = offload(_transaction, self._db, work)
                return result
            except sqlite3.Error as error:
                raise meaning(error) from error

    def wipe(self) -> None:
        """What was deleted goes from the log of changes, too."""
        with self._lock:
            if self._db is not None:
                offload(self._db.execute, "PRAGMA wal_checkpoint(TRUNCATE)")

    def _opened(self, begin: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            if self._is_new(db):
                db.executescript(f"PRAGMA auto_vacuum = FULL; PRAGMA application_id = {self._application}")
                db.executescript(f"BEGIN; {self._schema} PRAGMA user_version = {self._version}; COMMIT")
            # What is deleted is gone from the disk; and a commit is on it, whatever happens to the machine.
            db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
            db.execute("BEGIN EXCLUSIVE")
            with db:
                begin(db)
        except BaseException:
            db.close()
            raise
        return db

    def _is_new(self, db: sqlite3.Connection) -> bool:
        """Raises NotOurs, or sqlite3.Error where it is no database or locked. Changes nothing."""
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if not tables and application in (0, self._application):
            return True
        if application != self._application:
            raise NotOurs("foreign")
        if version > self._version:
            raise NotOurs("newer")
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise NotOurs("corrupt")
        return False


def _transaction(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work(db)
        db.commit()
        return result
    finally:
        if db.in_transaction:
            db.rollback()


def _problem(error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "in_use"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "corrupt"
        case _:
            return "unwritable"


def meaning(error: sqlite3.Error | OSError) -> XingjiError:
    """What trouble with the disk means for whoever wanted something to be kept."""
    if isinstance(error, FileNotFoundError):
        return XingjiError("audio_lost")
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    else:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    if full:
        return XingjiError("storage_full")
    log.error("jobs cannot be kept", extra={"reason": str(error)})
    return unavailable()


def unavailable() -> XingjiError:
    return XingjiError("jobs_unavailable", detail={"retry_after_ms": RETRY_MS})
