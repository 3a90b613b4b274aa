"""File jobs: what one is, and what a place that keeps them promises. ``job_sqlite`` is such a place, ``job_runner``
does the work. Whoever deals with jobs knows this file and not which place it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol

from ..core.messages import Completed
from ..wire import Wishes

ATTEMPTS = 3  # of fetching, and of recognising; a job that was under way so often when its process died is given up


class State(StrEnum):
    """queued → (fetching → queued) → running → one of the last three; back to queued where an attempt was cut off."""

    QUEUED = "queued"
    FETCHING = "fetching"  # its audio comes from an address
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


PROBLEMS = {
    "in_use": ("作业目录正被另一个服务使用。", "Another server is using the folder of the jobs."),
    "foreign": (
        "作业目录里的 jobs.sqlite3 是别的程序的文件。请换一个目录，或把它移走。",
        "jobs.sqlite3 in the folder of the jobs belongs to another program. Move it away, or choose another folder.",
    ),
    "newer": (
        "作业目录是更新版本的服务写的。请升级，或换一个目录。",
        "The folder of the jobs was written by a newer version. Upgrade, or choose another folder.",
    ),
    "corrupt": (
        "作业目录里的 jobs.sqlite3 已损坏。请把它移走（其中的作业就没有了），或从备份恢复。",
        "jobs.sqlite3 in the folder of the jobs is damaged. Move it away, which loses its jobs, or restore it.",
    ),
    "unwritable": (
        "作业目录不能写。请检查权限和磁盘。",
        "The folder of the jobs cannot be written. Check its rights and the disk.",
    ),
}
"""Why a store cannot be opened, in Chinese and English. It is tried again and again; nothing has to be restarted."""

ENDED = (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Options:
    """What the sender of a file asks: of its recognition, and how the answer is to be written."""

    wishes: Wishes
    timestamps: bool = True
    form: str = "json"
    compare: bool = False  # with the layers of all stages


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    number: int  # rises in the order in which jobs were accepted
    state: State
    options: Options
    name: str  # what its sender calls the file
    url: str | None  # where its audio is fetched; "" once that is done, for such addresses may hold secrets
    size: int  # bytes of its audio; 0 until they are fetched
    attempts: int  # of what its state says, this one included
    created: float  # unix seconds, like the other times
    started: float | None = None  # the last attempt to recognise it
    ended: float | None = None
    error: str | None = None  # code, of one that failed
    length: int | None = None  # samples, of one that is done
    position: int | None = None  # in the queue; the first is 1
    progress: int = 0  # percent


class Store(Protocol):
    """Keeps jobs with their audio and their texts. Thread-safe; a method may take as long as a disk does.

    What ``add``, ``fetched``, ``finish``, ``fail``, ``cancel`` and ``delete`` have returned from survives the end
    of the process, of whichever kind. Any method but ``open`` raises XingjiError("jobs_unavailable") where the store
    is not open or broken; those that write raise "storage_full" where there is no room, and have then changed nothing.
    """

    def open(self) -> str | None:
        """Make it usable and put what was under way back into the queue, or give it up after ``ATTEMPTS``. Answers
        why that cannot be: a key of ``PROBLEMS``."""

    def close(self) -> None: ...

    def add(self, options: Options, name: str, audio: IO[bytes] | None, url: str | None = None) -> Job:
        """A new job, of ``audio`` or of what ``url`` will give. Raises XingjiError: empty_file, busy (the queue)."""

    def room(self) -> int:
        """Bytes of audio that may still be added."""

    def claim(self, state: State) -> Job | None:
        """The first queued job that can be brought into ``state``, RUNNING or FETCHING, and now is in it."""

    def put_back(self, id: str, counted: bool) -> None:
        """An attempt was cut off: back into the queue, at its old place. Not ``counted``: as if it had not been."""

    def place(self, id: str) -> Path:
        """Where what is fetched for a job is to be written, before ``fetched``."""

    def fetched(self, id: str) -> None:
        """The audio of a job that is FETCHING is there; it is queued again. Raises XingjiError("empty_file")."""

    def audio(self, id: str) -> Path:
        """Where a job's audio can be read. Raises XingjiError("audio_lost")."""

    def finish(self, id: str, result: Completed) -> None:
        """DONE, unless it was cancelled meanwhile. Its audio goes, unless it is to be kept; so with ``fail``."""

    def fail(self, id: str, code: str) -> None: ...

    def cancel(self, id: str) -> None:
        """Raises XingjiError: not_found, job_ended."""

    def delete(self, id: str) -> None:
        """All that is kept of a job, whatever its state. Raises XingjiError("not_found")."""

    def find(self, id: str) -> Job:
        """Raises XingjiError("not_found")."""

    def page(self, state: State | None, before: int | None, limit: int) -> list[Job]:
        """The newest first: at most ``limit``, in ``state``, with numbers below ``before``."""

    def result(self, id: str) -> Completed:
        """Of a job that is DONE. Raises XingjiError("not_found")."""

    def counts(self) -> Mapping[State, int]: ...

    def sweep(self) -> None:
        """Delete what has ended long enough ago."""
