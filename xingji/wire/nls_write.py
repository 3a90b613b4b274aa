"""What clients of Alibaba's NLS are told about one task.

A result is a snapshot that replaces the one before. Each sentence of the transcriber has one ``SentenceBegin``, with
its first text, and one ``SentenceEnd``, with its second pass; the recogniser tells one text for all that was said.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import XingjiError
from ..core.messages import Completed, Event
from ..core.transcript import join
from ..core.types import Sentence
from . import milliseconds
from .dialect import Close, Frames, InOrder, to_json
from .nls_read import RECOGNIZER, Asked, Service
from .nls_status import SUCCESS, Failure, why
from .parts import Part, Spelled


def told(namespace: str, name: str, task_id: str, payload: Mapping[str, Any], failure: Failure | None = None) -> str:
    text = "Gateway:SUCCESS:Success." if failure is None else str(failure)
    header = {
        "namespace": namespace,
        "name": name,
        "status": SUCCESS if failure is None else failure.status,
        "message_id": uuid.uuid4().hex,
        "task_id": task_id,
        "status_text": text,
        "status_message": text,
    }
    return to_json({"header": header, "payload": payload})


def failed(namespace: str, task_id: str, failure: Failure) -> Frames:
    """Nothing can follow."""
    return (told(namespace, "TaskFailed", task_id, {}, failure), Close(failure.close))


def refused(error: XingjiError) -> tuple[int, str]:
    """Status and body of a handshake that is refused, as the REST answers."""
    failure = why(error)
    body = {"task_id": uuid.uuid4().hex, "result": "", "status": failure.status, "message": str(failure)}
    return failure.http, to_json(body)


class TaskWriter(InOrder):
    def __init__(self, service: Service, task_id: str, asked: Asked, over: Callable[[bool], None]) -> None:
        """``over`` is told, with the last message, whether all went well."""
        super().__init__(corrected=False)
        self._service, self._task_id, self._tell_over = service, task_id, over
        self.asked = asked
        self.failure: Failure | None = None  # how the task ends once all is told; None: well
        self.spoke = False  # something was heard
        self.enough = False  # no more has to be heard
        self.silent = False  # the client wants to hear nothing more of it
        self._position = 0  # samples of the task's audio

    def started(self) -> Frames:
        return (self._told(self._service.started, {"session_id": self._task_id}),)

    def stopped(self, reason: str, received: int, received_bytes: int) -> Frames:
        if self.failure is None:
            self.failure = _why_stopped(reason)
        return ()

    def encode(self, event: Event, position: int, done: float) -> Iterator[Frames]:
        self._position = max(self._position, position)
        self.spoke = self.spoke or not isinstance(event, Completed)
        if not self.silent:
            yield from super().encode(event, position, done)

    def final(self, event: Completed | None) -> Frames:
        if self.failure is None and (event is None or event.unread):
            self.failure = why(XingjiError("internal"))
        self._tell_over(self.failure is None)
        if self.silent:
            return ()
        if self.failure is not None:
            return failed(self._service.namespace, self._task_id, self.failure)
        length = event.length if event is not None else 0
        return (self._told(self._service.completed, self.whole(length)),)

    def whole(self, length: int) -> Mapping[str, Any]:
        """What is told with the end, after so many samples."""
        return {}

    def cut_short(self) -> Frames:
        """The client waits no longer: end what has been begun."""
        return ()

    def _told(self, name: str, payload: Mapping[str, Any]) -> str:
        return told(self._service.namespace, name, self._task_id, payload)


class Transcription(TaskWriter):
    """Sentence after sentence."""

    def __init__(self, service: Service, task_id: str, asked: Asked, over: Callable[[bool], None]) -> None:
        super().__init__(service, task_id, asked, over)
        self._index = 0  # of the sentence that was begun last
        self._latest: Sentence | None = None  # the one that is begun and not ended

    def partial(self, sentence: Sentence) -> Frames:
        text = self.asked.style.shown(sentence.text)
        if not text:
            return ()
        frames = () if self._latest is not None else (self._begin(sentence.start),)
        self._latest = sentence
        if not self.asked.partials:
            return frames
        at = milliseconds(max(self._position, sentence.start))
        body = {
            "index": self._index,
            "time": at,
            "result": text,
            "confidence": _rounded(sentence.confidence),
            "words": [],
        }
        return (*frames, self._told(self._service.changed, body))

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        parts = self.asked.style.parts(sentence) if sentence is not None else []
        begun, self._latest = self._latest, None
        if not parts and begun is not None:  # what was shown was no speech
            parts = [Part("", begun.start, max(self._position, begun.start), ())]
        frames: Frames = ()
        for part in parts:
            if begun is None:
                frames += (self._begin(part.begin),)
            begun = None
            frames += (self._end(part, sentence.confidence if sentence is not None else None),)
        return frames

    def cut_short(self) -> Frames:
        if (latest := self._latest) is None:
            return ()
        end = max(self._position, latest.start) if latest.end is None else latest.end
        return self.ended(latest.id, replace(latest, end=end))

    def _begin(self, at: int) -> str:
        self._index += 1
        return self._told("SentenceBegin", {"index": self._index, "time": milliseconds(at)})

    def _end(self, part: Part, confidence: float | None) -> str:
        body = {
            "index": self._index,
            "time": milliseconds(part.end),
            "begin_time": milliseconds(part.begin),
            "result": part.text,
            "confidence": _rounded(confidence),
            "words": [_word(word) for word in part.words] if self.asked.words else [],
        }
        return self._told("SentenceEnd", body)


class Recognition(TaskWriter):
    """One text for all that is said."""

    def __init__(self, service: Service, task_id: str, asked: Asked, over: Callable[[bool], None]) -> None:
        super().__init__(service, task_id, asked, over)
        self._texts: list[str] = []

    def partial(self, sentence: Sentence) -> Frames:
        text = join((*self._texts, sentence.text))
        if self.enough or not self.asked.partials or not sentence.text:
            return ()
        return (self._told(self._service.changed, {"result": text}),)

    def ended(self, number: int, sentence: Sentence | None) -> Frames:
        if sentence is not None and sentence.text and not self.enough:
            self._texts.append(sentence.text)
            self.enough = self.asked.one_sentence
        return ()

    def whole(self, length: int) -> Mapping[str, Any]:
        return {"result": join(self._texts), "duration": milliseconds(length)}


def writer(service: Service, task_id: str, asked: Asked, over: Callable[[bool], None]) -> TaskWriter:
    return (Recognition if service is RECOGNIZER else Transcription)(service, task_id, asked, over)


def idle() -> Failure:
    return Failure("connection_timeout", "Websocket session is idle for too long time")


def _why_stopped(reason: str) -> Failure | None:
    match reason:
        case "idle":
            return idle()
        case "max_duration":
            return Failure("max_duration", "The task has reached the longest duration.")
        case "server_shutdown":
            return Failure("not_ready", "The server is shutting down.", close=1001)
        case _:
            return None


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 3)


def _word(word: Spelled) -> dict[str, Any]:
    return {"text": word.text, "startTime": milliseconds(word.begin), "endTime": milliseconds(word.end)}
