"""What DashScope's clients are told about one task.

A sentence is a snapshot that replaces the one before; it is final exactly when ``end_time`` is a number, and
then with its second pass. The key ``usage`` and both times are always there, ``task-finished`` is never empty:
the vendor's clients fall over where they are not.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed, Event
from ..core.transcript import join
from ..core.types import SAMPLE_RATE, Sentence, Word
from . import milliseconds
from .dashscope_read import Failure, Style
from .dialect import Close, Frames, InOrder, to_json

_MARKS = re.compile(r"[，。？！、；：]+|[,.?!;:]+(?=\s|$)")
_FILLERS = re.compile(r"[嗯呃唔]+[，、]?|\b(?:um+|uh+|erm|hmm+)\b[,，]?\s*", re.IGNORECASE)
_LEFT_BEHIND = re.compile(r"[，、,]\s*(?=[。？！.?!]|$)")  # a comma in front of a full stop
_MEANING = re.compile(r"(?<=[。？！?!])(?![。？！?!])\s*(?=.)|(?<=\.)\s+(?=\S)")
_NEAR = 8  # characters; a word that stands further off is another one


def told(task_id: str, event: str, payload: Mapping[str, Any], **header: str) -> str:
    return to_json({"header": {"task_id": task_id, "event": event, "attributes": {}, **header}, "payload": payload})


def failed(task_id: str, failure: Failure) -> Frames:
    """Nothing can follow."""
    said = told(task_id, "task-failed", {}, error_code=failure.code, error_message=str(failure))
    return (said, Close(failure.close, failure.code))


def refused(error: XingjiError) -> tuple[int, str]:
    """Status and body of a handshake, or of a request, that is refused."""
    status = {"unauthorized": 401, "internal": 500, "busy": 429, "not_ready": 503}.get(error.code, 400)
    failure = why(error)
    return status, to_json({"code": failure.code, "message": str(failure), "request_id": str(uuid.uuid4())})


def why(error: XingjiError) -> Failure:
    """An error of ours in the protocol's words."""
    match error.code, error.field:
        case "bad_config", "hotword_table":
            return Failure("InvalidParameter", "没有这个热词表：vocabulary_id。 vocabulary_id was not found.")
        case "not_found", _:
            return Failure("InvalidParameter", "没有这个热词表。 vocabulary not found.")
        case ("bad_config", "format") | ("unsupported_format", _):
            return Failure("UNSUPPORTED_FORMAT", "不支持的音频格式。 Unsupported audio format.")
        case (("decode_failed" | "not_streamable" | "too_large"), _):
            code = "DECODE_ERROR"
        case "unauthorized", _:
            code = "InvalidApiKey"
        case "busy", _:
            code = "Throttling.RateQuota"
        case "not_ready", _:
            code = "ServiceUnavailable"
        case (("bad_json" | "bad_config" | "bad_parameter"), _):
            code = "InvalidParameter"
        case _:
            code = "InternalError"
    return Failure(code, f"{error.meaning.zh} {error.meaning.en}")


