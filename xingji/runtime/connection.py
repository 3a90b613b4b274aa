"""A raw WebSocket that speaks one dialect: its messages become what a gate does, its answers frames.

Three threads meet here: the connection's own (``run``), the one that sends (the outbox) and the one that
looks after all connections once a second (``end_if_idle``). None of them keeps another waiting, except that
the client's audio waits for the engines.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

from ..core.errors import XingjiError
from ..wire import Frame, Open
from ..wire.dialect import Cancel, Check, Close, Command, Commit, Configure, Dialect, Say, Stop
from .gate import Gate
from .hub import Hub
from .outbox import Outbox
from .websocket import WebSocket

log = logging.getLogger(__name__)

RETRY_S = 0.25  # between two tries to begin a recording while the server is full


@dataclass(frozen=True, slots=True)
class Beat:
    kind: Literal["ping", "pong"]


Sent = tuple[str | bytes | Close | Beat, ...]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Seconds."""

    interval: float
    timeout: float


class Connection(Gate[Sent]):
    def __init__(self, hub: Hub, dialect: Dialect, line: WebSocket, heartbeat: Heartbeat) -> None:
        outbox: Outbox[Sent] = Outbox(self._send, lambda: line.pending)
        super().__init__(hub, dialect, outbox, self._live_on)
        self._dialect, self._line, self._heartbeat = dialect, line, heartbeat
        self._busy = threading.Lock()  # a message or a tick is being carried out
        self._beaten_at = time.monotonic()

    def run(self) -> None:
        """Until the connection is over. Call on the connection's own thread."""
        threading.Thread(target=self._outbox.run, name="outbox", daemon=True).start()
        try:
            self._say(self._dialect.greet)
            while (message := self._line.receive()) is not None:
                self.heard()
                with self._busy:
                    self._carry_out(self._dialect.read(message))
        finally:
            self.close()
            self._line.abort()

    def close(self) -> None:
        if not self._dialect.keeps_lost and self._recording() is not None:
            self._outbox.close()
            self.cancel()
        super().close()

    def dismiss(self) -> None:
        self._say(self._dialect.goodbye)

    def end_if_idle(self, timeout_s: float) -> None:
        now = time.monotonic()
        self._line.end_if_dead(now, self._heartbeat.interval + self._heartbeat.timeout)
        if self._busy.acquire(blocking=False):
            try:
                self._carry_out(self._dialect.tick(now))
            finally:
                self._busy.release()
        super().end_if_idle(self._dialect.timeout_s or timeout_s)
        if now - self._beaten_at > self._heartbeat.interval:
            self._beat("ping")  # last, because a connection that still owes something is not idle

    # -- what the client wants ---------------------------------------------------------

    def _carry_out(self, commands: Iterator[Command]) -> None:
        """One by one: how the dialect goes on may depend on what became of the last."""
        try:
            while (command := self._next(commands)) is not None:
                self._do(command)
        except XingjiError as error:
            self.refuse(error)
        except Exception:  # the door's rim: a defect costs the client one message, not its connection
            log.exception("message failed", extra={"dialect": type(self._dialect).__name__})
            self.refuse(XingjiError("internal"))

    def _next(self, commands: Iterator[Command]) -> Command | None:
        with self._coding:
            return next(commands, None)

    def _do(self, command: Command) -> None:
        match command:
            case Open():
                self._begin(command)
            case Frame():
                self.feed(command)
            case Commit():
                self.commit()
            case Stop():
                self.stop()
            case Cancel():
                self.cancel()
            case Configure(wishes):
                self.configure(wishes)
            case Check(wishes):
                self.check(wishes)
            case Say(frames):
                self._say(lambda: frames)
            case _:
                assert_never(command)

    def _begin(self, opened: Open) -> None:
        until = time.monotonic() + self._dialect.patience_s
        while True:
            try:
                self.open(opened)
                return
            except XingjiError as error:
                if error.code not in ("busy", "not_ready") or time.monotonic() >= until:
                    raise
            time.sleep(RETRY_S)

    # -- what it is told -----------------------------------------------------------------

    def _send(self, frames: Sent) -> None:
        for frame in frames:
            match frame:
                case Close(code, reason):
                    self._line.close(code, reason)
                case Beat("ping"):
                    self._line.ping()
                case Beat():
                    self._line.pong()
                case _:
                    self._line.send(frame)

    def _beat(self, kind: Literal["ping", "pong"]) -> None:
        self._beaten_at = time.monotonic()
        self._outbox.put(lambda: ((Beat(kind),),), replaces=kind)

    def _live_on(self) -> None:
        """While the client's audio waits nobody reads its pings and pongs: count it as heard, and beat for it."""
        self._line.heard_at = time.monotonic()
        self._beat("pong")
