"""What both realtime protocols tell: numbered events and items, and what becomes of a client's own commit."""

import itertools
import uuid
from abc import ABC, abstractmethod
from typing import Any

from ..core.messages import Completed
from ..core.transcript import join
from .dialect import Frames, Writer, to_json

TRANSCRIPTION = "conversation.item.input_audio_transcription."


class Item(ABC):
    """One item, and what is told of it."""

    @abstractmethod
    def committed(self) -> Frames: ...

    @abstractmethod
    def completed(self, text: str, language: str | None, length: int, emotion: str | None = None) -> Frames:
        """``length``: samples of its audio; ``emotion``: what the second pass heard, if it did."""

    @abstractmethod
    def failed(self) -> Frames:
        """Somebody spoke, and no recogniser could say anything about it."""


class Telling(ABC):
    """What is counted over the whole connection, and how an event looks."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._events = (f"event_{self.id}_{n}" for n in itertools.count(1))
        self._items = (f"item_{self.id}_{n}" for n in itertools.count(1))
        self.open = False  # a recording takes audio
        self.unfinished = 0  # recordings
        self.finishing = False

    @abstractmethod
    def item(self) -> Item:
        """A new one."""

    @abstractmethod
    def farewell(self) -> Frames:
        """Told when the session is finishing and nothing is unfinished."""

    def event(self, kind: str, **more: Any) -> str:
        return to_json({"event_id": next(self._events), "type": kind, **more})

    def error(self, kind: str, code: str, message: str, param: str | None, asked: str | None) -> str:
        """``asked``: the client's event that this is about."""
        error = {"type": kind, "code": code, "message": message, "param": param, "event_id": asked}
        return self.event("error", error=error)

    def full(self) -> None:
        """A limit has stopped the recording; audio that comes begins another one."""
        self.open = False

    def over(self, length: int) -> Frames:
        """A recording is, after so many samples."""
        self.unfinished -= 1
        return self.farewell() if self.finishing and not self.unfinished else ()


class Committed(Writer):
    """The client commits; what lies between is one item."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._item: Item | None = None

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        if reason == "client":
            return ()
        self._telling.full()
        return self.committed()

    def committed(self) -> Frames:
        self._item = self._telling.item()
        return self._item.committed()

    def final(self, event: Completed | None) -> Frames:
        item, length = self._item or self._telling.item(), event.length if event is not None else 0
        over = self._telling.over(length)
        if event is None or event.unread:
            return (*item.failed(), *over)
        text = join(sentence.text for sentence in event.sentences)
        language = next((sentence.language for sentence in event.sentences), None)
        emotion = next((sentence.emotion for sentence in event.sentences if sentence.emotion), None)
        return (*item.completed(text, language, length, emotion), *over)
