"""A stream on a pipe, in messages, as libav reads it: each byte as soon as it is there."""

import struct
from collections.abc import Iterator
from typing import Protocol


class Pipe(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def read1(self, size: int, /) -> bytes: ...


class Incoming:
    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._left = 0  # bytes of the message that is being read
        self._head = b""  # what was peeked at
        self._begins: list[int] = []  # where in it messages begin

    def peek(self, size: int) -> bytes:
        """The first ``size`` bytes, waited for; fewer where the stream ends. They stay to be read."""
        while len(self._head) < size:
            if self._left == 0:
                self._begins.append(len(self._head))
            if not (data := self._receive(size - len(self._head))):
                break
            self._head += data
        return self._head[:size]

    def messages(self) -> Iterator[bytes]:
        """All there are, those that were peeked at too; nothing may have been read before."""
        bounds = zip(self._begins, [*self._begins[1:], len(self._head)], strict=True)
        peeked = [self._head[a:b] for a, b in bounds]
        if peeked and self._left:
            peeked[-1] += self._pipe.read(self._left)
        yield from filter(None, peeked)
        while len(header := self._pipe.read(4)) == 4:
            yield self._pipe.read(struct.unpack("<I", header)[0])

    def read(self, size: int) -> bytes:
        """At least one byte; none at the end."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._receive(size)

    def goes_on(self, size: int) -> bool:
        """Whether more than ``size`` bytes are still to come, which are waited for and lost."""
        while size >= 0 and (data := self.read(1 << 16)):
            size -= len(data)
        return size < 0

    def _receive(self, size: int) -> bytes:
        while self._left == 0:
            header = self._pipe.read(4)
            if len(header) < 4:
                return b""
            (self._left,) = struct.unpack("<I", header)
        data = self._pipe.read1(min(size, self._left))
        self._left = self._left - len(data) if data else 0
        return data
