"""A socket that is read ahead, for whoever takes messages from it in small pieces: each call of the system costs as
much as the work on a short message. Written on ``socket``, which is green where the process is."""

import socket
from typing import Any

AHEAD = 1 << 14  # bytes that are taken at once if they are there


class ReadAhead:
    """A socket, except that ``recv`` gives what it has before it asks the system, and asks for more than is wanted.
    Nothing else may read from it."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain, self._ahead = plain, b""

    def recv(self, size: int) -> bytes:
        ahead = self._ahead or self._plain.recv(max(size, AHEAD))
        taken, self._ahead = ahead[:size], ahead[size:]
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)
