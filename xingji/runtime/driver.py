"""The one place where a session meets threads: an inbox in, effects out.

One thread per recording touches the session. Whoever feeds audio waits (and so stops reading its
socket or its file) while more than ``MAX_BACKLOG`` samples are on their way; nothing is dropped.
However a recording ends it ends in ``stop``, which asks the source for what it still holds back;
reading and stopping share one lock, so that no sample is missed, doubled or overtaken.
The driver also owns the recording's clocks: idle, longest recording, and how long the final
result waits for corrections.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Generic, Protocol, TypeVar

from ..core.messages import Audio, Command, Effect, Event, Hurry, Job, Result, Stop
from ..core.session import Session
from ..core.types import SAMPLE_RATE, Samples
from .backup import Backup
from .metrics import Stopwatch

log = logging.getLogger(__name__)

MAX_BACKLOG = 30 * SAMPLE_RATE

F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)


class Source(Protocol[F_contra]):
    """Turns what a client sends into samples. Never called by two threads at once; must not block or raise."""

    def read(self, frame: F_contra) -> Samples:
        """The samples that are ready now; some may be held back."""

    def rest(self) -> Samples:
        """All that is held back. Asked once, when the recording stops; nothing is read after it. May take seconds."""

    def close(self) -> None:
        """The recording is over, cancelled ones too; let go of everything. From the driver's thread."""


