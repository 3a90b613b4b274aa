"""Many connections at a time: more than servers of this kind take by themselves."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import GUNICORN, Server

COUNT = 1_100  # eventlet's own limit is 1 024
ANSWER_S = 30.0
UPGRADE = (
    b"GET /ws/asr?events=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture(params=["eventlet", "gunicorn"])
def server(models: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(tmp_path, GUNICORN) if request.param == "gunicorn" else Server(tmp_path) as running:
        yield running


def test_a_thousand_silent_connections_leave_room_for_more(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(COUNT):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), ANSWER_S))
            client.sendall(UPGRADE)
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
        assert server.get("/api/health").status_code == 200
