"""One recording, as a pure state machine.

Facts come in through ``handle()`` and ``resolve()``; both answer with effects, in order: events
for the client and jobs for the engines. No socket, thread, clock or model is known here.

Every input changes facts, then ``_pump()`` asks which jobs have become possible. Nothing is
scheduled from anywhere else, so any interleaving of results is legal. The way of audio is the way
through these files: ``segmenting`` finds where segments begin and end, ``passes`` asks recognisers
about them, ``readings`` makes text of what they answer, and here the text is told and settled.
"""

from .lexicon import Lexicon
from .messages import (
    Audio,
    Command,
    Commit,
    Completed,
    Configure,
    Correct,
    Decode,
    Detect,
    Effect,
    Hurry,
    Job,
    Profile,
    Result,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Stop,
    Transcribe,
)
from .passes import Passes
from .pronunciation import Pronouncer
from .readings import Readings
from .segment import Segment
from .segmenting import Segmenter
from .tape import Tape
from .types import Sentence, Span, Stage


class ProtocolError(Exception):
    """A command after Stop. Whoever drives the session must not let it come to this."""


class Session:
    def __init__(self, profile: Profile, pronouncer: Pronouncer, lexicon: Lexicon | None = None) -> None:
        """``lexicon`` as for ``Readings``."""
        self.stopped = self.completed = False
        self._hurried = False
        self._live: dict[int, Segment] = {}  # in order of their ids
        self._settled: dict[int, tuple[Sentence, SentenceReadings]] = {}
        self._tape = Tape()
        self._segmenter = Segmenter(self._tape, profile)
        self._passes = Passes(self._tape, self._live, self._settled, profile)
        self._readings = Readings(pronouncer, lexicon)
        self._out: list[Effect] = []

    # -- inputs ---------------------------------------------------------------

    def handle(self, command: Command) -> list[Effect]:
        """What the client (or its driver) wants. Raises ProtocolError after Stop, except for Hurry."""
        if self.stopped and not isinstance(command, Hurry):
            raise ProtocolError(f"{type(command).__name__} after Stop")
        match command:
            case Audio(samples):
                self._tape.append(samples)
            case Commit():
                self._segmenter.flush()
            case Configure(profile):
                self._segmenter.configure(profile)
            case Stop():
                self.stopped = True
                self._segmenter.flush()
            case Hurry():  # pragma: no branch
                self._hurried = True
                for segment in list(self._live.values()):
                    segment.miss(Stage.CORRECTED, "timeout")
                    self._settle(segment)
        return self._pump()

    def resolve(self, job: Job, result: Result) -> list[Effect]:
        """What an engine answered to a job of this session; each job is answered exactly once."""
        match job:
            case Detect():
                for parted in self._segmenter.answered(job, result):
                    self._parted(parted)
            case Decode():
                self._passes.decoded()
                if segment := self._live.get(job.segment):
                    answer = segment.believed(job, result)
                    self._read(segment, self._readings.streamed(segment, job, answer))
            case Transcribe(preview=True):
                self._passes.previewed()
                if segment := self._live.get(job.segment):
                    self._read(segment, self._readings.previewed(segment, segment.believed(job, result)))
            case Transcribe():
                if (segment := self._live.get(job.segment)) and job is segment.transcribing:
                    segment.asked.discard(Stage.SECOND_PASS)
                    answer = segment.believed(job, result)
                    if segment.end is None:
                        segment.early = answer
                    else:
                        self._read(segment, self._readings.transcribed(segment, answer))
            case Correct():  # pragma: no branch
                if segment := self._live.get(job.segment):
                    segment.asked.discard(Stage.CORRECTED)
                    self._read(segment, self._readings.corrected(segment, job, result))
        return self._pump()

    # -- what the outside may ask -----------------------------------------------

    @property
    def received(self) -> int:
        return self._tape.end

    @property
    def judged(self) -> int:
        return self._segmenter.judged

    @property
    def done(self) -> int:
        """Everything before this sample is settled or known to be silence; never falls."""
        return min([self._segmenter.floor, *(s.start for s in self._live.values())])

    @property
    def backlog(self) -> int:
        """Samples that were received but that some pass has yet to be given."""
        marks = [self.judged]
        for segment in self._live.values():
            if Stage.STREAMED in segment.owed:
                marks.append(segment.anchor + segment.decoded)
            if segment.end is not None and Stage.SECOND_PASS in segment.owed - segment.asked:
                marks.append(segment.start)
        return self._tape.end - min(marks)

    @property
    def awaits_only_corrections(self) -> bool:
        return (
            self.stopped
            and bool(self._live)
            and self._segmenter.idle
            and all(s.end is not None and s.owed == {Stage.CORRECTED} for s in self._live.values())
        )

    # -- what follows from them ------------------------------------------------------

    def _pump(self) -> list[Effect]:
        for news in self._segmenter.ask():
            if isinstance(news, Segment):
                self._parted(news)
            else:
                self._out.append(news)
        self._out += self._passes.ask(self.judged)
        for segment in list(self._live.values()):
            self._settle(segment)
        self._forget()
        if self.stopped and self._segmenter.idle and not (self.completed or self._live):
            self.completed = True
            self._out.append(self._summary())
        out, self._out = self._out, []
        return out

    def _parted(self, segment: Segment) -> None:
        """A segment has begun, or ended."""
        if segment.end is None:
            self._live[segment.id] = segment
            self._out.append(SpeechStarted(segment.id, segment.start))
            if self._hurried:
                segment.miss(Stage.CORRECTED, "timeout")
            return
        self._out.append(SpeechEnded(segment.id, Span(segment.start, segment.end)))
        early = segment.heard_early()
        self._read(segment, early is not None and self._readings.transcribed(segment, early))

    def _read(self, segment: Segment, revised: bool) -> None:
        if revised:
            self._out.append(SentenceRevised(segment.sentence()))
        self._settle(segment)

    def _settle(self, segment: Segment) -> None:
        if not segment.settled:
            return
        del self._live[segment.id]
        ending = segment.ending()
        if isinstance(ending, SentenceSettled):
            self._settled[segment.id] = (ending.sentence, ending.readings)
        self._out.append(ending)

    def _forget(self) -> None:
        needed = [self._segmenter.floor]
        for segment in self._live.values():
            wanted = Stage.STREAMED in segment.owed or Stage.SECOND_PASS in segment.owed - segment.asked
            if segment.end is None or wanted:
                needed.append(segment.anchor)
        self._tape.forget(min(needed))
        self._segmenter.forget()

    def _summary(self) -> Completed:
        kept = [self._settled[id] for id in sorted(self._settled)]
        silent, at = [], 0
        for sentence, _ in kept:
            assert sentence.end is not None
            if sentence.start > at:
                silent.append(Span(at, sentence.start))
            at = sentence.end
        if self._tape.end > at:
            silent.append(Span(at, self._tape.end))
        return Completed(
            tuple(sentence for sentence, _ in kept),
            tuple(readings for _, readings in kept),
            tuple(silent),
            self._tape.end,
        )


__all__ = ["ProtocolError", "Session"]