class Engines(Protocol):
    def submit(self, stream: int, job: Job, done: Callable[[Result], None]) -> None:
        """Answer ``job`` by calling ``done`` once, from any thread, without blocking here."""

    def release(self, stream: int) -> None:
        """The stream is over; forget what is kept for it."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds."""

    idle: float = 60.0
    longest: float = 4 * 3600.0
    final_wait: float = 3.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a recording stands when an event happens; all in samples."""

    judged: int
    done: int
    received: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The recording takes no more audio. Told once, before anything that follows from it."""

    reason: str  # client, max_duration, idle, undecodable, server_shutdown; error before Failed
    received: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A defect of ours ended the recording; stands in for Completed."""


Told = Event | Stopped | Failed


class Driver(Generic[F]):
    """Runs one session. ``tell`` must not block or raise; it is called from the driver's thread, Stopped from the
    thread that stops. The last call is Completed or Failed, unless the recording was cancelled."""

    def __init__(
        self,
        stream: int,
        session: Session,
        engines: Engines,
        source: Source[F],
        tell: Callable[[Told, Moment], None],
        clocks: Clocks = Clocks(),
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.stream = stream
        self._session, self._engines, self._source = session, engines, source
        self._tell, self._clocks, self._stopwatch = tell, clocks, stopwatch
        self._inbox: Queue[Command | tuple[Job, Result] | None] = Queue()
        # Also keeps the order: what is read is in line before anything else is read, and nothing enters after Stop.
        self._room = threading.Condition()
        self._queued = 0  # samples in the inbox
        self._backlog = 0  # samples in the session
        self.accepted = 0  # samples taken from the client
        self.stopped = False
        self.cancelled = False
        self.finished = threading.Event()
        self.backup: Backup | None = None
        self._heard_at = time.monotonic()
        self._wait_until: float | None = None

    # -- for the client's side, any thread ---------------------------------------

    def feed(self, frame: F, waiting: Callable[[int], None] | None = None) -> None:
        """Take audio; returns when it is in line. ``waiting(backlog)`` is called about once a second meanwhile.

        A frame that meets the end, before it or while it waits, is not read.
        """
        with self._room:
            while self.backlog > MAX_BACKLOG and not self.stopped:
                if waiting is not None:
                    waiting(self.backlog)
                self._heard_at = time.monotonic()  # a client that has to wait for us is not idle
                self._room.wait(1.0)
            if self.stopped:
                return
            self._accept(self._source.read(frame))
        if self.accepted >= self._clocks.longest * SAMPLE_RATE:
            self.stop("max_duration")

    def put(self, command: Command) -> None:
        """Commit or Configure; Stop has its own way in."""
        with self._room:
            if not self.stopped:
                self._inbox.put(command)

    def stop(self, reason: str) -> bool:
        """No more audio. False where it had stopped already."""
        with self._room:
            if self.stopped:
                return False
            self.stopped = True
            try:
                self._accept(self._source.rest())
            finally:  # a defect there must not keep the recording from ending
                self._tell(Stopped(reason, self.accepted), self._moment())
                self._inbox.put(Stop())
                self._room.notify_all()
            return True

    def _accept(self, samples: Samples) -> None:
        """With the lock held."""
        if len(samples) > 0:
            self._queued += len(samples)
            self.accepted += len(samples)
            self._heard_at = time.monotonic()
            if self._stopwatch is not None:
                self._stopwatch.arrived(self.accepted)
            self._inbox.put(Audio(samples))

    def cancel(self) -> None:
        """Forget the recording; no event follows."""
        self.cancelled = self.stopped = True
        self._inbox.put(None)
        with self._room:
            self._room.notify_all()

    @property
    def backup_id(self) -> str | None:
        """Known once the recording is complete; None where no audio was kept."""
        return None if self.backup is None else self.backup.id

    @property
    def backlog(self) -> int:
        return self._queued + self._backlog

    # -- the driver's own thread ----------------------------------------------------

    def run(self) -> None:
        """Until Completed or cancelled. The only thread that touches the session."""
        try:
            while not (self._session.completed or self.cancelled):
                self._step()
        except Exception:
            log.exception("recording failed", extra={"stream": self.stream})
            if not self.cancelled:
                self.stop("error")
                self._end_backup()
                self._tell(Failed(), self._moment())
        finally:
            self._end_backup()
            self._source.close()
            self._engines.release(self.stream)
            self.stopped = True
            self.finished.set()
            with self._room:
                self._room.notify_all()

    def _step(self) -> None:
        try:
            item = self._inbox.get(timeout=self._patience())
        except Empty:
            self._time_is_up()
            return
        match item:
            case None:
                return
            case (job, result):
                if self._stopwatch is not None:
                    self._stopwatch.answered(job)
                effects = self._session.resolve(job, result)
            case command:
                self._back_up(command)
                effects = self._session.handle(command)
        with self._room:
            if isinstance(item, Audio):
                self._queued -= len(item.samples)
            self._backlog = self._session.backlog
            if self.backlog <= MAX_BACKLOG:
                self._room.notify_all()
        self._carry_out(effects)

    def _back_up(self, command: Command) -> None:
        match command:
            case Audio(samples) if self.backup is not None:
                self.backup.write(samples)
            case Stop():
                self._end_backup()
            case _:
                pass

    def _end_backup(self) -> None:
        if self.backup is not None:
            if self.cancelled:
                self.backup.discard()
            else:
                self.backup.close()

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Job):
                self._start(effect)
            elif not self.cancelled:
                if self._stopwatch is not None:
                    self._stopwatch.told(effect)
                self._tell(effect, self._moment())

    def _start(self, job: Job) -> None:
        self._engines.submit(self.stream, job, lambda result: self._inbox.put((job, result)))

    def _moment(self) -> Moment:
        return Moment(self._session.judged, self._session.done, self.accepted)

    def _patience(self) -> float:
        now = time.monotonic()
        if self._session.awaits_only_corrections:
            if self._wait_until is None:
                self._wait_until = now + self._clocks.final_wait
            return max(0.0, self._wait_until - now)
        if not self.stopped:
            return max(0.0, self._heard_at + self._clocks.idle - now)
        return 60.0

    def _time_is_up(self) -> None:
        if self._session.awaits_only_corrections:
            self._carry_out(self._session.handle(Hurry()))
        elif not self.stopped and time.monotonic() - self._heard_at >= self._clocks.idle:
            self.stop("idle")


__all__ = ["Clocks", "Driver", "Engines", "Failed", "Moment", "Source", "Stopped", "Told"]
