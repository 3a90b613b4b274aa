"""Length-prefixed msgpack between the gateway and its workers, and how jobs and results look in it.

A frame is four bytes of length (big endian) and a msgpack map. A closed socket is the crash
signal. The kinds of job and their results become ``[name, {field: value}]``; audio travels as
the bytes of its int16 samples (little endian). Measured at 26 µs a message under eventlet. A hotword
table travels in a message of its own, and jobs only name it.
"""

import dataclasses
import socket
import struct
from typing import Any

import msgpack
import numpy as np

from ..core.messages import (
    Align,
    Correct,
    Decode,
    Detect,
    Edge,
    Edits,
    Forgotten,
    Lost,
    NoSpeech,
    Result,
    Transcribe,
    Work,
)
from ..core.types import Edit, Hotword, HotwordHit, HotwordTable, Hypothesis, Span, Stage, Word
from .read_ahead import ReadAhead

Connection = socket.socket | ReadAhead
LIMIT = 64 << 20  # bytes; far above any job (a 30 s segment is 1 MB), so a longer frame is a broken peer

_JOBS = (Detect, Decode, Transcribe, Align, Correct)
_RESULTS = (Edge, Hypothesis, NoSpeech, Edits, Forgotten, Lost)
_PARTS = (Edit, HotwordHit, HotwordTable, Span)
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (*_JOBS, *_RESULTS, *_PARTS)}
_FIELDS = {kind: [field.name for field in dataclasses.fields(kind)] for kind in _KINDS.values()}


def send(connection: Connection, *messages: dict[str, Any]) -> None:
    """All at once, for each call costs as much as packing. Raises OSError where the peer is gone."""
    bodies = [msgpack.packb(message) for message in messages]
    connection.sendall(b"".join(part for body in bodies for part in (struct.pack("!I", len(body)), body)))


def receive(connection: Connection) -> dict[str, Any] | None:
    """The next message, or None where the peer is gone or talks nonsense."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    (size,) = struct.unpack("!I", head)
    body = _exactly(connection, size) if size <= LIMIT else None
    if body is None:
        return None
    try:
        message = msgpack.unpackb(body, strict_map_key=False)
    except (ValueError, TypeError):
        return None
    return message if isinstance(message, dict) else None


def _exactly(connection: Connection, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = connection.recv(min(size - len(parts), 1 << 18))
        except OSError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)


def pack(value: Work | Result) -> Any:
    """A job or a result as plain data."""
    if isinstance(value, tuple):
        return ["tuple", [_plain(item) for item in value]]
    return _plain(value)


def unpack(data: Any) -> Any:
    """The inverse of ``pack``. Raises KeyError or TypeError on foreign data."""
    name, body = data
    if name == "tuple":
        return tuple(unpack(item) for item in body)
    return _KINDS[name](**{key: _value(key, value) for key, value in body.items()})


def pack_table(table: HotwordTable) -> dict[str, Any]:
    """The message that brings a table to a worker; only what a recogniser needs of it."""
    return {"table": table.digest, "words": [[word.text, word.weight] for word in table.words]}


def unpack_table(message: dict[str, Any]) -> HotwordTable:
    return HotwordTable(message["table"], tuple(Hotword(text, weight) for text, weight in message["words"]))


def _plain(value: Any) -> Any:
    match value:
        case np.ndarray():
            return value.astype("<i2", copy=False).tobytes()
        case Stage():
            return int(value)
        case Word(text, span, confidence):  # there are many of them
            return ["Word", text, span.start, span.end, confidence]
        case HotwordTable(digest):
            return ["HotwordTable", {"digest": digest}]
        case tuple():
            return [_plain(item) for item in value]
        case dict():
            return {int(key): item for key, item in value.items()}
        case _ if type(value) in _FIELDS:
            return [type(value).__name__, {name: _plain(getattr(value, name)) for name in _FIELDS[type(value)]}]
        case _:
            return value


def _value(key: str, value: Any) -> Any:
    match value:
        case bytes():
            return np.frombuffer(value, "<i2")
        case int() if key == "stage":
            return Stage(value)
        case dict() if key == "readings":
            return {Stage(stage): text for stage, text in value.items()}
        case ["Word", str(text), int(start), int(end), confidence]:
            return Word(text, Span(start, end), confidence)
        case [str(name), dict()] if name in _KINDS:
            return unpack(value)
        case list():
            return tuple(_value("", item) for item in value)
        case _:
            return value
