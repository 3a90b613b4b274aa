"""File jobs on this machine: a folder with one SQLite file and the audio beside it.

A job is one row, so that what was accepted, what became of it and its text are one commit each. The file is locked
while it is open: two servers never work on one folder.
"""

import sqlite3
import time
import uuid
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter

from ..core.errors import XingjiError
from ..core.messages import Completed
from .green import offload
from .job_audio import AudioFolder
from .job_database import RETRY_MS, Database, meaning
from .jobs import ATTEMPTS, ENDED, Job, Options, State

FILE = "jobs.sqlite3"
APPLICATION, VERSION = 0x584A4A42, 1  # "XJJB"
MOST_QUEUED = 10_000

_SCHEMA = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    options TEXT NOT NULL,
    name TEXT NOT NULL,
    url TEXT,
    here INTEGER NOT NULL,
    size INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    error TEXT,
    length INTEGER,
    result BLOB
);
CREATE INDEX jobs_by_state ON jobs (state, number);
"""
_JOB = """
SELECT id, number, state, options, name, url, size, attempts, created, started, ended, error, length,
    CASE state WHEN 'queued' THEN (
        SELECT count(*) FROM jobs AS other WHERE other.state = 'queued' AND other.number <= jobs.number
    ) END
FROM jobs
"""
_BYTES = "SELECT coalesce(sum(size * here), 0) + coalesce(sum(length(result)), 0) FROM jobs"
_ENDED = ", ".join(f"'{state}'" for state in ENDED)
_NO_URL = "url = iif(url IS NULL, NULL, '')"
_UNDER_WAY = f"'{State.RUNNING}', '{State.FETCHING}'"


class SqliteStore:
    """A ``jobs.Store``."""

    def __init__(self, folder: Path, keep_h: float, max_bytes: int, keep_audio: bool = False) -> None:
        """``keep_h``: hours that ended jobs are kept; fewer where all would take more than ``max_bytes``.
        ``keep_audio``: as long as its job; else it goes when the job has ended."""
        self._keep_s, self._max_bytes, self._keep_audio = keep_h * 3600.0, max_bytes, keep_audio
        self._audio = AudioFolder(folder / "audio")
        self._database = Database(folder / FILE, APPLICATION, VERSION, _SCHEMA)

    def open(self) -> str | None:
        return self._database.open(self._resume)

    def _resume(self, db: sqlite3.Connection) -> None:
        """What was under way when the last process ended; and audio of jobs that were not accepted or have ended."""
        given_up = f"state = 'failed', error = 'interrupted', ended = ?, here = here * ?, {_NO_URL}"
        db.execute(
            f"UPDATE jobs SET {given_up} WHERE state IN ({_UNDER_WAY}) AND attempts >= ?",
            (time.time(), self._keep_audio, ATTEMPTS),
        )
        db.execute(f"UPDATE jobs SET state = 'queued' WHERE state IN ({_UNDER_WAY})")
        self._audio.keep_only({id for (id,) in db.execute("SELECT id FROM jobs WHERE here")})

    def close(self) -> None:
        self._database.close()

    # -- jobs come ------------------------------------------------------------------------

    def add(self, options: Options, name: str, audio: IO[bytes] | None, url: str | None = None) -> Job:
        id = f"job_{uuid.uuid4().hex}"
        self.counts()  # nothing is written where nothing can be kept
        try:
            size = 0 if audio is None else self._audio.write(id, audio)
        except OSError as error:
            raise meaning(error) from error

        def insert(db: sqlite3.Connection) -> tuple[Job, list[str]]:
            (queued,) = db.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()
            if queued >= MOST_QUEUED:
                raise XingjiError("busy", detail={"retry_after_ms": RETRY_MS})
            gone = self._made_room(db, size)
            said = _options().dump_json(options).decode()
            db.execute(
                "INSERT INTO jobs (id, state, options, name, url, here, size, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (id, State.QUEUED, said, name, url, audio is not None, size, time.time()),
            )
            return _found(db, id), gone

        try:
            job, gone = self._database.do(insert)
        except BaseException:
            self._audio.remove(id)
            raise
        self._remove(gone)
        return job

    def room(self) -> int:
        def left(db: sqlite3.Connection) -> int:
            return max(0, self._max_bytes - int(db.execute(f"{_BYTES} WHERE state NOT IN ({_ENDED})").fetchone()[0]))

        return self._database.do(left)

    def _made_room(self, db: sqlite3.Connection, size: int) -> list[str]:
        """Ids of jobs that had to go, the oldest of those that have ended. Raises XingjiError("storage_full")."""
        gone = []
        while int(db.execute(_BYTES).fetchone()[0]) + size > self._max_bytes:
            oldest = db.execute(f"SELECT id FROM jobs WHERE state IN ({_ENDED}) ORDER BY ended LIMIT 1").fetchone()
            if oldest is None:
                raise XingjiError("storage_full")
            db.execute("DELETE FROM jobs WHERE id = ?", oldest)
            gone += oldest
        return gone

    def _remove(self, gone: list[str]) -> None:
        """The audio of jobs that are no longer, and what the file still has of their texts."""
        for id in gone:
            self._audio.remove(id)
        if gone:
            self._database.wipe()

    # -- jobs are worked on -----------------------------------------------------------------

    def claim(self, state: State) -> Job | None:
        def claimed(db: sqlite3.Connection) -> Job | None:
            first = "SELECT id FROM jobs WHERE state = 'queued' AND here = ? ORDER BY number LIMIT 1"
            found = db.execute(first, (state is State.RUNNING,)).fetchone()
            if found is None:
                return None
            started = time.time() if state is State.RUNNING else None
            db.execute(
                "UPDATE jobs SET state = ?, attempts = attempts + 1, started = ? WHERE id = ?", (state, started, *found)
            )
            return _found(db, *found)

        return self._database.do(claimed)

    def put_back(self, id: str, counted: bool) -> None:
        back = f"UPDATE jobs SET state = 'queued', attempts = attempts - ? WHERE id = ? AND state IN ({_UNDER_WAY})"
        self._database.do(lambda db: db.execute(back, (not counted, id)))

    def place(self, id: str) -> Path:
        return self._audio.path(id)

    def fetched(self, id: str) -> None:
        try:
            size = self._audio.sync(id)
        except OSError as error:
            raise meaning(error) from error
        here = (
            f"UPDATE jobs SET state = 'queued', here = 1, size = ?, attempts = 0, {_NO_URL} WHERE id = ? AND state = ?"
        )

        def arrived(db: sqlite3.Connection) -> list[str]:
            gone = self._made_room(db, size)
            db.execute(here, (size, id, State.FETCHING))
            return gone

        self._remove(self._database.do(arrived))

    def audio(self, id: str) -> Path:
        path = self._audio.path(id)
        if not offload(path.is_file):
            raise XingjiError("audio_lost")
        return path

    def finish(self, id: str, result: Completed) -> None:
        packed = offload(lambda: zlib.compress(_results().dump_json(result)))
        self._end(id, State.DONE, length=result.length, result=packed)

    def fail(self, id: str, code: str) -> None:
        self._end(id, State.FAILED, error=code)

    def cancel(self, id: str) -> None:
        if not self._end(id, State.CANCELLED):
            self.find(id)
            raise XingjiError("job_ended")

    def _end(self, id: str, state: State, **facts: Any) -> bool:
        """False where it had ended before, or is not there."""
        facts |= {"state": state, "ended": time.time()}
        said = ", ".join(f"{name} = ?" for name in facts)
        end = f"UPDATE jobs SET {said}, here = here * ?, {_NO_URL} WHERE id = ? AND state NOT IN ({_ENDED})"
        values = (*facts.values(), self._keep_audio, id)
        if not self._database.do(lambda db: db.execute(end, values).rowcount):
            return False
        if not self._keep_audio:
            self._audio.remove(id)
        return True

    # -- jobs are asked for, and go -----------------------------------------------------------

    def find(self, id: str) -> Job:
        return self._database.do(lambda db: _found(db, id))

    def page(self, state: State | None, before: int | None, limit: int) -> list[Job]:
        wanted = "WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3"
        return self._database.do(lambda db: [_job(row) for row in db.execute(_JOB + wanted, (state, before, limit))])

    def result(self, id: str) -> Completed:
        def read(db: sqlite3.Connection) -> Completed:
            row = db.execute("SELECT result FROM jobs WHERE id = ? AND result IS NOT NULL", (id,)).fetchone()
            if row is None:
                raise XingjiError("not_found")
            return _results().validate_json(zlib.decompress(row[0]))

        return self._database.do(read)

    def counts(self) -> Mapping[State, int]:
        counted = "SELECT state, count(*) FROM jobs GROUP BY state"
        return self._database.do(lambda db: {State(state): count for state, count in db.execute(counted)})

    def delete(self, id: str) -> None:
        if not self._database.do(lambda db: db.execute("DELETE FROM jobs WHERE id = ?", (id,)).rowcount):
            raise XingjiError("not_found")
        self._remove([id])

    def sweep(self) -> None:
        old = "DELETE FROM jobs WHERE ended < ? RETURNING id"
        before = time.time() - self._keep_s
        self._remove([id for (id,) in self._database.do(lambda db: db.execute(old, (before,)).fetchall())])


def _found(db: sqlite3.Connection, id: str) -> Job:
    """Raises XingjiError("not_found")."""
    row = db.execute(_JOB + "WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise XingjiError("not_found")
    return _job(row)


def _job(row: tuple[Any, ...]) -> Job:
    id, number, state, options, *facts = row
    return Job(id, number, State(state), _options().validate_json(options), *facts)


@cache
def _options() -> TypeAdapter[Options]:
    return TypeAdapter(Options)


@cache
def _results() -> TypeAdapter[Completed]:
    return TypeAdapter(Completed)
