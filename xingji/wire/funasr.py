"""FunASR's runtime protocol (offline, online, 2pass), as its Python, C++ and browser clients speak it.

The client names its options in a JSON message, sends audio, and ends with ``is_speaking: false``. It is told
increments while somebody speaks (``2pass-online``), then each sentence as a whole (``2pass-offline``), which
replaces its increments. Exactly one message of each input has ``is_final: true``: the last; clients that ask
for it by ``is_end`` get a word of acknowledgement after that. An address has no path here: the protocol lives on ``/``.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.transcript import pieces
from ..core.types import AudioFormat, Sentence
from ..core.written import MARKS
from . import Frame, Open, milliseconds
from .dialect import (
    DAMAGED,
    Close,
    Command,
    Configure,
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
from .funasr_read import Options, read_options

BAD_IN_A_ROW = 3
CODES = {"bad_parameter": "bad_config", "not_ready": "busy", "backend_failed": "internal"}
TRY_LATER = {"busy", "not_ready"}


class FunAsr(Dialect):
    def __init__(self, handshake: Handshake) -> None:
        self._options = Options()
        self._open = False  # a recording takes audio
        self._deaf = False  # this input was refused, or turned out to be damaged; its audio is for nobody
        self._broken: _Input | None = None  # the one that turned out to be
        self._over = False  # the last message was the end of an input
        self._bad = 0  # messages in a row that were no JSON
        self._writer: _Input | None = None

    # -- what the client sends -----------------------------------------------------------

    def read(self, message: str | bytes) -> Iterator[Command]:
        if isinstance(message, bytes):
            if message:
                yield from self._heard(message)
            return
        try:
            body = from_json(message)
        except XingjiError as error:
            self._bad += 1
            over: Frames = (Close(1003, error.code),) if self._bad == BAD_IN_A_ROW else ()
            yield Say((self.complaint(error, last=bool(over)), *over))
            return
        self._bad = 0
        yield from self._told(body)

    def _heard(self, audio: bytes) -> Iterator[Command]:
        if self._deaf:
            return
        if not self._open:
            self._over, self._deaf = False, True
            yield Open(self._options.wishes(), AudioFormat(self._options.codec, self._options.rate))
            self._open, self._deaf = True, False
        yield Frame(audio)

    def _told(self, body: Mapping[str, Any]) -> Iterator[Command]:
        if body.get("is_speaking") is False or body.get("is_finished") is True:
            if not self._open:
                with suppress(XingjiError):  # an end that says odd things is an end all the same
                    self._options = read_options(body, self._options)
            yield from self._end(body.get("is_end") is True)
            return
        before = Options() if self._over else self._options
        self._broken = None
        self._over, self._deaf = False, not self._open  # deaf until the options turn out to be good
        options = read_options(body, before)
        self._deaf = False
        if self._open:
            options = replace(options, mode=before.mode)  # an input stays what it began as
            if options.wishes() != before.wishes():
                yield Configure(options.wishes())
        self._options = options

    def _end(self, acknowledge: bool) -> Iterator[Command]:
        refused, repeated, broken = self._deaf, self._over, self._broken
        self._over, self._deaf, self._broken = True, False, None
        if broken is not None and not broken.over:
            broken.acknowledge = acknowledge
            return
        if self._open and self._writer is not None:
            self._open = False
            self._writer.acknowledge = acknowledge
            yield Stop()
            return
        empty = _Input(self, self._options)
        frames: Frames = () if refused or repeated else (empty.result("", []),)
        if acknowledge:
            frames += (empty.acknowledgement("refused" if refused else None),)
        yield Say(frames)

    # -- what it is told -----------------------------------------------------------------

    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> Writer:
        self._writer = _Input(self, self._options)
        return self._writer

    def error(self, error: XingjiError, recording_id: str | None) -> Frames:
        match error.code:
            case "connection_timeout":
                return (Close(1000, error.code),)
            case code if code in DAMAGED and recording_id is not None and self._writer is not None:
                self._writer.failure = error  # what was understood so far is told first
                return ()
            case "overloaded" | "bad_audio" | "no_session":
                return ()  # no input ends with it, and this protocol has no word for it
            case code if code in TRY_LATER:
                return (self.complaint(error), Close(1013, code))
            case _:
                return (self.complaint(error, last=recording_id is None),)

    def complaint(self, error: XingjiError, last: bool = True) -> str:
        return _complaint(self._options, error, last)

    def full(self, writer: "_Input", deaf: bool) -> None:
        """A limit has stopped this recording. ``deaf``: the rest of its input is for nobody."""
        if writer is self._writer and self._open:
            self._open, self._deaf, self._broken = False, deaf, writer if deaf else None


class _Input(InOrder):
    """One input: what lies between its options and its end."""

    def __init__(self, dialect: FunAsr, options: Options) -> None:
        super().__init__(corrected=False)
        self._dialect, self._options = dialect, options
        self.acknowledge = False
        self.failure: XingjiError | None = None  # how the input ends once all is told; None: well
        self.over = False  # all is told
        self._stopped: str | None = None
        self._shown = ""  # of the sentence that is being told, without punctuation
        self._before = ""  # the text before it
        self._sentences: list[Sentence] = []
        self._held: dict[str, Any] | None = None  # after the end: it may be the last
        self._index = 0

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        self._stopped = reason
        if reason != "client":
            self._dialect.full(self, deaf=reason == "undecodable")
        return ()

    def partial(self, sentence: Sentence) -> Frames:
        """Only what is new, for clients add it up."""
        text = sentence.bare
        new = text[len(self._shown) :]
        if not new or self._options.mode == "offline":
            return ()
        joined = new if self._shown else _after(self._before, new)
        self._shown = text
        mode = "2pass-online" if self._options.mode == "2pass" else "online"
        return (self._json({"mode": mode, "text": joined, "is_final": False}),)

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        frames: Frames = ()
        text = sentence.text if sentence is not None else ""
        if self._options.mode == "online":
            frames = self.partial(sentence) if sentence is not None else ()
            self._before = self._shown or self._before
        elif self._options.mode == "offline":
            self._sentences += [sentence] if sentence is not None and text else []
        elif text or self._shown:
            frames = self._sentence(sentence, text)
        self._shown = ""
        return frames

    def _sentence(self, sentence: Sentence | None, text: str) -> Frames:
        body: dict[str, Any] = {"mode": "2pass-offline", "text": _after(self._before, text), "is_final": False}
        if sentence is not None and text:
            body |= _times([sentence]) | {"index": self._index}
            self._index += 1
            self._before = text
        if self._stopped is None:
            return (self._json(body),)
        held, self._held = self._held, body
        return (self._json(held),) if held is not None else ()

    def final(self, event: Completed | None) -> Frames:
        self.over = True
        if self.failure is None and (event is None or event.unread):
            self.failure = XingjiError("internal")
        text = "".join(pieces(s.text for s in self._sentences))
        if self.failure is not None:
            held = (self._json(self._held),) if self._held is not None else ()
            frames: Frames = (*held, _complaint(self._options, self.failure, last=True, text=text))
        elif self._held is not None:
            frames = (self._json(self._held | {"is_final": True}),)
        else:
            frames = (self.result(text, self._sentences),)
        if self.acknowledge:
            frames += (self.acknowledgement(None if self.failure is None else _code(self.failure)),)
        return frames + ((Close(1000, "idle"),) if self._stopped == "idle" else ())

    def result(self, text: str, sentences: list[Sentence]) -> str:
        """The last one."""
        mode = {"2pass": "2pass-offline"}.get(self._options.mode, self._options.mode)
        return self._json({"mode": mode, "text": text, "is_final": True} | _times(sentences))

    def acknowledgement(self, error: str | None) -> str:
        told: dict[str, Any] = {"mode": self._options.mode, "is_final": error is None, "is_end": True}
        return self._json(told if error is None else told | {"error": error})

    def _json(self, body: Mapping[str, Any]) -> str:
        return to_json({**body, "wav_name": self._options.wav_name})


def _code(error: XingjiError) -> str:
    return CODES.get(error.code, error.code)


def _complaint(options: Options, error: XingjiError, last: bool, text: str = "") -> str:
    """``text``: what was understood all the same."""
    said = f"{_code(error)}: {error.meaning.zh} {error.meaning.en}"
    if error.field is not None:
        said += f" ({error.field})"
    told = {"mode": options.mode, "wav_name": options.wav_name, "text": text, "is_final": last, "error": said}
    return to_json(told)


def _after(before: str, text: str) -> str:
    """``text`` as it stands after ``before``: with a space where two Latin words would touch."""
    return list(pieces((before, text)))[1]


def _times(sentences: list[Sentence]) -> dict[str, Any]:
    """When it was said, in milliseconds; times of words only where there is one for each, for browsers count them."""
    if not sentences:
        return {}
    stamps, pairs, exact = [], list[list[int]](), True
    for sentence in sentences:
        begin, end = milliseconds(sentence.start), milliseconds(sentence.end or sentence.start)
        own = [[milliseconds(word.span.start), milliseconds(word.span.end)] for word in sentence.words]
        exact = exact and [word.text for word in sentence.words] == _tokens(sentence.text)
        pairs += own
        mark = sentence.text[-1] if sentence.text[-1] in MARKS else ""
        text = sentence.text[: len(sentence.text) - len(mark)]
        stamps.append({"text_seg": text, "punc": mark, "start": begin, "end": end, "ts_list": own if exact else []})
    told: dict[str, Any] = {"start_time": stamps[0]["start"], "end_time": stamps[-1]["end"], "stamp_sents": stamps}
    return {"timestamp": json.dumps(pairs, separators=(",", ":"))} | told if exact and pairs else told


def _tokens(text: str) -> list[str]:
    """Chinese characters and Latin words, without punctuation."""
    tokens: list[str] = []
    word = False  # the last character belongs to a Latin word
    for char in text:
        latin = char.isascii() and (char.isalnum() or char in "'-")
        if latin and word:
            tokens[-1] += char
        elif latin or (not char.isascii() and char.isalnum()):
            tokens.append(char)
        word = latin
    return tokens
