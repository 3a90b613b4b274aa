"""One segment on its way to a settled sentence: what is owed to it, what was read, what the client knows.

A session decides when each pass is asked; a segment decides what its answer means for the text.
"""

from dataclasses import dataclass, field

from .messages import (
    Decode,
    Profile,
    Result,
    SentenceDropped,
    SentenceReadings,
    SentenceSettled,
    Transcribe,
)
from .types import Hypothesis, RejectedEdit, Sentence, Span, Stage
from .written import Style, rewrite


@dataclass(slots=True)
class Segment:
    id: int
    start: int
    anchor: int  # where the streaming recogniser begins
    profile: Profile
    owed: set[Stage]  # passes that have yet to give, or fail to give, a reading
    end: int | None = None  # None while speech goes on
    decided: int | None = None  # where the endpoint was decided; the decoder goes on to here
    decoded: int = 0  # samples already given to the streaming recogniser
    shown: int = 0  # samples whose streaming text the client has seen; a replay stays silent up to here
    replays: int = 0
    asked: set[Stage] = field(default_factory=set)
    readings: dict[Stage, Hypothesis] = field(default_factory=dict)
    lost: dict[Stage, str] = field(default_factory=dict)
    rejected: tuple[RejectedEdit, ...] = ()
    silent: bool = False  # nobody spoke here
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

    def heard(self, job: Decode | Transcribe, result: Result) -> Result:
        """What a recogniser's answer comes to: its text as the client wants it written."""
        if not isinstance(result, Hypothesis):
            return result
        style = Style(self.profile.punctuation, self.profile.remove_fillers, self.profile.language)
        return rewrite(result, style, complete=isinstance(job, Transcribe) or job.last)

    def read(self, stage: Stage, reading: Hypothesis) -> bool:
        """A pass gave its answer. True if that makes a new revision."""
        self.owed.discard(stage)
        if stage is Stage.STREAMED:
            self.readings.pop(Stage.PARTIAL, None)  # only the beginning of this one
        # A late reading of a lower stage is kept as a reading but never shown.
        shows = stage >= self.best
        self.readings[stage] = reading
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

    def silence(self) -> None:
        """Nobody spoke here, so nobody owes anything."""
        self.silent = True
        self.owed.clear()

    def sentence(self) -> Sentence:
        reading = self.readings.get(self.best, Hypothesis(""))
        return Sentence(
            self.id, self.start, self.end, self.best, self.revision,
            reading.text, reading.stable, reading.language, reading.words, reading.hotword_hits,
            tuple(sorted(self.lost)), reading.bare,
        )  # fmt: skip

    def ending(self) -> SentenceSettled | SentenceDropped:
        """What the client is told once it is settled."""
        assert self.end is not None
        answered = Stage.STREAMED not in self.lost and self.lost.get(Stage.SECOND_PASS, "empty") == "empty"
        if self.silent or (answered and not self.text):  # everybody who was asked heard nothing
            return SentenceDropped(self.id, Span(self.start, self.end))
        return SentenceSettled(self.sentence())

    def provenance(self) -> SentenceReadings:
        texts = {stage: reading.text for stage, reading in sorted(self.readings.items())}
        return SentenceReadings(texts, self.rejected, tuple(sorted(self.lost.items())))
