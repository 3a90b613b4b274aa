"""What is told in Qwen's realtime recognition: events, items, and the two ways in which an item comes to be.

The second pass hears the ``emotion``; until then, and where it hears none, that is null.
"""

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed, Event, SpeechEnded
from ..core.transcript import join
from ..core.types import Sentence
from . import milliseconds
from .dashscope_write import why
from .dialect import Close, Frames, InOrder, Writer, to_json

TRANSCRIPTION = "conversation.item.input_audio_transcription."


class Telling:
    """What is counted over the whole connection, and how an event looks."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._events = (f"event_{self.id}_{n}" for n in itertools.count(1))
        self._items = (f"item_{self.id}_{n}" for n in itertools.count(1))
        self._last_item = ""
        self.language: str | None = None  # that the client has named
        self.open = False  # a recording takes audio
        self.unfinished = 0  # recordings
        self.finishing = False
        self.base = 0  # samples of the recordings before this one

    def event(self, kind: str, **more: Any) -> str:
        return to_json({"event_id": next(self._events), "type": kind, **more})

    def error(self, kind: str, code: str, message: str, param: str | None, asked: str | None) -> str:
        """``asked``: the client's event that this is about."""
        error = {"type": kind, "code": code, "message": message, "param": param, "event_id": asked}
        return self.event("error", error=error)

    def item(self) -> tuple[str, str]:
        """A new item, and the one before it."""
        before, self._last_item = self._last_item, next(self._items)
        return self._last_item, before

    def full(self) -> None:
        """A limit has stopped the recording; audio that comes begins another one."""
        self.open = False

    def over(self, length: int) -> Frames:
        """A recording is, after so many samples."""
        self.base += length
        self.unfinished -= 1
        done = self.finishing and not self.unfinished
        return (self.event("session.finished"),) if done else ()

    def broken(self) -> Frames:
        failure = why(XingjiError("internal"))
        return (self.error("server_error", failure.code, str(failure), None, None), Close(1011, failure.code))


class _Item:
    """What is told of one item."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self.id, self.before = telling.item()
        self._confirmed = ""  # never changes or shrinks
        self.stopped = False

    def began(self, at: int) -> Frames:
        started = self._telling.event("input_audio_buffer.speech_started", audio_start_ms=at, item_id=self.id)
        item = {
            "id": self.id, "object": "realtime.item", "type": "message", "status": "in_progress", "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }  # fmt: skip
        created = self._telling.event("conversation.item.created", previous_item_id=self.before, item=item)
        return (started, created)

    def text(self, sentence: Sentence) -> str:
        stable = sentence.text[: sentence.stable]
        if stable.startswith(self._confirmed):
            self._confirmed = stable
        stash = sentence.text[len(self._confirmed) :] if sentence.text.startswith(self._confirmed) else ""
        return self._said("text", sentence.language, text=self._confirmed, stash=stash)

    def ended(self, at: int) -> Frames:
        self.stopped = True
        stopped = self._telling.event("input_audio_buffer.speech_stopped", audio_end_ms=at, item_id=self.id)
        return (stopped, self.committed())

    def committed(self) -> str:
        return self._telling.event("input_audio_buffer.committed", previous_item_id=self.before, item_id=self.id)

    def completed(self, text: str, language: str | None, emotion: str | None) -> str:
        return self._said("completed", language, emotion, transcript=text)

    def failed(self) -> str:
        failure = why(XingjiError("internal"))
        error = {"code": failure.code, "message": str(failure), "param": None}
        return self._telling.event(TRANSCRIPTION + "failed", item_id=self.id, content_index=0, error=error)

    def _said(self, kind: str, language: str | None, emotion: str | None = None, **more: str) -> str:
        about = {
            "item_id": self.id,
            "content_index": 0,
            "emotion": emotion,
            "language": language or self._telling.language,
        }
        return self._telling.event(TRANSCRIPTION + kind, **about, **more)


class Detected(InOrder):
    """The server finds the sentences, each of which is an item."""

    def __init__(self, telling: Telling) -> None:
        super().__init__(corrected=False)
        self._telling = telling
        self._item: _Item | None = None
        self._number: int | None = None  # of the core's sentence that is being told

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        if reason != "client":
            self._telling.full()
        return ()

    def encode(self, event: Event, position: int, done: float) -> Iterator[Frames]:
        if isinstance(event, SpeechEnded) and event.sentence == self._number and self._item is not None:
            yield self._item.ended(self._at(event.span.end))
        yield from super().encode(event, position, done)

    def _at(self, sample: int) -> int:
        return milliseconds(self._telling.base + sample)

    def began(self, number: int, at: int) -> Frames:
        self._number, self._item = number, _Item(self._telling)
        return self._item.began(self._at(at))

    def partial(self, sentence: Sentence) -> Frames:
        assert self._item is not None
        return (self._item.text(sentence),) if sentence.text and not self._item.stopped else ()

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        assert self._item is not None
        item, self._number = self._item, None
        frames: Frames = ()
        if not item.stopped:
            end = sentence.end if sentence is not None and sentence.end is not None else 0
            frames = item.ended(self._at(end))
        if sentence is not None and not sentence.text:
            return (*frames, item.failed())
        if sentence is None:
            return (*frames, item.completed("", None, None))
        return (*frames, item.completed(sentence.text, sentence.language, sentence.emotion))

    def final(self, event: Completed | None) -> Frames:
        return self._telling.over(event.length) if event is not None else self._telling.broken()


class Committed(Writer):
    """The client commits; what lies between is one item."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._item: _Item | None = None

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        if reason == "client":
            return ()
        self._telling.full()
        return (self.committed(),)

    def committed(self) -> str:
        self._item = _Item(self._telling)
        return self._item.committed()

    def final(self, event: Completed | None) -> Frames:
        item = self._item or _Item(self._telling)
        over = self._telling.over(event.length if event is not None else 0)
        if event is None or event.unread:
            return (item.failed(), *over)
        text = join(sentence.text for sentence in event.sentences)
        language = next((sentence.language for sentence in event.sentences), None)
        emotion = next((sentence.emotion for sentence in event.sentences if sentence.emotion), None)
        return (item.completed(text, language, emotion), *over)
