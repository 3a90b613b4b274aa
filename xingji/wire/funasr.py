"""FunASR's runtime protocol (offline, online, 2pass), as its Python, C++ and browser clients speak it.

The client names its options in a JSON message, sends audio, and ends with ``is_speaking: false``. It is told
increments while somebody speaks (``2pass-online``), then each sentence as a whole (``2pass-offline``), which
replaces its increments. Exactly one message of each input has ``is_final: true``: the last; clients that ask
for it by ``is_end`` get a word of acknowledgement after that. An address has no path here: the protocol lives on ``/``.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import XingjiError
from ..core.hotwords import HEAVIEST, LARGEST_TABLE, LIGHTEST, parse
from ..core.messages import Completed
from ..core.transcript import pieces
from ..core.types import AudioFormat, Hotword, Sentence
from . import Frame, Open, Wishes, milliseconds
from .dialect import (
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
from .socketio_read import LANGUAGES

log = logging.getLogger(__name__)

MODES = ("2pass", "online", "offline")
MARKS = "，。？！、；：,.?!;:"
RAW = ("pcm", "s16le", "wav", "others")  # what begins like a WAV file is one, whatever it is called
CONTAINERS = (b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"#!AMR", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\xff\xf9")
RATES = (8_000, 48_000)
BAD_IN_A_ROW = 3
CODES = {"bad_parameter": "bad_config", "not_ready": "busy", "backend_failed": "internal"}
TRY_LATER = {"busy", "not_ready"}


@dataclass(frozen=True, slots=True)
class Options:
    mode: str = "2pass"
    wav_name: str = "demo"
    format: str = "pcm"
    rate: int = 16_000
    itn: bool = True
    language: str = "auto"
    hotwords: tuple[Hotword, ...] = ()

    def wishes(self) -> Wishes:
        streams = self.mode != "offline"
        return Wishes(
            language=self.language,
            hotwords=self.hotwords,
            stream=streams,
            second_pass=self.mode != "online",
            itn=self.itn,
            llm=False,
        )


class FunAsr(Dialect):
    def __init__(self, handshake: Handshake) -> None:
        self._options = Options()
        self._open = False  # a recording takes audio
        self._deaf = False  # this input was refused; its audio is for nobody
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
            if audio.startswith(CONTAINERS):
                raise XingjiError("unsupported_format", field="wav_format")
            yield Open(self._options.wishes(), AudioFormat("pcm", self._options.rate))
            self._open, self._deaf = True, False
        yield Frame(audio)

    def _told(self, body: Mapping[str, Any]) -> Iterator[Command]:
        if body.get("is_speaking") is False or body.get("is_finished") is True:
            if not self._open:
                with suppress(XingjiError):  # an end that says odd things is an end all the same
                    self._options = _read(body, self._options)
            yield from self._end(body.get("is_end") is True)
            return
        before = Options() if self._over else self._options
        self._over, self._deaf = False, not self._open  # deaf until the options turn out to be good
        options = _read(body, before)
        self._deaf = False
        if self._open:
            options = replace(options, mode=before.mode)  # an input stays what it began as
            if options.wishes() != before.wishes():
                yield Configure(options.wishes())
        self._options = options

    def _end(self, acknowledge: bool) -> Iterator[Command]:
        refused, repeated = self._deaf, self._over
        self._over, self._deaf = True, False
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
            case "overloaded" | "bad_audio" | "no_session":
                return ()  # no input ends with it, and this protocol has no word for it
            case code if code in TRY_LATER:
                return (self.complaint(error), Close(1013, code))
            case _:
                return (self.complaint(error, last=recording_id is None),)

    def complaint(self, error: XingjiError, last: bool = True) -> str:
        return _complaint(self._options, error, last)

    def full(self, writer: "_Input") -> None:
        """A limit has stopped this recording."""
        if writer is self._writer:
            self._open = False


class _Input(InOrder):
    """One input: what lies between its options and its end."""

    def __init__(self, dialect: FunAsr, options: Options) -> None:
        super().__init__(corrected=False)
        self._dialect, self._options = dialect, options
        self.acknowledge = False
        self._stopped: str | None = None
        self._shown = ""  # of the sentence that is being told, without punctuation
        self._before = ""  # the text before it
        self._sentences: list[Sentence] = []
        self._held: dict[str, Any] | None = None  # after the end: it may be the last
        self._index = 0

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        self._stopped = reason
        if reason != "client":
            self._dialect.full(self)
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
        failed = event is None or (not any(s.text for s in event.sentences) and _lost(event))
        if failed:
            held = (self._json(self._held),) if self._held is not None else ()
            error = XingjiError("internal")
            frames: Frames = (*held, _complaint(self._options, error, last=True))
        elif self._held is not None:
            frames = (self._json(self._held | {"is_final": True}),)
        else:
            text = "".join(pieces(s.text for s in self._sentences))
            frames = (self.result(text, self._sentences),)
        if self.acknowledge:
            frames += (self.acknowledgement("internal" if failed else None),)
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


def _complaint(options: Options, error: XingjiError, last: bool) -> str:
    said = f"{CODES.get(error.code, error.code)}: {error.meaning.zh} {error.meaning.en}"
    if error.field is not None:
        said += f" ({error.field})"
    told = {"mode": options.mode, "wav_name": options.wav_name, "text": "", "is_final": last, "error": said}
    return to_json(told)


def _lost(event: Completed) -> bool:
    return any(reason != "empty" for readings in event.readings for _, reason in readings.lost)


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


# -- options --------------------------------------------------------------------------------


def _read(body: Mapping[str, Any], before: Options) -> Options:
    """What a message changes. Raises XingjiError("bad_config") for what decides how the input is heard."""
    mode = body.get("mode", before.mode)
    if mode not in MODES:
        raise XingjiError("bad_config", field="mode")
    rate = body.get("audio_fs", before.rate)
    if isinstance(rate, bool) or not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
        raise XingjiError("bad_config", field="audio_fs")
    format = body.get("wav_format", before.format)
    if not isinstance(format, str) or format.lower() not in RAW:
        raise XingjiError("unsupported_format", field="wav_format")
    name = body.get("wav_name", before.wav_name)
    language = body.get("svs_lang", before.language)
    return Options(
        mode=mode,
        wav_name=name[:200] if isinstance(name, str) else before.wav_name,
        format=format,
        rate=rate,
        itn=_flag(body.get("itn", body.get("svs_itn")), before.itn),
        language=language if language in LANGUAGES else "auto",
        hotwords=read_hotwords(body["hotwords"]) if "hotwords" in body else before.hotwords,
    )


def _flag(value: object, default: bool) -> bool:
    if isinstance(value, str):
        return value.lower() in ("true", "1")
    return bool(value) if isinstance(value, int) else default


def read_hotwords(value: object) -> tuple[Hotword, ...]:
    """``{"词": 20}`` as JSON, or words separated by commas or by spaces, each perhaps followed by its weight.

    What cannot be read is left out: clients of this protocol expect no complaint.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            log.warning("hotwords are no JSON and are ignored")
            return ()
    if isinstance(value, str):
        value = weighted(value)
    if not isinstance(value, dict):
        return ()
    found: dict[str, Hotword] = {}
    for word, weight in value.items():
        known = isinstance(weight, int | float) and not isinstance(weight, bool)
        item: dict[str, Any] = {"text": str(word).strip()}
        if known:
            item["weight"] = int(min(max(weight, LIGHTEST), HEAVIEST))
        try:
            found.update((hotword.text, hotword) for hotword in parse([item]))
        except XingjiError:
            log.info("a hotword was left out")
        if len(found) == LARGEST_TABLE:
            break
    return tuple(found.values())


def weighted(text: str) -> dict[str, int | None]:
    """Words that are separated by commas or line breaks, else by spaces, each perhaps followed by its weight."""
    text = text.replace("，", ",")
    parts = text.replace("\n", ",").split(",") if "," in text or "\n" in text else [text]
    found: dict[str, int | None] = {}
    for part in parts:
        words = part.split()
        if len(parts) > 1 and len(words) > 1:  # a word of several, with or without its weight
            numbered = words[-1].isdecimal()
            found[" ".join(words[:-1] if numbered else words)] = int(words[-1][:4]) if numbered else None
            continue
        last = None
        for word in words:
            if word.isdecimal() and last is not None:
                found[last] = int(word[:4])
                last = None
            else:
                found[word] = None
                last = word
    return found
