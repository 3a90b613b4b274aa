"""What is told in OpenAI's realtime transcription: events, items, errors, in the shape of GA or of the beta.

What is told of a text can only be added to: a delta is what has become stable of the text while it is spoken, and
the transcript of ``completed`` counts. An item is over with its second pass, or with its correction where one was
asked for; the next ones do not wait for it.
"""

from collections.abc import Iterator
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import (
    Completed,
    Event,
    SentenceDropped,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
)
from ..core.types import SAMPLE_RATE, Sentence, Stage
from . import milliseconds
from .dialect import Close, Frames, Writer, to_json
from .realtime_write import TRANSCRIPTION, Item, Telling

SHORTEST = SAMPLE_RATE // 10  # that may be committed
COMMIT_EMPTY = "input_audio_buffer_commit_empty"
TOO_SHORT = "缓冲区里的音频不足 100 毫秒。 The buffer has less than 100 ms of audio."
EXPIRED = "会话已满 60 分钟。 The session has lasted for 60 minutes."

CODES = {
    "unauthorized": "invalid_api_key",
    "bad_json": "invalid_json",
    "bad_audio": "invalid_audio",
    "decode_failed": "invalid_audio",
    "unknown_model": "model_not_found",
    "busy": "rate_limit_exceeded",
    "not_ready": "rate_limit_exceeded",
    "internal": "server_error",
    "backend_failed": "server_error",
}  # what is not here is invalid_value
STATUS = {"unauthorized": 401, "too_large": 413, "busy": 429, "not_ready": 429, "internal": 500}


def why(error: XingjiError) -> tuple[str, str, str]:
    """Type, code and message for an error of ours."""
    kind = "invalid_request_error" if error.meaning.fault == "client" else "server_error"
    return kind, CODES.get(error.code, "invalid_value"), f"{error.meaning.zh} {error.meaning.en}"


def refused(error: XingjiError) -> tuple[int, str]:
    """Status and body of a handshake, or of a request, that is refused."""
    return STATUS.get(error.code, 400), refusal(*why(error), error.field)


def refusal(kind: str, code: str, message: str, param: str | None) -> str:
    return to_json({"error": {"message": message, "type": kind, "param": param, "code": code}})


class OpenAiTelling(Telling):
    def __init__(self, beta: bool) -> None:
        super().__init__()
        self.beta = beta
        self._last_committed: str | None = None

    def item(self) -> "OpenAiItem":
        return OpenAiItem(self, next(self._items))

    def after(self, item_id: str) -> str | None:
        """Which item was committed before this one, which is now."""
        before, self._last_committed = self._last_committed, item_id
        return before

    def cleared(self) -> str:
        return self.event("input_audio_buffer.cleared")

    def commit_empty(self, asked: str | None) -> str:
        return self.error("invalid_request_error", COMMIT_EMPTY, TOO_SHORT, None, asked)

    def farewell(self) -> Frames:
        expired = self.error("invalid_request_error", "session_expired", EXPIRED, None, None)
        return (expired, Close(1000, "session_expired"))

    def broken(self) -> Frames:
        kind, code, message = why(XingjiError("internal"))
        return (self.error(kind, code, message, None, None), Close(1011, code))


