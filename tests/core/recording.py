"""Drive a session through the fake world, and hold it to its promises at every step.

Answers come back in any order that jobs may have; a seed decides. Whatever a test adds, every
recording here is checked for: spans that tile, one Completed at the end, revisions that only
rise, sentences settled or dropped once, jobs within their limits, marks that never fall.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from tests.core.world import Pronouncer, World
from xingji.core.lexicon import Lexicon
from xingji.core.messages import (
    Audio,
    Command,
    Completed,
    Correct,
    Decode,
    Detect,
    Effect,
    Event,
    Forgotten,
    Job,
    Lost,
    Profile,
    Result,
    SentenceDropped,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Stop,
    Transcribe,
)
from xingji.core.passes import AT_ONCE, CORRECTIONS_AT_ONCE
from xingji.core.session import Session
from xingji.core.types import SAMPLE_RATE, Samples, Sentence, Span, Stage

PROFILE = Profile(end_silence=6_400, hop=SAMPLE_RATE // 5, lead=0, longest=3 * SAMPLE_RATE)
PLAIN = replace(PROFILE, correct=False)
LIMITS: Mapping[type[Any], int] = {
    Detect: 1,
    Decode: 1,
    Transcribe: AT_ONCE + 1,
    Correct: CORRECTIONS_AT_ONCE,
}

Faults = Callable[[Job], Result | None]  # None: the world answers


def lossy(seed: int, *kinds: type[Any], share: float = 0.5) -> Faults:
    """Loses a share of the jobs of these kinds."""
    rng = random.Random(seed)
    return lambda job: Lost("chaos") if isinstance(job, kinds) and rng.random() < share else None


class Recording:
    """One session, its engines, and everything that was said to the client."""

    def __init__(
        self,
        profile: Profile = PROFILE,
        faults: Faults = lambda job: None,
        seed: int = 0,
        lexicon: Lexicon | None = None,
    ) -> None:
        self.session = Session(profile, Pronouncer(), lexicon)
        self.world = World()
        self.jobs: list[Job] = []  # not answered yet
        self.asked: list[Job] = []  # all there ever were
        self.events: list[Event] = []
        self._faults = faults
        self._rng = random.Random(seed)
        self._doomed: set[int] = set()  # ids of jobs that were with a worker when it crashed
        self._starts: dict[int, int] = {}
        self._spans: dict[int, Span] = {}
        self._told: dict[int, Sentence] = {}
        self._over: set[int] = set()
        self._marks = (0, 0)

    # -- inputs ---------------------------------------------------------------------

    def handle(self, command: Command) -> None:
        self._take(self.session.handle(command))

    def feed(self, audio: Samples, frames: Iterable[int] = (), commands: Sequence[tuple[int, Command]] = ()) -> None:
        """Cut at ``frames``; each command goes in at its sample. Meanwhile some jobs are answered."""
        at = [(min(position, len(audio)), command) for position, command in commands]
        cuts = sorted({0, len(audio), *(min(cut, len(audio)) for cut in frames), *(position for position, _ in at)})
        for begin, end in pairwise([*cuts, len(audio)]):
            for position, command in at:
                if position == begin:
                    self.handle(command)
            self.handle(Audio(audio[begin:end]))
            while self.jobs and self._rng.random() < 0.6:
                self.answer_one()

    def handle_audio(self, audio: Samples) -> None:
        """Without a single answer meanwhile."""
        self.handle(Audio(audio))

    def finish(self) -> Completed:
        self.handle(Stop())
        self.answer_all()
        return self.completed

    def answer_one(self) -> None:
        self._answer(self.jobs[self._rng.randrange(len(self.jobs))])

    def _answer(self, job: Job) -> None:
        self.jobs.remove(job)
        if id(job) in self._doomed:
            self._take(self.session.resolve(job, Forgotten()))
            return
        result = self._faults(job)
        self._take(self.session.resolve(job, self.world.answer(job) if result is None else result))

    def answer_all(self, but: type[Any] | None = None) -> None:
        """Until no job but those of this kind is left."""
        while ready := [job for job in self.jobs if but is None or not isinstance(job, but)]:
            self._answer(ready[0])

    def crash(self, detector: bool = True) -> None:
        """The stream worker dies, or only what it knows of the segment being decoded."""
        lost = (Detect, Decode) if detector else Decode
        self._doomed |= {id(job) for job in self.jobs if isinstance(job, lost)}
        self.world.decoder = None
        if detector:
            self.world.crash()

    # -- what must always hold ---------------------------------------------------------

    @property
    def completed(self) -> Completed:
        assert isinstance(self.events[-1], Completed)
        return self.events[-1]

    @property
    def text(self) -> str:
        return "".join(sentence.text for sentence in self.completed.sentences)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            assert not any(isinstance(event, Completed) for event in self.events[-1:]), "after Completed"
            if isinstance(effect, Job):
                self._check_job(effect)
                self.jobs.append(effect)
                self.asked.append(effect)
            else:
                self._check_event(effect)
                self.events.append(effect)
        for kind, limit in LIMITS.items():
            assert sum(isinstance(job, kind) for job in self.jobs) <= limit
        assert len([job for job in self.jobs if isinstance(job, Transcribe) and job.preview]) <= 1
        session, before = self.session, self._marks
        self._marks = session.done, session.judged
        assert before[0] <= session.done <= session.judged <= session.received and before[1] <= session.judged
        assert 0 <= session.backlog <= session.received
        assert session.completed == bool(self.of(Completed))

    def _check_job(self, job: Job) -> None:
        match job:
            case Decode():
                assert job.begin + len(job.samples) <= self.session.judged
            case Transcribe():
                span = self._spans.get(job.segment)
                if job.preview:
                    assert span is None and job.begin == self._starts[job.segment]
                    assert job.begin + len(job.samples) <= self.session.judged
                elif span:
                    assert len(job.samples) == span.end - span.start
                else:  # early, in a pause
                    assert self._starts[job.segment] + len(job.samples) <= self.session.judged
            case Correct():
                assert set(job.readings) <= {Stage.STREAMED, Stage.SECOND_PASS} and all(job.readings.values())

    def _check_event(self, event: Event) -> None:
        match event:
            case SpeechStarted(id, at):
                assert id == len(self._starts) == len(self._spans), "one at a time, numbered in order"
                assert at >= max((span.end for span in self._spans.values()), default=0)
                self._starts[id] = at
            case SpeechEnded(id, span):
                assert span.start == self._starts[id] and id == len(self._spans)
                self._spans[id] = span
            case SentenceRevised(sentence):
                self._check_revision(sentence)
                self._told[sentence.id] = sentence
            case SentenceSettled(sentence):
                told = self._told.get(sentence.id)
                assert (sentence.text, sentence.revision) == ((told.text, told.revision) if told else ("", 0))
                assert Span(sentence.start, sentence.end or 0) == self._spans[sentence.id]
                self._end(sentence.id)
            case SentenceDropped(id, span):
                assert span == self._spans[id]
                self._end(id)
            case Completed():
                self._check_completed(event)

    def _check_revision(self, new: Sentence) -> None:
        assert new.id not in self._over and new.start == self._starts[new.id]
        old = self._told.get(new.id)
        assert new.revision == (old.revision + 1 if old else 1)
        if old is None:
            assert new.text
            return
        assert new.stage >= old.stage
        assert (new.stage, new.text) != (old.stage, old.text), "a revision that changes nothing"
        if new.stage < Stage.SECOND_PASS:
            assert new.text.startswith(old.text[: old.stable]), "what was called stable has changed"

    def _end(self, id: int) -> None:
        assert id not in self._over, "settled or dropped twice"
        self._over.add(id)

    def _check_completed(self, completed: Completed) -> None:
        assert self._over == set(self._starts), "a sentence is neither settled nor dropped"
        settled = sorted((event.sentence for event in self.of(SentenceSettled)), key=lambda s: s.id)
        assert settled == list(completed.sentences) and len(completed.readings) == len(settled)
        spans = [(s.start, s.end) for s in settled] + [(s.start, s.end) for s in completed.non_speech]
        at = 0
        for start, end in sorted(spans):
            assert start == at and end is not None and end > start
            at = end
        assert at == completed.length == self.session.received


def record(
    audio: Samples,
    profile: Profile = PROFILE,
    frames: Iterable[int] = (),
    commands: Sequence[tuple[int, Command]] = (),
    faults: Faults = lambda job: None,
    seed: int = 0,
    lexicon: Lexicon | None = None,
) -> Recording:
    recording = Recording(profile, faults, seed, lexicon)
    recording.feed(audio, frames, commands)
    recording.finish()
    return recording


def outcome(recording: Recording) -> object:
    """What promise 4 speaks of."""
    done = recording.completed
    settled = [(s.id, s.start, s.end, s.stage, s.text, s.hotword_hits, s.missing) for s in done.sentences]
    return settled, done.readings, done.non_speech
