"""What every codec for a raw WebSocket has in common; ``table.py`` lists them.

A ``Dialect`` is one connection: it reads what the client sends and yields what is to be done, and it
writes what the client is told. It knows no socket, thread or clock, and is asked one thing at a time
(the gate sees to it), so it may simply remember where the conversation stands.

Reading goes step by step: the code behind a ``yield`` runs only when that command was carried out. One
that was refused ends the reading of this message, and ``error`` is asked how to say so.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed, Event, SentenceDropped, SentenceRevised, SentenceSettled, SpeechStarted
from ..core.types import Sentence, Stage
from . import Frame, Open, Wishes

KEY_IN_PROTOCOL = "openai-insecure-api-key."  # a browser can set no header, but it can offer sub-protocols

DAMAGED = ("decode_failed", "not_streamable", "too_large", "unsupported_format")
"""Codes of errors that are found out while audio is decoded; the recording that they are told about stops."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """The request that becomes a WebSocket; header names in lower case."""

    path: str = "/"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    offered: tuple[str, ...] = ()  # sub-protocols
    at: float = 0.0  # seconds since 1970
    session: object = None  # that a client secret had been made for, as its protocol reads it

    @property
    def keys(self) -> tuple[str, ...]:
        """What was shown as an API key, in whichever way."""
        scheme, _, bearer = self.headers.get("authorization", "").partition(" ")
        shown = [bearer.strip()] if scheme.lower() == "bearer" else []
        shown += [self.headers.get("x-nls-token", ""), self.query.get("token", "")]
        shown += [name.removeprefix(KEY_IN_PROTOCOL) for name in self.offered if name.startswith(KEY_IN_PROTOCOL)]
        return tuple(key for key in shown if key)

    def selected(self, known: tuple[str, ...]) -> str | None:
        """The sub-protocol to answer with. A browser hangs up where it offered some and none is selected, so the one
        with the key is, where it offers no better."""
        ours = (name for name in self.offered if name in known)
        return next(ours, next((name for name in self.offered if name.startswith(KEY_IN_PROTOCOL)), None))


# -- what is to be done ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Commit:
    """The client ends the sentence here; the recording goes on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """No more audio for this recording; its final result follows."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Throw the recording away; nothing follows."""


@dataclass(frozen=True, slots=True)
class Configure:
    """Sentences that start from now on follow these wishes."""

    wishes: Wishes


@dataclass(frozen=True, slots=True)
class Check:
    """Nothing happens; refused where a recording with these wishes would be, whether or not there is room for one."""

    wishes: Wishes


@dataclass(frozen=True, slots=True)
class Close:
    """The server ends the connection; codes of RFC 6455 §7.4."""

    code: int = 1000
    reason: str = ""


Frames = tuple[str | bytes | Close, ...]  # what is sent at once, in order; nothing follows a Close


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the client this, after everything that it has been told so far."""

    frames: Frames


Command = Open | Frame | Commit | Stop | Cancel | Configure | Check | Say


# -- one connection -----------------------------------------------------------------------


class Dialect(ABC):
    """The codec of one connection; made from its handshake, where it may raise XingjiError to refuse it."""

    timeout_s: float | None = (
        None  # nothing said and nothing recorded for so long closes it; None: as the server has it
    )
    keeps_lost = True  # a recording whose connection broke is finished; False: it is thrown away
    patience_s = 0.0  # that an Open waits while the server is full; so long nothing more is read
    largest = 0  # bytes of a message that its clients may send, where the server's own limit is less

    def greet(self) -> Frames:
        """What the client is told first."""
        return ()

    @abstractmethod
    def read(self, message: str | bytes) -> Iterator[Command]:
        """One message of the client. Raises XingjiError for what it should not have sent."""

    def tick(self, now: float) -> Iterator[Command]:
        """About once a second, with seconds on a clock that never goes back: for heartbeats and limits of its own."""
        yield from ()

    @abstractmethod
    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> "Writer":
        """The writer of the recording that this dialect's last Open began."""

    @abstractmethod
    def error(self, error: XingjiError, recording_id: str | None) -> Frames:
        """``connection_timeout`` must end in a Close; so does any other error after which nothing can follow."""

    def goodbye(self) -> Frames:
        """The server ends; what was recorded has been delivered."""
        return (Close(1001, "server_shutdown"),)


class Writer(ABC):
    """Tells the client about one recording. ``encode`` is asked at the moment of sending."""

    def started(self) -> Frames:
        return ()

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        """``reason``: client, idle, max_duration, server_shutdown or error; ``received`` in samples."""
        return ()

    def cancelled(self) -> Frames:
        return ()

    def encode(self, event: Event, position: int, done: float) -> Iterator[Frames]:
        """``position``: samples judged so far; ``done``: 0..1. Ends with ``final`` on Completed."""
        if isinstance(event, Completed):
            yield self.final(event)

    @abstractmethod
    def final(self, event: Completed | None) -> Frames:
        """None where a defect of ours ended the recording."""


@dataclass(slots=True)
class _Line:
    """One sentence on its way to the client."""

    at: int  # where it begins, in samples
    begun: bool = False
    latest: Sentence | None = None  # not yet told
    ended: bool = False
    last: Sentence | None = None  # its final text; None for what turned out to be no speech


class InOrder(Writer):
    """For protocols that know one sentence at a time: nothing of a sentence is told before the one before it is over.

    A sentence is over with its second pass, or with its correction where one was asked for. Overtaken
    partial texts are never told.
    """

    def __init__(self, corrected: bool) -> None:
        self._over = Stage.CORRECTED if corrected else Stage.SECOND_PASS
        self._lines: dict[int, _Line] = {}  # in order of ids; those that are not over for the client

    # What a protocol makes of it. ``number`` counts the core's sentences from 0.

    def began(self, number: int, at: int) -> Frames:
        return ()

    def partial(self, sentence: Sentence) -> Frames:
        return ()

    @abstractmethod
    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        """``sentence`` is None where nobody spoke after all."""

    def encode(self, event: Event, position: int, done: float) -> Iterator[Frames]:
        match event:
            case SpeechStarted(id, at):
                self._lines[id] = _Line(at)
            case SentenceRevised(sentence) if line := self._lines.get(sentence.id):
                line.latest = sentence
                if sentence.stage >= self._over:
                    line.ended, line.last = True, sentence
            case SentenceSettled(sentence) if line := self._lines.get(sentence.id):
                line.ended, line.last = True, sentence
            case SentenceDropped(id) if line := self._lines.get(id):
                line.ended = True
            case _:
                pass
        yield from self._flow()
        if isinstance(event, Completed):
            yield self.final(event)

    def _flow(self) -> Iterator[Frames]:
        while self._lines:
            number, line = next(iter(self._lines.items()))
            if not line.begun:
                line.begun = True
                yield self.began(number, line.at)
            if line.ended:
                del self._lines[number]
                yield self.ended(number, line.last)
                continue
            if line.latest is not None:
                latest, line.latest = line.latest, None
                yield self.partial(latest)
            return


# -- JSON ----------------------------------------------------------------------------------


def to_json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> dict[str, Any]:
    """One JSON object. Raises XingjiError("bad_json")."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise XingjiError("bad_json") from error
    if not isinstance(body, dict):
        raise XingjiError("bad_json")
    return body
