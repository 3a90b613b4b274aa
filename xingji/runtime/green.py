"""The only place that knows about eventlet: patching, what its websocket needs to be fit for audio, what gunicorn asks.

Everything else uses ``threading``, ``queue``, ``socket`` and ``time``; after ``patch()`` these are green.
Leaving eventlet means leaving this file.
"""

import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

from .read_ahead import ReadAhead

T = TypeVar("T")


def patch() -> None:
    """Make the standard library green. Must run before anything else imports it; harmless when repeated."""
    # Its own class of warning, neither a DeprecationWarning nor silenced by -W; see docs/decisions.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet

    eventlet.monkey_patch()

    from eventlet.websocket import RFC6455WebSocket, WebSocketWSGI
    from eventlet.wsgi import HttpProtocol

    # What an answer yields is sent as it comes: events of a stream would wait for four kilobytes of them.
    HttpProtocol.minimum_chunk_size = 0
    # eventlet unmasks byte by byte in Python: 665 µs for 100 ms of audio, 7 µs this way (measured 2026-11).
    RFC6455WebSocket._apply_mask = staticmethod(unmask)
    # It asks the system for every part of a message.
    init = RFC6455WebSocket.__init__
    RFC6455WebSocket.__init__ = lambda self, sock, *given, **named: init(self, ReadAhead(sock), *given, **named)
    # PCM hardly compresses, and deflating it costs the loop more than sending it.
    WebSocketWSGI._negotiate_permessage_deflate = lambda self, extensions: None
    # gunicorn has closed the socket before engineio's writer does; eventlet would complain on standard error.
    close = RFC6455WebSocket.close
    RFC6455WebSocket.close = lambda self, *data: close(self, *data) if self.socket.fileno() >= 0 else None


def is_patched() -> bool:
    """Are threads green here? That eventlet has been imported, as by a library, does not make them so."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def offload(work: Callable[..., T], *arguments: Any) -> T:
    """``work(*arguments)`` on a real thread, so that the socket loop goes on meanwhile; waits for the result."""
    if not is_patched():
        return work(*arguments)
    from eventlet import tpool

    return tpool.execute(work, *arguments)  # type: ignore[no-any-return]


def deadline(seconds: float) -> AbstractContextManager[object]:
    """A block that is left, without an error, once it has taken ``seconds``."""
    import eventlet

    return eventlet.Timeout(seconds, False)  # type: ignore[no-any-return]


def was_websocket() -> bool:
    """Was the request that this thread has just handled a websocket, which leaves nothing to answer?"""
    from eventlet.wsgi import WSGI_LOCAL

    return bool(getattr(WSGI_LOCAL, "already_handled", False))


def take_socket(environ: dict[str, Any]) -> socket.socket | None:
    """The socket of a request, to speak something else on it; None where the server does not give it away."""
    if "eventlet.input" in environ:
        if "eventlet.set_idle" in environ:
            environ["eventlet.set_idle"]()
        return environ["eventlet.input"].get_socket()  # type: ignore[no-any-return]
    return environ.get("werkzeug.socket") or environ.get("gunicorn.socket")


def leave(environ: dict[str, Any]) -> list[bytes]:
    """What an application answers whose request was taken over and is done with."""
    if "werkzeug.socket" in environ:
        raise ConnectionError  # werkzeug's word for: this connection is over
    if is_patched():
        from eventlet.wsgi import WSGI_LOCAL

        WSGI_LOCAL.already_handled = True
    return []


def unmask(data: bytes, mask: Any, length: int | None = None, offset: int = 0) -> bytes:
    """XOR ``data[:length]`` with the four bytes of ``mask``, beginning at ``mask[offset % 4]`` (RFC 6455 §5.3)."""
    data = data if length is None else data[:length]
    begin = offset % 4
    turned = bytes(mask[begin:]) + bytes(mask[:begin])
    key = (turned * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(len(data), "little")


def mend_websocket(engineio: Any, limit: int) -> None:
    """Teach the threaded websocket what eventlet's does by itself: to refuse messages above ``limit`` from their
    header, and to end the line when it is closed instead of waiting for the client to do so."""
    if engineio.async_mode != "threading":
        return
    plain: Any = engineio._async["websocket"]

    class Websocket(plain):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, max_message_size=limit)

        def close(self) -> None:
            super().close()
            with suppress(OSError):  # the client has ended it already
                self.ws.sock.shutdown(socket.SHUT_RDWR)

    engineio._async = {**engineio._async, "websocket": Websocket}
