"""A session's life as text: one line per input, and one, indented, per effect. Times are samples.

::

    audio 0..3200                          what came in
        detect 0..3200 first               what it led to: jobs for engines and events for the client
    detect 0..3200 → onset 1600@3200       an engine's answer: an onset at 1600, decided at 3200
        sentence 0 starts at 1600
"""

from collections import deque
from collections.abc import Callable, Iterator

from xingji.core.messages import (
    Audio,
    Command,
    Commit,
    Completed,
    Configure,
    Correct,
    Decode,
    Detect,
    Edits,
    Effect,
    Event,
    Forgotten,
    Hurry,
    Job,
    Lost,
    NoSpeech,
    Result,
    SentenceDropped,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Stop,
    Transcribe,
)
from xingji.core.session import Session
from xingji.core.types import Edit, HotwordHit, Hypothesis, Sentence, Span


class Trace:
    """Drives a session and writes down what happens. ``answer`` is asked once per job, oldest first."""

    def __init__(self, session: Session, answer: Callable[[Job], Result]) -> None:
        self.lines: list[str] = []
        self.events: list[Event] = []
        self.jobs: deque[Job] = deque()  # not answered yet
        self._session, self._answer = session, answer

    def handle(self, command: Command) -> None:
        self.lines.append(_command(command, self._session.received))
        self._take(self._session.handle(command))

    def answer(self, job: Job, result: Result | None = None) -> None:
        """Answer one job, by ``result`` if given."""
        self.jobs.remove(job)
        result = self._answer(job) if result is None else result
        self.lines.append(f"{_job(job)} → {_result(result)}")
        self._take(self._session.resolve(job, result))

    def settle(self) -> None:
        """Answer jobs until there are none."""
        while self.jobs:
            self.answer(self.jobs[0])

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Job):
                self.jobs.append(effect)
                self.lines.append(f"    {_job(effect)}")
            else:
                self.events.append(effect)
                self.lines += [f"    {line}" for line in _event(effect)]


def _command(command: Command, received: int) -> str:
    match command:
        case Audio(samples):
            return f"audio {received}..{received + len(samples)}"
        case Commit() | Configure() | Stop() | Hurry():
            return type(command).__name__.lower()


def _job(job: Job) -> str:
    match job:
        case Detect():
            flags = [name for name, on in (("first", job.first), ("flush", job.flush)) if on]
            return " ".join([f"detect {job.offset}..{job.offset + len(job.samples)}", *flags])
        case Decode():
            until = job.offset + len(job.samples)
            return f"decode {job.segment} +{job.offset}..+{until}{' last' if job.last else ''}"
        case Transcribe():
            return f"{'preview' if job.preview else 'transcribe'} {job.segment} +0..+{len(job.samples)}"
        case Correct():
            readings = " ".join(f"{stage.name.lower()}={text}" for stage, text in sorted(job.readings.items()))
            context = f" context={'|'.join(job.context)}" if job.context else ""
            hotwords = f" hotwords={'|'.join(job.hotwords)}" if job.hotwords else ""
            return f"correct {job.segment} {readings}{context}{hotwords}"


def _result(result: Result) -> str:
    match result:
        case Hypothesis():
            return f"“{result.text}” stable {result.stable}" if result.stable else f"“{result.text}”"
        case Edits(edits):
            return "edits " + (" ".join(map(_edit, edits)) or "none")
        case NoSpeech():
            return "no speech"
        case Forgotten():
            return "forgotten"
        case Lost(reason):
            return f"lost: {reason}"
        case edges:
            return ", ".join(f"{edge.kind} {edge.at}@{edge.decided}" for edge in edges) or "no edge"


def _event(event: object) -> Iterator[str]:
    match event:
        case SpeechStarted(id, at):
            yield f"sentence {id} starts at {at}"
        case SpeechEnded(id, span):
            yield f"sentence {id} ends: {_span(span)}"
        case SentenceRevised(sentence):
            yield f"sentence {sentence.id} revision {sentence.revision} {_text(sentence)}"
        case SentenceSettled(sentence):
            yield f"sentence {sentence.id} settled {_text(sentence)}"
        case SentenceDropped(id, span):
            yield f"sentence {id} dropped: {_span(span)}"
        case Completed():
            yield f"completed 0..{event.length}"
            parts = [(span.start, f"{_span(span)} no speech") for span in event.non_speech]
            for sentence, readings in zip(event.sentences, event.readings, strict=True):
                text = f"{sentence.start}..{sentence.end} “{sentence.text}”{_provenance(readings)}"
                parts.append((sentence.start, text))
            yield from (f"    {part}" for _, part in sorted(parts))


def _text(sentence: Sentence) -> str:
    stable = f" stable {sentence.stable}" if sentence.stable else ""
    hits = "".join(f" hotword {_hit(hit)}" for hit in sentence.hotword_hits)
    missing = "".join(f" missing {stage.name.lower()}" for stage in sentence.missing)
    return f"{sentence.stage.name.lower()} “{sentence.text}”{stable}{hits}{missing}"


def _provenance(readings: SentenceReadings) -> str:
    texts = "".join(f" {stage.name.lower()}={text}" for stage, text in readings.readings.items())
    rejected = "".join(f" rejected {_edit(item.edit)} {item.reason}" for item in readings.rejected)
    lost = "".join(f" lost {stage.name.lower()}: {reason}" for stage, reason in readings.lost)
    return texts + rejected + lost


def _span(span: Span) -> str:
    return f"{span.start}..{span.end}"


def _edit(edit: Edit) -> str:
    return f"[{edit.start}:{edit.end}]={edit.replacement}"


def _hit(hit: HotwordHit) -> str:
    return f"{hit.replaced}→{hit.word}"


__all__ = ["Trace"]