class OpenAiItem(Item):
    def __init__(self, telling: OpenAiTelling, id: str) -> None:
        self._telling, self.id = telling, id
        self._said = ""  # the deltas so far

    def began(self, at: int) -> Frames:
        return (self._telling.event("input_audio_buffer.speech_started", audio_start_ms=at, item_id=self.id),)

    def ended(self, at: int) -> Frames:
        stopped = self._telling.event("input_audio_buffer.speech_stopped", audio_end_ms=at, item_id=self.id)
        return (stopped, *self.committed())

    def committed(self) -> Frames:
        before = self._telling.after(self.id)
        item = {
            "id": self.id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }  # fmt: skip
        kinds = ("created",) if self._telling.beta else ("added", "done")
        return (
            self._telling.event("input_audio_buffer.committed", item_id=self.id, previous_item_id=before),
            *(self._telling.event("conversation.item." + k, previous_item_id=before, item=item) for k in kinds),
        )

    def delta(self, text: str) -> Frames:
        """``text``: all that is stable; nothing where it is not what was said before and more."""
        new = text.removeprefix(self._said) if text.startswith(self._said) else ""
        self._said += new
        return (self._told("delta", delta=new),) if new else ()

    def completed(self, text: str, language: str | None, length: int, emotion: str | None = None) -> Frames:
        usage = {"type": "duration", "seconds": round(length / SAMPLE_RATE, 3)}
        return (*self.delta(text), self._told("completed", transcript=text, usage=usage))

    def failed(self) -> Frames:
        message = "这段话没有听清。 The audio could not be transcribed."
        error = {"type": "transcription_error", "code": "audio_unintelligible", "message": message, "param": None}
        return (self._told("failed", error=error),)

    def _told(self, kind: str, **more: Any) -> str:
        return self._telling.event(TRANSCRIPTION + kind, item_id=self.id, content_index=0, **more)


class Detected(Writer):
    """The server finds the sentences, each of which is an item."""

    def __init__(self, telling: OpenAiTelling, base: int, corrected: bool) -> None:
        """``base``: samples of the session before this recording."""
        self._telling, self._base = telling, base
        self._last = Stage.CORRECTED if corrected else Stage.SECOND_PASS
        self._items: dict[int, OpenAiItem] = {}  # by the core's number
        self._committed_to = 0  # samples of this recording that are in items
        self._stopped = False
        self._answered = False  # something was committed after the stop
        self.asked: tuple[str | None] | None = None  # the event_id of the commit that ends the recording
        self.cleared = False  # what is not committed yet is for nobody
        self.clears = 0  # that are told once all is told that was said before
        self.over = False

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        self._stopped = True
        if reason != "client":
            self._telling.full()
        return ()

    def encode(self, event: Event, position: int, done: float) -> Iterator[Frames]:
        match event:
            case SpeechStarted(id, at) if not self.cleared:
                item = self._items[id] = self._telling.item()
                yield item.began(self._at(at))
            case SpeechEnded(id, span) if self.cleared:
                self._items.pop(id, None)
            case SpeechEnded(id, span):
                self._committed_to, self._answered = span.end, self._stopped
                yield self._items[id].ended(self._at(span.end))
            case SentenceRevised(sentence) | SentenceSettled(sentence) if sentence.id in self._items:
                yield self._text(sentence, isinstance(event, SentenceSettled))
            case SentenceDropped(id, span) if id in self._items:
                yield self._items.pop(id).completed("", None, span.end - span.start)
            case Completed():
                yield self.final(event)
            case _:
                pass

    def _at(self, sample: int) -> int:
        return milliseconds(self._base + sample)

    def _text(self, sentence: Sentence, settled: bool) -> Frames:
        if not settled and sentence.stage < self._last:
            stable = sentence.stable if sentence.stage is Stage.PARTIAL else 0
            return self._items[sentence.id].delta(sentence.text[:stable])
        item = self._items.pop(sentence.id)
        if not sentence.text:
            return item.failed()
        return item.completed(sentence.text, sentence.language, (sentence.end or sentence.start) - sentence.start)

    def final(self, event: Completed | None) -> Frames:
        if event is None:
            return self._telling.broken()
        self.over = True
        cleared = tuple(self._telling.cleared() for _ in range(self.clears))
        return (*self._rest(event.length), *cleared, *self._telling.over(event.length))

    def _rest(self, length: int) -> Frames:
        """A commit is always answered: where nobody spoke since the last item, with one of silence."""
        if self.asked is None or self._answered:
            return ()
        silence = length - self._committed_to
        if silence < SHORTEST:
            return (self._telling.commit_empty(*self.asked),)
        item = self._telling.item()
        return (*item.committed(), *item.completed("", None, silence))
