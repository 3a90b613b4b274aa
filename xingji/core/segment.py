"""One segment on its way to a settled sentence: what is owed to it, what was read, what the client knows.

``passes`` decides when each pass is asked, ``readings`` what its answer comes to; a segment keeps both.
"""

import sys
from dataclasses import dataclass, field

from .messages import (
    Decode,
    Lost,
    NoSpeech,
    Profile,
    Result,
    SentenceDropped,
    SentenceReadings,
    SentenceSettled,
    Transcribe,
)
from .plausibility import hollow, implausible, inaudible
from .preview import Preview
from .spelling import Spelling
from .timing import inside
from .types import AcceptedEdit, Hypothesis, RejectedEdit, Sentence, Span, Stage
from .written import Style, rewrite

STEPS = 25  # hops (or chunks) that one job may carry: long enough to catch up, short enough to be fair
RETRIES = 3  # times that one stream is given again from its start before it counts as lost
IMPLAUSIBLE = "implausible"  # reason for which a reading was not taken


@dataclass(slots=True)
class Segment:
    id: int
    start: int
    anchor: int  # where the streaming recogniser begins
    profile: Profile
    owed: set[Stage]  # passes that have yet to give, or fail to give, a reading
    cleared: int  # the streaming recogniser may hear up to here; grows hop by hop, though not in a pause
    pauses: list[tuple[int, int]] = field(default_factory=list)  # from, and where speech was heard to go on
    pause: int | None = None  # where the segment will end unless speech goes on
    end: int | None = None  # None while speech goes on
    decided: int | None = None  # with the end: how far the streaming recogniser goes
    decoded: int = 0  # samples already given to the streaming recogniser
    shown: int = 0  # samples whose streaming text the client has seen; a replay stays silent up to here
    replays: int = 0
    asked: set[Stage] = field(default_factory=set)
    transcribing: Transcribe | None = None  # the second pass that was asked for, answered or not
    early: Result | None = None  # its answer, given in a pause
    readings: dict[Stage, Hypothesis] = field(default_factory=dict)
    lost: dict[Stage, str] = field(default_factory=dict)
    streamed: Hypothesis | None = None  # the last streamed reading as its recogniser gave it
    spelling: Spelling | None = None  # puts hotwords into the streamed readings
    preview: Preview = field(default_factory=Preview)  # what is shown of a beginning where nobody streams
    heard: Hypothesis | None = None  # the second pass as its recogniser gave it
    votes: tuple[AcceptedEdit, ...] = ()  # what the other reading changed in it
    doubts: tuple[tuple[int, int], ...] = ()  # ranges of the second pass's text where the vote decided nothing
    accepted: tuple[AcceptedEdit, ...] = ()
    rejected: tuple[RejectedEdit, ...] = ()
    silent: bool = False  # nobody spoke here
    certainty: float = 1.0  # the detector's, that somebody did
    revision: int = 0
    told: tuple[Stage, str] = (Stage.PARTIAL, "")  # the last revision

    @property
    def best(self) -> Stage:
        return max(self.readings, default=Stage.PARTIAL)

    @property
    def text(self) -> str:
        return self.readings[self.best].text if self.readings else ""

    @property
    def settled(self) -> bool:
        return self.end is not None and not self.owed

    def close(self, end: int, decided: int) -> None:
        self.end, self.decided = end, decided
        if end == self.start:
            self.silence()  # as after a cut behind the last word

    def resume(self) -> None:
        """Speech goes on after a pause, so what the second pass heard before it is only a beginning."""
        self.pause = self.early = self.transcribing = None
        self.asked.discard(Stage.SECOND_PASS)

    def clear(self, up_to: int, hop: int) -> None:
        """The streaming recogniser may hear the audio up to here: speech was heard to go on there."""
        if up_to > self.cleared + hop:
            self.pauses.append((self.cleared, up_to))
        self.cleared = max(self.cleared, up_to)

    def needs(self, at: int) -> int:
        """Samples that had to come before the audio up to ``at`` was cleared."""
        return next((cleared for begin, cleared in self.pauses if begin < at <= cleared), at)

    def heard_early(self) -> Hypothesis | NoSpeech | None:
        """With the end known: what the second pass gave for exactly this segment. It may also be under way, or, if
        it failed or heard anything else, it has yet to be asked."""
        assert self.end is not None
        heard = self.transcribing and self.start + len(self.transcribing.samples)
        answer, self.early = self.early, None
        if heard == self.end and isinstance(answer, Hypothesis | NoSpeech):
            return answer
        if heard != self.end or answer is not None:
            self.resume()
        return None

    def believed(self, job: Decode | Transcribe, result: Result) -> Result:
        """What a recogniser's answer comes to: its text as the client wants it written, if it can be believed.

        A recogniser that writes what nobody can have said is not asked again about this segment.
        """
        if isinstance(job, Transcribe) and inaudible(job.samples):
            return NoSpeech()
        if not isinstance(result, Hypothesis):
            return result
        before = job.offset if isinstance(job, Decode) else 0
        if implausible(result.text, before + len(job.samples)):
            return Lost(IMPLAUSIBLE)
        style = Style(self.profile.punctuation, self.profile.remove_fillers, self.profile.language)
        return rewrite(result, style, complete=job.last if isinstance(job, Decode) else not job.preview)

    def read(self, stage: Stage, reading: Hypothesis) -> bool:
        """A pass gave its answer. True if that makes a new revision."""
        self.owed.discard(stage)
        if stage is Stage.STREAMED:
            self.readings.pop(Stage.PARTIAL, None)  # only the beginning of this one
        self._forget_preview(stage)
        # A late reading of a lower stage is kept as a reading but never shown.
        shows = stage >= self.best
        self.readings[stage] = reading
        if self.end is not None and self.owed.isdisjoint({Stage.STREAMED, Stage.SECOND_PASS}) and self._hollow:
            self.silence()
            return False
        if not shows or (stage, reading.text) == self.told or not (reading.text or self.told[1]):
            return False
        self.told = (stage, reading.text)
        self.revision += 1
        return True

    def miss(self, stage: Stage, reason: str) -> None:
        """This pass will give nothing; what is there already stands."""
        if stage in self.owed:
            self.owed.discard(stage)
            self.lost[stage] = reason
            if reason in ("empty", IMPLAUSIBLE):
                self._forget_preview(stage)

    def _forget_preview(self, stage: Stage) -> None:
        """The second pass has heard the whole, so what it made of a beginning counts no more."""
        if stage is Stage.SECOND_PASS and self.profile.preview:
            self.readings.pop(Stage.PARTIAL, None)

    def silence(self) -> None:
        """Nobody spoke here, so nobody owes anything."""
        self.silent = True
        self.owed.clear()

    def sentence(self) -> Sentence:
        reading = self.readings.get(self.best, Hypothesis(""))
        previewed = self.profile.preview and self.best is Stage.PARTIAL
        second = reading if previewed else self.readings.get(Stage.SECOND_PASS, Hypothesis(""))
        # The streaming recogniser hears a little more than the segment.
        words = inside(reading.words, self.start, sys.maxsize if self.end is None else self.end)
        return Sentence(
            self.id, self.start, self.end, self.best, self.revision,
            reading.text, reading.stable, reading.language, words, reading.hotword_hits,
            tuple(sorted(self.lost)), second.source, second.fallback,
            reading.confidence, reading.emotion, reading.event, reading.timestamp_source if words else None,
            reading.bare, previewed,
        )  # fmt: skip

    def ending(self) -> SentenceSettled | SentenceDropped:
        """What the client is told once it is settled."""
        assert self.end is not None
        if self.silent or self._unheard or self._hollow:
            return SentenceDropped(self.id, Span(self.start, self.end))
        return SentenceSettled(self.sentence(), self.provenance())

    @property
    def _unheard(self) -> bool:
        """Everybody who was asked heard nothing, or what cannot be believed."""
        missed = [self.lost.get(stage, "empty") for stage in (Stage.STREAMED, Stage.SECOND_PASS)]
        refused = self.best is Stage.PARTIAL and self.lost.get(Stage.STREAMED) == IMPLAUSIBLE
        return {*missed} <= {"empty", IMPLAUSIBLE} and (refused or not self.text)

    @property
    def _hollow(self) -> bool:
        asked = [stage for stage in (Stage.STREAMED, Stage.SECOND_PASS) if stage in self.readings or stage in self.lost]
        heard = [stage for stage in asked if stage in self.readings and self.readings[stage].text]
        if any(self.lost.get(stage, "empty") != "empty" for stage in asked) or len(heard) != 1:
            return False  # somebody might have heard it
        assert self.end is not None
        return hollow(
            self.readings[heard[0]].text, self.end - self.start, self.certainty, False if len(asked) > 1 else None
        )

    def provenance(self) -> SentenceReadings:
        texts = {stage: reading.text for stage, reading in sorted(self.readings.items())}
        edits = self.votes + self.accepted
        hits = {stage: reading.hotword_hits for stage, reading in sorted(self.readings.items()) if reading.hotword_hits}
        return SentenceReadings(texts, self.rejected, tuple(sorted(self.lost.items())), hits, edits)
