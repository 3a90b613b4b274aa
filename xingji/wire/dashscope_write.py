"""What DashScope's clients are told about one task.

A sentence is a snapshot that replaces the one before; it is final exactly when ``end_time`` is a number, and
then with its second pass. The key ``usage`` and both times are always there, ``task-finished`` is never empty:
the vendor's clients fall over where they are not.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed, Event
from ..core.types import SAMPLE_RATE, Sentence
from . import milliseconds
from .dashscope_read import Failure
from .dialect import Close, Frames, InOrder, to_json
from .parts import Spelled, Style


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
        case "unknown_model", _:
            code = "ModelNotFound"
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
        text = self._style.shown(sentence.text)
        return (self._sentence(text, sentence.start, None, []),) if text else ()

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        parts = self._style.parts(sentence) if sentence is not None else []
        if parts:
            return tuple(self._sentence(part.text, part.begin, part.end, part.words) for part in parts)
        if not self._shown:
            return ()
        end = sentence.end if sentence is not None and sentence.end is not None else self._position
        return (self._sentence("", end, end, []),)  # takes back what was shown

    def _sentence(self, text: str, begin: int, end: int | None, words: Sequence[Spelled]) -> str:
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
            "words": [_word(word) for word in words],
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
        if self.failure is None and (event is None or event.unread):
            self.failure = why(XingjiError("internal"))
        self._tell_over(self.failure is None)
        if self.silent:
            return ()
        if self.failure is not None:
            return failed(self._task_id, self.failure)
        length = event.length if event is not None else 0
        return (told(self._task_id, "task-finished", {"output": {}, "usage": self._usage(length)}),)


def _word(word: Spelled) -> dict[str, Any]:
    begin, end = milliseconds(word.begin), milliseconds(word.end)
    return {"begin_time": begin, "end_time": end, "text": word.text, "punctuation": word.marks, "fixed": True}
