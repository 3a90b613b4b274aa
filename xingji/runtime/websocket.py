"""One WebSocket on a plain socket, the server's end; framing by ``wsproto``.

The same for eventlet, gunicorn and threads. Whoever receives answers pings on the way and reads no more of
the socket than one message at a time, so a server that lags makes the client's TCP wait. Nothing is
compressed: PCM hardly shrinks.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, generate_accept_token

CHUNK = 1 << 16  # bytes
FAREWELL_S = 5.0  # that a client gets to answer our close
VERSION = "13"


def accepting(key: str, subprotocol: str | None) -> bytes:
    """The answer to a handshake that is granted."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {generate_accept_token(key.encode('latin-1')).decode()}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def asks_for_websocket(headers: Mapping[str, str]) -> bool:
    """Header names in lower case."""
    upgrade = headers.get("upgrade", "").lower()
    return upgrade == "websocket" and "upgrade" in headers.get("connection", "").lower()


class WebSocket:
    """Receive from one thread, send from any."""

    def __init__(self, wire: socket.socket, limit: int) -> None:
        """``limit``: bytes of a message; a larger one ends the connection with 1009."""
        self._socket, self._limit = wire, limit
        self._protocol = Connection(ConnectionType.SERVER)
        self._events: deque[Event] = deque()
        self._sending = threading.Lock()
        self._closed_at: float | None = None  # when we sent our close
        self._sends = 0  # threads that are in ``send``
        self.heard_at = time.monotonic()
        wire.settimeout(None)
        with suppress(OSError):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def pending(self) -> int:
        """Messages that are being written."""
        return self._sends

    def receive(self) -> str | bytes | None:
        """The next message; None once the connection is over. What comes after our own close is not for anybody."""
        parts: list[str | bytes] = []
        size = 0
        while True:
            while self._events:
                match self._events.popleft():
                    case TextMessage() | BytesMessage() as part:
                        size += len(part.data)
                        if size > self._limit:
                            self.close(CloseReason.MESSAGE_TOO_BIG, f"limit: {self._limit} bytes")
                            parts, size = [], 0
                        elif self._closed_at is None:
                            parts.append(part.data if isinstance(part.data, str) else bytes(part.data))
                        if part.message_finished:
                            whole = _joined(parts)
                            parts, size = [], 0
                            if self._closed_at is None and whole is not None:
                                return whole
                    case Ping() as ping:
                        self._send(ping.response())
                    case CloseConnection() as close:
                        with suppress(LocalProtocolError):  # it may be the answer to ours
                            self._send(close.response())
                        return None
                    case _:
                        pass
            if not self._read():
                return None

    def _read(self) -> bool:
        try:
            data = self._socket.recv(CHUNK)
        except OSError:
            return False
        if not data:
            return False
        self.heard_at = time.monotonic()
        self._protocol.receive_data(data)
        self._events.extend(self._protocol.events())
        return True

    def send(self, message: str | bytes) -> None:
        self._send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))

    def ping(self) -> None:
        self._send(Ping())

    def pong(self) -> None:
        """One that nobody asked for: a sign of life (RFC 6455 §5.5.3)."""
        self._send(Pong())

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; ``receive`` ends with the client's answer."""
        if self._closed_at is None:
            self._closed_at = time.monotonic()
            self._send(CloseConnection(code, reason or None))

    def _send(self, event: Event) -> None:
        """Into nothing where the connection is over."""
        self._sends += 1
        try:
            with self._sending:
                if self._protocol.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
                    self._socket.sendall(self._protocol.send(event))
        except (OSError, LocalProtocolError):
            self.abort()
        finally:
            self._sends -= 1

    def end_if_dead(self, now: float, silence_s: float) -> None:
        """Cut the line to a client that was silent for so long, or that did not answer our close."""
        left = self._closed_at is not None and now - self._closed_at > FAREWELL_S
        if left or now - self.heard_at > silence_s:
            self.abort()

    def abort(self) -> None:
        """At once; wakes whoever receives or sends."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def _joined(parts: list[str | bytes]) -> str | bytes | None:
    """One message of the pieces in which it came; None for one that was too large."""
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, str) for part in parts):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(part for part in parts if isinstance(part, bytes)) if parts else None
