"""HTTP for the synchronous client with a hard deadline per request, on patched and real sockets alike.

The client's own timeouts bound each read, not the answer: a server that drips one byte a second
would hold a job for minutes. Here every socket call gets only the time left until the deadline
of the request that its thread (or greenlet) is making. Looking up a name is not bounded.
"""

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore2
import httpx2

LARGEST_ANSWER = 1 << 20  # bytes

Clock = Callable[[], float]
_deadline: ContextVar[tuple[Clock, float]] = ContextVar("deadline")


@contextmanager
def until(deadline: float, clock: Clock) -> Iterator[None]:
    """Requests through a ``DeadlineTransport`` made inside fail once ``clock()`` reaches ``deadline``."""
    token = _deadline.set((clock, deadline))
    try:
        yield
    finally:
        _deadline.reset(token)


class DeadlineTransport(httpx2.BaseTransport):
    """For ``httpx2.Client(transport=...)``. Reads each answer as a whole, up to 1 MiB."""

    def __init__(self, connections: int = 10) -> None:
        """``connections``: at a time; whoever asks beyond that waits for one."""
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=connections,
            max_keepalive_connections=connections,
            network_backend=DeadlineNetwork(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        try:
            with self._pool.stream(
                request.method,
                httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.read(),
                extensions=request.extensions,
            ) as response:
                body = b"".join(_at_most(LARGEST_ANSWER, response.iter_stream()))
        except httpcore2.TimeoutException as error:
            raise httpx2.TimeoutException("no answer in time", request=request) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise httpx2.TransportError("no usable answer", request=request) from error
        return httpx2.Response(response.status, headers=response.headers, content=body)

    def close(self) -> None:
        self._pool.close()


def _at_most(size: int, parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        size -= len(part)
        if size < 0:
            raise httpcore2.ReadError("the answer is too long")
        yield part


class DeadlineNetwork(httpcore2.NetworkBackend):
    """Sockets that have only the time until the deadline."""

    def __init__(self) -> None:
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(self._sockets.connect_tcp(host, port, _left(timeout), local_address, socket_options))


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _left(timeout: float | None) -> float:
    """Seconds until the deadline, or the socket call's own ``timeout`` if that is shorter."""
    clock, deadline = _deadline.get()
    left = deadline - clock()
    if left <= 0:
        raise httpcore2.TimeoutException("deadline")
    return left if timeout is None else min(left, timeout)
