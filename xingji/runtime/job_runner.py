"""File jobs at work: threads that take them from the store, recognise them and put away what became of them.

An attempt that is cut off, by the end of the process, by an engine that fails or because others need the room, leaves
its job in the queue. Who watches a job hears of every change of its state and how far it is.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Protocol

from ..audio import Halt, Halted
from ..core.errors import XingjiError
from ..core.messages import Completed, failed_passes
from ..core.types import Stage
from ..wire import Wishes
from .jobs import ATTEMPTS, ENDED, PROBLEMS, Job, Options, State, Store
from .metrics import Metrics

log = logging.getLogger(__name__)

FETCHERS = 2
LOOK_S = 0.5  # how often a job looks whether there is room for it
IDLE_S = 30.0  # how often a thread without work asks the store by itself
AGAIN_S = 5.0  # between attempts to open a store, and to put something away on a full disk
SWEEP_S = 60.0
CLOSING_S = 2.0  # that what is under way has to go back into the queue
NEVER_S = 1e6  # a recording in the background pauses as long as others need the engines

WAITS = ("busy", "not_ready")  # no attempt at all: somebody else was there first
OURS = ("internal", "backend_failed")  # worth another attempt

Watcher = Callable[[Job], None]


class Recognise(Protocol):
    """``upload.transcribe`` of one hub."""

    def __call__(self, path: Path, wishes: Wishes, *, progress: Callable[[int], None], halt: Halt) -> Completed: ...


class Fetch(Protocol):
    """``fetch.Fetcher``."""

    def check(self, url: str) -> None:
        """Raises XingjiError("url_refused") where that can be known before it is asked."""

    def __call__(self, url: str, path: Path, room: int, halt: Halt) -> None:
        """Write what it gives to ``path``, at most ``room`` bytes. Raises XingjiError, Halted."""


@dataclass(slots=True)
class _Underway:
    halt: Halt = field(default_factory=Halt)
    progress: int = 0


class Jobs:
    """What the doors know. All methods are thread-safe and may wait for the disk."""

    def __init__(
        self,
        store: Store,
        recognise: Recognise,
        fetch: Fetch | None,
        has_room: Callable[[], bool],
        metrics: Metrics,
        concurrency: int = 1,
    ) -> None:
        """``fetch`` None: nothing is fetched. ``has_room``: would the engines take what nobody waits for?"""
        self._store, self._recognise, self._fetch, self._has_room = store, recognise, fetch, has_room
        self._metrics, self._concurrency = metrics, concurrency
        self.problem: str | None = "starting"  # why there are no jobs for now; or a key of ``PROBLEMS``
        self._changed = threading.Condition()
        self._changes = 0
        self._underway: dict[str, _Underway] = {}
        self._watchers: dict[str, Watcher] = {}
        self._closing = False
        metrics.watch_jobs(self._count)

    def start(self) -> None:
        """The threads that work, once the store is open."""
        threading.Thread(target=self._open, name="jobs", daemon=True).start()

    def close(self) -> None:
        """Take nothing more; what is under way goes back into the queue, and its attempt does not count."""
        self._closing = True
        for underway in list(self._underway.values()):
            underway.halt.ask()
        self._wake()
        with self._changed:
            self._changed.wait_for(lambda: not self._underway, CLOSING_S)
        self._store.close()

    # -- for the doors ----------------------------------------------------------------------

    def add(
        self,
        options: Options,
        name: str,
        audio: IO[bytes] | None,
        url: str | None = None,
        watcher: Watcher | None = None,
    ) -> Job:
        """Of ``audio`` or of what ``url`` gives. Accepted: from now on the job survives whatever happens. Raises
        XingjiError: not_supported, url_refused, and what ``Store.add`` raises."""
        if url is not None:
            self._fetcher().check(url)
        job = self._store.add(options, name, audio, url)
        if watcher is not None:
            self._watchers[job.id] = watcher
            self._quietly(lambda: self._tell(self.find(job.id)))  # it may be done already
        self._wake()
        return job

    def find(self, id: str) -> Job:
        """Raises XingjiError("not_found")."""
        return self._with_progress(self._store.find(id))

    def page(self, state: State | None, before: int | None, limit: int) -> list[Job]:
        return [self._with_progress(job) for job in self._store.page(state, before, limit)]

    def result(self, id: str) -> tuple[Job, Completed]:
        """Raises XingjiError: not_found, job_not_done."""
        job = self.find(id)
        if job.state is not State.DONE:
            raise XingjiError("job_not_done", detail={"state": job.state, "job_error": job.error})
        return job, self._store.result(id)

    def cancel(self, id: str) -> Job:
        """Work on it ends. Raises XingjiError: not_found, job_ended."""
        self._store.cancel(id)
        self._stop(id)
        self._metrics.job_ended(State.CANCELLED)
        job = self._store.find(id)
        self._tell(job)
        return job

    def delete(self, id: str) -> None:
        """Forget a job and its text; one that has not ended is cancelled. Raises XingjiError("not_found")."""
        job = self._store.find(id)
        if job.state not in ENDED:
            try:
                self.cancel(id)
            except XingjiError as error:
                if error.code != "job_ended":
                    raise
        self._store.delete(id)

    def _stop(self, id: str) -> None:
        if underway := self._underway.get(id):
            underway.halt.ask()

    def _with_progress(self, job: Job) -> Job:
        underway = self._underway.get(job.id)
        percent = 100 if job.state is State.DONE else underway.progress if underway else 0
        return replace(job, progress=percent)

    def _tell(self, job: Job) -> None:
        watcher = self._watchers.pop(job.id, None) if job.state in ENDED else self._watchers.get(job.id)
        if watcher is not None:
            watcher(job)

    def _count(self, state: str) -> int:
        try:
            return self._store.counts().get(State(state), 0)
        except XingjiError:
            return 0

    # -- the threads --------------------------------------------------------------------------

    def _open(self) -> None:
        """Again and again: the other server may end, the operator may put things right."""
        while not self._closing:
            problem = self._store.open()
            if problem is None:
                break
            if problem != self.problem:
                log.error(" ".join(("no file jobs:", *PROBLEMS[problem])), extra={"reason": problem})
            self.problem = problem
            time.sleep(AGAIN_S)
        else:
            return
        self.problem = None
        work = [(State.RUNNING, self._run)] * self._concurrency + [(State.FETCHING, self._get)] * FETCHERS
        for number, (state, attempt) in enumerate(work):
            threading.Thread(target=self._serve, args=(state, attempt), name=f"jobs-{number}", daemon=True).start()
        while not self._closing:
            self._quietly(self._store.sweep)
            time.sleep(SWEEP_S)

    def _serve(self, state: State, attempt: Callable[[Job, _Underway], None]) -> None:
        while not self._closing:
            seen = self._changes
            if state is State.RUNNING and not self._has_room():
                time.sleep(LOOK_S)
                continue
            claimed = self._quietly(lambda: self._store.claim(state))
            if claimed is None:
                with self._changed:
                    self._changed.wait_for(lambda seen=seen: self._changes != seen, IDLE_S)  # type: ignore[misc]
                continue
            self._attempt(claimed, attempt)

    def _attempt(self, job: Job, attempt: Callable[[Job, _Underway], None]) -> None:
        underway = self._underway[job.id] = _Underway()
        if self._closing:
            underway.halt.ask()
        try:
            now = self._quietly(lambda: self._store.find(job.id))
            if now is None or now.state is not job.state:
                raise Halted  # it was cancelled before it could be halted
            self._tell(job)
            attempt(job, underway)
        except Halted:
            self._put_back(job, counted=False)  # where it was cancelled that changes nothing
        except XingjiError as error:
            self._failed(job, error.code)
        except Exception:  # the driver loop's rim: the thread must live, and the job get an answer
            log.exception("job failed", extra={"job": job.id})
            self._failed(job, "internal")
        finally:
            if self._underway.get(job.id) is underway:  # else another thread has taken it up again
                del self._underway[job.id]
            self._wake()

    def _run(self, job: Job, underway: _Underway) -> None:
        def progressed(percent: int) -> None:
            underway.progress = percent
            if percent < 100:
                self._tell(replace(job, progress=percent))

        wishes = replace(job.options.wishes, background=True, idle_s=NEVER_S)
        done = self._recognise(self._store.audio(job.id), wishes, progress=progressed, halt=underway.halt)
        if failed_passes(done.readings) & {Stage.STREAMED, Stage.SECOND_PASS} and (
            job.attempts < ATTEMPTS or not any(sentence.text for sentence in done.sentences)
        ):
            raise XingjiError("backend_failed")
        self._put_away(lambda: self._store.finish(job.id, done))
        self._ended(job.id)

    def _get(self, job: Job, underway: _Underway) -> None:
        assert job.url is not None
        self._fetcher()(job.url, self._store.place(job.id), self._store.room(), underway.halt)
        if underway.halt.asked:
            raise Halted
        self._store.fetched(job.id)
        self._tell(self._store.find(job.id))

    def _fetcher(self) -> Fetch:
        if self._fetch is None:
            raise XingjiError("not_supported", field="url")
        return self._fetch

    def _failed(self, job: Job, code: str) -> None:
        if code in WAITS:
            self._put_back(job, counted=False)
            time.sleep(LOOK_S)
        elif code in OURS and job.attempts < ATTEMPTS:
            log.warning("job is tried again", extra={"job": job.id, "code": code, "attempt": job.attempts})
            self._put_back(job, counted=True)
        else:
            log.info("job has failed", extra={"job": job.id, "code": code})
            self._put_away(lambda: self._store.fail(job.id, code))
            self._ended(job.id)

    def _put_back(self, job: Job, counted: bool) -> None:
        self._put_away(lambda: self._store.put_back(job.id, counted))
        if not self._closing:
            self._quietly(lambda: self._tell(self._store.find(job.id)))

    def _put_away(self, write: Callable[[], None]) -> None:
        """What is known of a job is worth waiting for a disk that is full; without it the job would begin anew."""
        while True:
            try:
                return write()
            except XingjiError as error:
                log.error("a job waits for its folder", extra={"code": error.code})
                if self._closing:
                    return
                time.sleep(AGAIN_S)

    def _ended(self, id: str) -> None:
        def told() -> None:
            job = self.find(id)
            if job.state is not State.CANCELLED:
                self._metrics.job_ended(job.state)
                self._tell(job)

        self._quietly(told)

    def _quietly(self, ask: Callable[[], Job | None]) -> Job | None:
        """None where the store does not answer, or knows nothing of it."""
        try:
            return ask()
        except XingjiError as error:
            if error.code != "not_found":
                log.error("the folder of the jobs does not answer", extra={"code": error.code})
                time.sleep(AGAIN_S)
            return None

    def _wake(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()
