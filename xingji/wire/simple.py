"""``/ws/asr``: binary audio and a mark at the end of each sentence in, one result per sentence out.

The client has found the sentence itself, as a page with a voice detector does, so all audio up to the
mark is one segment: a recording of its own, with an end silence that never comes. With ``?mode=stream``
the client just sends and the server finds the sentences.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed, Event, SentenceRevised
from ..core.transcript import join
from ..core.types import AudioFormat, Sentence, Stage
from . import NO_END, Frame, Open, Wishes, milliseconds
from .dialect import (
    Cancel,
    Close,
    Command,
    Commit,
    Dialect,
    Frames,
    Handshake,
    InOrder,
    Say,
    Stop,
    Writer,
    from_json,
    to_json,
)
from .socketio_read import LANGUAGES, read_hotwords

WIDTHS = {"s16le": 2, "f32le": 4}  # bytes of a sample
SHORTEST_MS = 200  # nobody says anything in less
LONGEST_S = 120  # audio without a mark, then the sentence ends here
WAITING = 8  # sentences of one connection that are being recognised
LARGEST_MARK = 256  # bytes; JSON that a page has put in a Blob comes as binary
CODES = {"unknown_event": "unknown_type", "bad_config": "bad_parameter"}


class Simple(Dialect):
    keeps_lost = False

    def __init__(self, handshake: Handshake) -> None:
        query = handshake.query
        self._live = _choice(query, "mode", ("sentence", "stream")) == "stream"
        self._events = _choice(query, "events", ("0", "1")) == "1"
        self._format = AudioFormat()
        self._wishes = Wishes(stream=self._live or self._events, llm=False, waits=True)
        if not self._live:
            self._wishes = replace(self._wishes, pace=replace(self._wishes.pace, end_silence=NO_END))
        self._configure(query)
        self.ids = itertools.count(1)
        self._id = 0  # of the sentence that is being sent; 0 where the server finds them
        self._open = False  # a recording takes audio
        self._deaf = False  # this sentence was refused; its audio is for nobody
        self._taken = 0  # bytes of it
        self._per_s = 0  # bytes of a second of it
        self._results: dict[int, Frames | None] = {}  # by sentence, in the order of marks; None: not known yet

    def greet(self) -> Frames:
        return (to_json({"type": "ready", "mode": "stream" if self._live else "sentence"}),) if self._events else ()

    # -- what the client sends -----------------------------------------------------------

    def read(self, message: str | bytes) -> Iterator[Command]:
        if isinstance(message, str):
            yield from self._told(from_json(message))
        elif (mark := _mark(message)) is not None:
            yield from self._told(mark)
        elif message:
            yield from self._heard(message)

    def _heard(self, audio: bytes) -> Iterator[Command]:
        if self._deaf:
            return
        if not self._open:
            yield from self._begin()
        yield Frame(audio)
        self._taken += len(audio)
        if not self._live and self._taken > LONGEST_S * self._per_s:
            yield from self._end()

    def _begin(self) -> Iterator[Command]:
        self._taken, self._per_s = 0, WIDTHS[self._format.codec] * self._format.rate
        self._deaf = True
        if not self._live:
            self._id = next(self.ids)
        if len(self._results) >= WAITING:
            raise XingjiError("busy", detail={"retry_after_ms": 1000})
        yield Open(self._wishes, self._format)
        self._open, self._deaf = True, False

    def _told(self, body: Mapping[str, Any]) -> Iterator[Command]:
        kind = body.get("type")
        if kind == "speech_end" or body.get("end_signal") is True:
            yield from self._end()
        elif kind == "ping" and self._events:
            yield Say((to_json({"type": "pong"}),))
        elif kind == "config" and self._events:
            self._configure(body)
        else:
            raise XingjiError("unknown_event")

    def _end(self) -> Iterator[Command]:
        self._deaf = False
        if not self._open:
            return
        if self._live:
            yield Commit()
            return
        self._open = False
        length = self._taken * 1000 // self._per_s
        if length >= SHORTEST_MS:
            yield Stop()
        else:
            yield Cancel()
            yield Say(self.deliver(self._id, (self.result(self._id, "", length),)))

    def _configure(self, options: Mapping[str, Any]) -> None:
        """Counts from the next sentence on (or recording, where the server finds them)."""
        codec = _choice(options, "format", tuple(WIDTHS), self._format.codec)
        rate = _whole(options, "sample_rate", self._format.rate)
        language = _choice(options, "language", LANGUAGES, self._wishes.language)
        hotwords = self._wishes.hotwords
        if options.get("hotwords") is not None:
            hotwords = read_hotwords(options["hotwords"])
        self._format = AudioFormat(codec, rate)
        self._wishes = replace(self._wishes, language=language, hotwords=hotwords)

    # -- what it is told -----------------------------------------------------------------

    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> Writer:
        if self._live:
            return _Live(self)
        self._results[self._id] = None
        return _Sentence(self, self._id, self._events)

    def error(self, error: XingjiError, recording_id: str | None) -> Frames:
        if error.code == "connection_timeout":
            return (Close(1000, error.code),)
        if error.code == "overloaded":
            return ()  # nothing is lost, and pages show what they do not know
        return (self.complaint(error, self._id),)

    def complaint(self, error: XingjiError, id: int) -> str:
        """Without a ``text``, which pages show."""
        told: dict[str, Any] = {
            "type": "error",
            "code": CODES.get(error.code, error.code),
            "message": error.meaning.zh,
            "message_en": error.meaning.en,
        }
        if id:
            told["id"] = id
        return to_json(told | ({} if error.field is None else {"field": error.field}))

    def result(self, id: int, text: str, duration_ms: int | None) -> str:
        """``duration_ms`` is None while the text may still change."""
        told = {"type": "result", "text": text, "is_final": duration_ms is not None, "id": id}
        return to_json(told if duration_ms is None else told | {"duration_ms": duration_ms})

    def full(self, id: int) -> None:
        """The recording of this sentence takes no more audio; a limit has stopped it."""
        if id == self._id:
            self._open = False

    def deliver(self, id: int, frames: Frames) -> Frames:
        """All results that are next in the order of marks, this one among them or later."""
        self._results[id] = frames
        out: Frames = ()
        while self._results and (ready := self._results[next(iter(self._results))]) is not None:
            out += ready
            del self._results[next(iter(self._results))]
        return out


class _Sentence(Writer):
    """One sentence that the client has cut."""

    def __init__(self, dialect: Simple, id: int, partials: bool) -> None:
        self._dialect, self._id, self._partials = dialect, id, partials
        self._texts: dict[int, str] = {}  # by the core's sentence

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        if reason != "client":
            self._dialect.full(self._id)
        return ()

    def encode(self, event: Event, position: int, done: float) -> Iterator[Frames]:
        if self._partials and isinstance(event, SentenceRevised) and event.sentence.stage < Stage.SECOND_PASS:
            self._texts[event.sentence.id] = event.sentence.text
            yield (to_json({"type": "partial", "id": self._id, "text": join(self._texts.values())}),)
        yield from super().encode(event, position, done)

    def final(self, event: Completed | None) -> Frames:
        deliver, id = self._dialect.deliver, self._id
        if event is None:
            return deliver(id, (self._dialect.complaint(XingjiError("internal"), id),))
        text = join(sentence.text for sentence in event.sentences)
        if event.unread:
            return deliver(id, (self._dialect.complaint(XingjiError("backend_failed"), id),))
        return deliver(id, (self._dialect.result(id, text, milliseconds(event.length)),))


class _Live(InOrder):
    """The server finds the sentences; texts are whole, partial ones too."""

    def __init__(self, dialect: Simple) -> None:
        super().__init__(corrected=False)
        self._dialect = dialect
        self._id: int | None = None  # of the sentence that is being told, once something of it was

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        self._dialect.full(0)
        return ()

    def partial(self, sentence: Sentence) -> Frames:
        return self._result(sentence.text, None) if sentence.text else ()

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        text = sentence.text if sentence is not None else ""
        if not text and self._id is None:
            return ()
        length = 0 if sentence is None or sentence.end is None else sentence.end - sentence.start
        frames = self._result(text, milliseconds(length))
        self._id = None
        return frames

    def _result(self, text: str, duration_ms: int | None) -> Frames:
        if self._id is None:
            self._id = next(self._dialect.ids)
        return (self._dialect.result(self._id, text, duration_ms),)

    def final(self, event: Completed | None) -> Frames:
        return () if event is not None else (self._dialect.complaint(XingjiError("internal"), 0),)


def _mark(message: bytes) -> dict[str, Any] | None:
    """The object in a binary message that is no audio but short JSON."""
    if len(message) > LARGEST_MARK or message[:1] != b"{":
        return None
    try:
        body = from_json(message.decode())
    except (XingjiError, UnicodeDecodeError):
        return None
    return body if "type" in body or "end_signal" in body else None


def _choice(options: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    value = options.get(name)
    if value is None or value == "":
        return allowed[0] if default is None else default
    if not isinstance(value, str) or value not in allowed:
        raise XingjiError("bad_parameter", field=name)
    return value


def _whole(options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 7:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 8_000 <= value <= 48_000:
        raise XingjiError("bad_parameter", field=name)
    return value
