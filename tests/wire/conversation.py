"""A client and a dialect in conversation, with a script in the place of recognition: no socket, thread or model."""

import json
from collections.abc import Iterator
from typing import Any

from xingji.core.errors import XingjiError
from xingji.core.messages import (
    Completed,
    Event,
    SentenceDropped,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
)
from xingji.core.types import Sentence, Span, Stage, Word
from xingji.wire import Frame, Open, samples
from xingji.wire.dialect import Cancel, Check, Close, Command, Dialect, Frames, Say, Stop, Writer


def sentence(id: int, stage: Stage, text: str, begin_ms: int = 0, end_ms: int | None = None, **more: Any) -> Sentence:
    end = None if end_ms is None else samples(end_ms)
    if stage <= Stage.STREAMED:
        more = {"bare": "".join(c for c in text if c not in "，。？！")} | more
    return Sentence(id, samples(begin_ms), end, stage, 1, text, **more)


def word(text: str, begin_ms: int, end_ms: int) -> Word:
    return Word(text, Span(samples(begin_ms), samples(end_ms)))


class Conversation:
    """Does what the gate does with a dialect; ``refuses`` is the error of the next Open or Check."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.done: list[Command] = []  # what was carried out
        self.told: list[Any] = []  # JSON as objects, Close as it is
        self.writers: list[Writer] = []
        self.refuses: XingjiError | None = None
        self._hear(dialect.greet())

    def say(self, *messages: str | bytes | dict[str, Any]) -> list[Any]:
        """Send these; what the client is told at once."""
        before = len(self.told)
        for message in messages:
            text = json.dumps(message, ensure_ascii=False) if isinstance(message, dict) else message
            self._carry_out(self.dialect.read(text))
        return self.told[before:]

    def tick(self, now: float) -> list[Any]:
        before = len(self.told)
        self._carry_out(self.dialect.tick(now))
        return self.told[before:]

    def _carry_out(self, commands: Iterator[Command]) -> None:
        try:
            for command in commands:
                self._do(command)
        except XingjiError as error:
            self._hear(self.dialect.error(error, None))

    def _do(self, command: Command) -> None:
        if isinstance(command, Open | Check) and self.refuses is not None:
            error, self.refuses = self.refuses, None
            raise error
        self.done.append(command)
        match command:
            case Open():
                self.writers.append(self.dialect.recording(f"rec_{len(self.writers)}", command, None, lambda: None))
                self._hear(self.writers[-1].started())
            case Stop():
                self._hear(self.writers[-1].stopped("client", 0, 0))
            case Cancel():
                self._hear(self.writers[-1].cancelled())
            case Say(frames):
                self._hear(frames)
            case _:
                pass

    def _hear(self, frames: Frames) -> None:
        self.told += [json.loads(frame) if isinstance(frame, str) else frame for frame in frames]

    # -- what recognition says, of the newest recording or of number ``of`` ----------------------

    def happens(self, *events: Event, of: int = -1) -> list[Any]:
        before = len(self.told)
        for event in events:
            for frames in self.writers[of].encode(event, 0, 0.0):
                self._hear(frames)
        return self.told[before:]

    def stops(self, reason: str, of: int = -1) -> list[Any]:
        """A limit ends the recording."""
        before = len(self.told)
        self._hear(self.writers[of].stopped(reason, 0, 0))
        return self.told[before:]

    def fails(self, of: int = -1) -> list[Any]:
        before = len(self.told)
        self._hear(self.writers[of].final(None))
        return self.told[before:]

    @property
    def audio(self) -> bytes:
        return b"".join(command.data for command in self.done if isinstance(command, Frame))

    @property
    def kinds(self) -> list[type]:
        """What was carried out, audio aside."""
        return [type(command) for command in self.done if not isinstance(command, Frame)]


def spoken(id: int, text: str, begin_ms: int, end_ms: int, *partials: str, words: tuple[Word, ...] = ()) -> list[Event]:
    """One sentence from its onset to its settling."""
    start, end = samples(begin_ms), samples(end_ms)
    last = sentence(id, Stage.SECOND_PASS, text, begin_ms, end_ms, words=words)
    return [
        SpeechStarted(id, start),
        *(SentenceRevised(sentence(id, Stage.PARTIAL, partial, begin_ms)) for partial in partials),
        SpeechEnded(id, Span(start, end)),
        SentenceRevised(last),
        SentenceSettled(last),
    ]


def completed(length_ms: int, *texts: str, lost: tuple[tuple[Stage, str], ...] = ()) -> Completed:
    sentences = tuple(sentence(id, Stage.SECOND_PASS, text, 0, length_ms) for id, text in enumerate(texts))
    readings = tuple(SentenceReadings({s.stage: s.text}, lost=lost) for s in sentences)
    return Completed(sentences, readings, (), samples(length_ms))


__all__ = [
    "Close",
    "Conversation",
    "SentenceDropped",
    "SentenceRevised",
    "SpeechStarted",
    "completed",
    "sentence",
    "spoken",
    "word",
]