class TaskWriter(InOrder):
    def __init__(self, task_id: str, style: Style, checks_header: bool, over: Callable[[bool], None]) -> None:
        """``checks_header``: audio that begins with a header and has nothing else is an error. ``over`` is told, with
        the last message, whether all went well."""
        super().__init__(corrected=False)
        self._task_id, self._style, self._checks_header, self._tell_over = task_id, style, checks_header, over
        self.failure: Failure | None = None  # how the task ends once all is told; None: well
        self.spoke = False  # something was heard since this was last looked at
        self.silent = False  # the client wants to hear nothing more of it
        self._last_id = 0
        self._shown = False  # something of the sentence that is being spoken
        self._seconds = 0  # of the task's audio
        self._position = 0  # samples of it

    def started(self) -> Frames:
        return (told(self._task_id, "task-started", {}),)

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        if self.failure is None:
            self.failure = self._why_stopped(reason, received, received_bytes)
        return ()

    def _why_stopped(self, reason: str, received: int, received_bytes: int) -> Failure | None:
        match reason:
            case "idle":
                return Failure("CLIENT_ERROR", "request timeout after 23 seconds.")
            case "max_duration":
                return Failure("CLIENT_ERROR", "录音达到最长时间。 The task has reached the longest duration.")
            case "server_shutdown":
                return Failure("ServiceUnavailable", "服务器正在关闭。 The server is shutting down.", close=1001)
            case "client" if self._checks_header and received_bytes and not received:
                return Failure("NO_VALID_AUDIO_ERROR", "没有有效的音频。 There is no audio behind the header.")
            case _:
                return None

    def encode(self, event: Event, position: int, done: float) -> Iterator[Frames]:
        self._position = max(self._position, position)
        if not isinstance(event, Completed):
            self.spoke = True
        if not self.silent:
            yield from super().encode(event, position, done)

    @property
    def quiet(self) -> bool:
        return not self._lines

    # -- sentences -------------------------------------------------------------------------

    def partial(self, sentence: Sentence) -> Frames:
        text = sentence.text if self._style.punctuation else unmarked(sentence.text)
        return (self._sentence(text, sentence.start, None, []),) if text else ()

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        parts = _parts(sentence, self._style) if sentence is not None else []
        if parts:
            return tuple(self._sentence(part.text, part.begin, part.end, part.words) for part in parts)
        if not self._shown:
            return ()
        end = sentence.end if sentence is not None and sentence.end is not None else self._position
        return (self._sentence("", end, end, []),)  # takes back what was shown

    def _sentence(self, text: str, begin: int, end: int | None, words: Sequence["Spelled"]) -> str:
        first = not self._shown
        self._last_id += first
        self._shown = end is None
        body: dict[str, Any] = {
            "sentence_id": self._last_id,
            "begin_time": milliseconds(begin),
            "end_time": None if end is None else milliseconds(end),
            "text": text,
            "sentence_begin": first,
            "sentence_end": end is not None,
            "heartbeat": False,
            "words": [word.told() for word in words],
        }
        return self._result(body, None if end is None else self._usage(self._position))

    def heartbeat(self) -> str:
        at = milliseconds(self._position)
        body = {"sentence_id": 0, "begin_time": at, "end_time": None, "text": "", "sentence_begin": False}
        return self._result(body | {"sentence_end": False, "heartbeat": True, "words": []}, None)

    def _result(self, sentence: Mapping[str, Any], usage: Mapping[str, int] | None) -> str:
        return told(self._task_id, "result-generated", {"output": {"sentence": sentence}, "usage": usage})

    def _usage(self, length: int) -> dict[str, int]:
        """Whole seconds, rounded up; they never fall."""
        self._seconds = max(self._seconds, -(-length // SAMPLE_RATE))
        return {"duration": self._seconds}

    # -- the end -----------------------------------------------------------------------------

    def final(self, event: Completed | None) -> Frames:
        if self.failure is None and (event is None or _lost(event)):
            self.failure = why(XingjiError("internal"))
        self._tell_over(self.failure is None)
        if self.silent:
            return ()
        if self.failure is not None:
            return failed(self._task_id, self.failure)
        length = event.length if event is not None else 0
        return (told(self._task_id, "task-finished", {"output": {}, "usage": self._usage(length)}),)


def _lost(event: Completed) -> bool:
    """Somebody spoke, and no recogniser could say anything about it."""
    reasons = {reason for readings in event.readings for _, reason in readings.lost} - {"empty"}
    return bool(reasons) and not any(sentence.text for sentence in event.sentences)


# -- texts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spelled:
    """A word as it stands in the text, and the marks after it; in samples."""

    text: str
    marks: str
    begin: int
    end: int

    def told(self) -> dict[str, Any]:
        begin, end = milliseconds(self.begin), milliseconds(self.end)
        return {"begin_time": begin, "end_time": end, "text": self.text, "punctuation": self.marks, "fixed": True}


@dataclass(frozen=True, slots=True)
class _Part:
    """One sentence for the client."""

    text: str
    begin: int
    end: int
    words: tuple[Spelled, ...]


def unmarked(text: str) -> str:
    """Without punctuation; what is inside numbers and words stays."""
    return join(part.strip() for part in _MARKS.split(text))


def without_fillers(text: str) -> str:
    """Without 嗯 and um; empty where nothing else was said."""
    rest = _LEFT_BEHIND.sub("", _FILLERS.sub("", text)).strip()
    return rest if any(char.isalnum() for char in rest) else ""


def _parts(sentence: Sentence, style: Style) -> list[_Part]:
    """What one core sentence is for this client: several, where meaning decides, or none."""
    text = sentence.text if style.fillers else without_fillers(sentence.text)
    texts = _MEANING.split(text) if style.by_meaning else [text]
    if not style.punctuation:
        texts = [unmarked(one) for one in texts]
    texts = [one for one in texts if one]
    whole = "".join(texts)
    if not whole:
        return []
    start = sentence.start
    length = max(0, (sentence.end if sentence.end is not None else start) - start)
    places = _places(whole, sentence.words)
    parts, at, begin = [], 0, start
    for text in texts:
        until = at + len(text)
        here = [(place - at, word) for place, word in places if at <= place < until]
        after = next((word.span.start for place, word in places if place >= until), None)
        end = start + length * until // len(whole) if after is None or until == len(whole) else after
        end = min(max(end, begin), start + length)
        parts.append(_Part(text, begin, end, tuple(_spell(text, here, begin, end))))
        at, begin = until, end
    return parts


def _places(text: str, words: Sequence[Word]) -> list[tuple[int, Word]]:
    """Where each word stands in the text; words that a hotword or a number has replaced stand nowhere."""
    at, found = 0, []
    for word in words:
        place = text.find(word.text, at, at + _NEAR + len(word.text))
        if place >= 0 and word.text:
            found.append((place, word))
            at = place + len(word.text)
    return found


def _spell(text: str, places: Sequence[tuple[int, Word]], begin: int, end: int) -> Iterator[Spelled]:
    """Together they are the text. Times do not run backwards and stay inside."""
    earliest = begin
    for number, (place, word) in enumerate(places):
        since = place if number else 0
        until = places[number + 1][0] if number + 1 < len(places) else len(text)
        own = text[since:until]
        letters = next((i + 1 for i in range(len(own) - 1, -1, -1) if own[i].isalnum()), len(own))
        if own[letters:].isspace():
            letters = len(own)  # the space between words belongs to the word
        latest = end if number + 1 == len(places) else min(max(places[number + 1][1].span.start, earliest), end)
        replaced = own[place - since + len(word.text) : letters].strip() != ""  # stands for what follows it, too
        first = min(max(word.span.start, earliest), end)
        last = min(max(latest if replaced else word.span.end, first), end)
        yield Spelled(own[:letters], own[letters:], first, last)
        earliest = last
