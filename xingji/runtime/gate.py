"""One connection: a wire on one side, a driver for each recording on the other.

CONNECTED —open→ RECORDING —stop or limits→ FINALIZING —final→ CONNECTED, repeatable; a new
recording may begin while earlier ones are still being finished. Called in order from the
connection's own thread; answers go through the outbox.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from ..core.errors import XingjiError
from ..core.messages import Commit, Completed, Event, SentenceRevised
from ..core.types import SAMPLE_RATE, Hotword, Stage
from ..wire import Frame, Open, Wishes
from .driver import Driver, Failed, Moment, Stopped, Told
from .hub import Hub, Kept
from .intake import Intake
from .outbox import Outbox

WAIT_S = 1.0  # between signs of life while the connection has to wait

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Recording:
    """What the outside may know of one recording."""

    id: str
    driver: Driver[Frame]


class RecordingWire(Protocol[M_co]):
    """Encodes one recording; called in the order in which its messages are sent, as is ``Wire``, by one thread at a
    time."""

    def started(self) -> M_co: ...
    def stopped(self, reason: str, received: int, received_bytes: int) -> M_co: ...
    def cancelled(self) -> M_co: ...
    def encode(self, event: Event, position: int, done: float) -> Iterator[M_co]: ...
    def final(self, event: Completed | None) -> M_co: ...


class Wire(Protocol[M_co]):
    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> RecordingWire[M_co]: ...
    def error(self, error: XingjiError, recording_id: str | None) -> M_co: ...


@dataclass(slots=True)
class _Running(Generic[M]):
    recording: Recording
    wire: RecordingWire[M]
    intake: Intake
    llm_model: str | None
    overloaded: bool = False


class Gate(Generic[M]):
    def __init__(self, hub: Hub, wire: Wire[M], outbox: Outbox[M], keep_alive: Callable[[], None]) -> None:
        """``keep_alive`` is called about once a second while the gate makes its connection wait."""
        self._hub, self._wire, self._outbox, self._keep_alive = hub, wire, outbox, keep_alive
        self._coding = threading.Lock()  # whoever asks the wire; nothing waits under it
        self._current: _Running[M] | None = None
        self._last: Recording | None = None
        self._complained = False  # about audio outside a recording, once per burst
        self._heard_at = time.monotonic()
        self._watching: set[object] = set()  # what else the client waits for; one object for each

    # -- what the client does ----------------------------------------------------------

    def open(self, opened: Open) -> Recording:
        """Begin a recording. Raises XingjiError: already_recording, and what ``Hub.open`` raises."""
        self._complained = False
        if self._recording() is not None:
            raise XingjiError("already_recording")
        model = self._hub.llm_model if self._hub.wants_llm(opened.wishes) else None
        id = f"rec_{uuid.uuid4().hex}"
        running: list[_Running[M]] = []
        intake = Intake(
            opened.format,
            lambda error: self._complain(error, id),
            lambda: self._decoded(running[0]),
            self._hub.decoding,
        )
        driver = self._hub.open(opened.wishes, intake, lambda told, moment: self._tell(running[0], told, moment))
        recording = Recording(id, driver)
        self._hub.back_up(driver, id)
        named = replace(opened, wishes=self._hub.resolved(opened.wishes))
        with self._coding:
            wire = self._wire.recording(id, named, model, lambda: driver.backup_id)
        running.append(_Running(recording, wire, intake, model))
        self._hub.expect(id)
        self._current, self._last = running[0], recording
        self._say(running[0].wire.started)
        intake.begin()
        self._heed(running[0])
        return recording

    def feed(self, frame: Frame) -> Recording | None:
        """Take audio; waits while the engines are far behind. Raises XingjiError("no_session") once per burst."""
        running = self._recording()
        if running is None:
            if self._last is not None and not self._last.driver.finished.is_set():
                return self._last  # audio that was under way when the recording stopped
            if not self._complained:
                self._complained = True
                raise XingjiError("no_session")
            return None
        driver = running.recording.driver
        while not (driver.stopped or running.intake.accepts(WAIT_S)):
            self._keep_alive()
        driver.feed(frame, lambda backlog: self._wait(running, backlog))
        self._heed(running)
        return running.recording

    def stop(self) -> tuple[Recording, bool]:
        """Finish the recording; the second value says that it had been stopped before."""
        self._complained = False
        running = self._current
        if running is None:
            if self._last is None or self._last.driver.finished.is_set():
                raise XingjiError("no_session")
            return self._last, True
        self._drain(running)
        first = running.recording.driver.stop("client")
        self._current = None
        return running.recording, not first

    def cancel(self) -> Recording:
        """Throw the recording away; no final result follows."""
        running = self._recording()
        if running is None:
            raise XingjiError("no_session")
        self._current = self._last = None
        running.recording.driver.cancel()
        self._hub.forget(running.recording.id)
        self._say(running.wire.cancelled)
        return running.recording

    def commit(self) -> Recording:
        """End the sentence that is being spoken; the recording goes on."""
        running = self._recording()
        if running is None:
            raise XingjiError("no_session")
        running.recording.driver.put(Commit())
        return running.recording

    def use_hotwords(self, words: tuple[Hotword, ...]) -> Recording:
        running = self._recording()
        if running is None:
            raise XingjiError("no_session")
        self._hub.use_own_hotwords(running.recording.driver, words)
        return running.recording

    def configure(self, wishes: Wishes) -> Recording:
        """For the sentences to come. Raises XingjiError: no_session, bad_config."""
        running = self._recording()
        if running is None:
            raise XingjiError("no_session")
        self._hub.configure(running.recording.driver, wishes)
        return running.recording

    def check(self, wishes: Wishes) -> None:
        """Raises XingjiError where nobody here can do this: unknown_model, bad_config."""
        self._hub.resolved(wishes)

    def refuse(self, error: XingjiError) -> None:
        """Tell the client what was wrong with its last message."""
        running = self._recording()
        self._complain(error, running.recording.id if running else None)

    @property
    def owes(self) -> bool:
        """Are there messages that the client has still to get?"""
        return self._outbox.waiting > 0

    def dismiss(self) -> None:
        """The server ends, everything is told; nothing to do where the end of the process says so."""

    def close(self) -> None:
        """The connection is gone: what was said is still finished, and the result kept for a while."""
        self._outbox.close()
        if running := self._recording():
            self._drain(running)
            running.recording.driver.stop("client")

    # -- connections on which nothing happens ----------------------------------------------

    def heard(self) -> None:
        """The client has sent an event of any kind."""
        self._heard_at = time.monotonic()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The client waits for what another request of its own makes us tell it here."""
        this = object()
        self._watching.add(this)
        try:
            yield
        finally:
            self._watching.discard(this)

    def end_if_idle(self, timeout_s: float) -> None:
        """Tell the client goodbye if it has sent nothing and waited for nothing for so long. To be called often."""
        recording = self._last is not None and not self._last.driver.finished.is_set()
        if recording or self.owes or self._watching:
            self.heard()
        elif time.monotonic() - self._heard_at > timeout_s:
            self._complain(XingjiError("connection_timeout"), None)

    # -- audio ---------------------------------------------------------------------------

    def _recording(self) -> _Running[M] | None:
        if self._current is not None and self._current.recording.driver.stopped:
            self._current = None  # a limit stopped it
        return self._current

    def _drain(self, running: _Running[M]) -> None:
        """What a decoder still works on is taken at the pace of the engines, however much it becomes."""
        driver, intake = running.recording.driver, running.intake
        if not intake.drained(0):
            driver.feed(Frame(b"", last=True), lambda backlog: self._wait(running, backlog))
            while not (driver.stopped or intake.drained(WAIT_S)):
                self._keep_alive()

    def _decoded(self, running: _Running[M]) -> None:
        """From the decoder's thread, which thereby waits while the engines are far behind."""
        running.recording.driver.feed(Frame(b""))
        self._heed(running)

    def _heed(self, running: _Running[M]) -> None:
        """A recording whose audio cannot be decoded any further ends with what it has."""
        if running.intake.failed:
            running.recording.driver.stop("undecodable")

    def _wait(self, running: _Running[M], backlog: int) -> None:
        self._keep_alive()
        if not running.overloaded:
            running.overloaded = True
            detail: dict[str, object] = {"lag_ms": backlog * 1000 // SAMPLE_RATE}
            self._complain(XingjiError("overloaded", detail=detail), running.recording.id)

    # -- what the client is told ---------------------------------------------------------

    def _complain(self, error: XingjiError, recording_id: str | None) -> None:
        self._say(lambda: self._wire.error(error, recording_id))

    def _say(self, make: Callable[[], M]) -> None:
        """Encoded now, because a wire may read on differently after what it has said."""
        with self._coding:
            message = make()
        self._outbox.put(lambda: (message,))

    def _tell_later(self, make: Callable[[], Iterable[M]], replaces: Any = None) -> None:
        """Encoded when it is sent."""

        def coded() -> list[M]:
            with self._coding:
                return list(make())

        self._outbox.put(coded, replaces)

    def _tell(self, running: _Running[M], told: Told, moment: Moment) -> None:
        """From the driver's thread; only queues."""
        wire, id = running.wire, running.recording.id
        match told:
            case Stopped(reason, received):
                size = running.intake.received_bytes
                self._tell_later(lambda: (wire.stopped(reason, received, size),))
            case Failed():
                self._hub.keep(id, None)
                self._tell_later(lambda: (wire.final(None),))
            case _:
                if isinstance(told, Completed):
                    self._hub.keep(id, Kept(told, running.llm_model, running.recording.driver.backup_id))
                done = moment.done / moment.received if moment.received else 1.0
                stale = isinstance(told, SentenceRevised) and told.sentence.stage is Stage.PARTIAL
                replaces: Any = (id, told.sentence.id) if isinstance(told, SentenceRevised) and stale else None
                self._tell_later(lambda: wire.encode(told, moment.judged, done), replaces)
