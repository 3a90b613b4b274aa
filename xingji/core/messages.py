"""The four kinds of message that cross the core's boundary.

client --Command--> Session --Job--> engines
client <--Event---- Session <-Result- engines
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from .types import (
    SAMPLE_RATE,
    AcceptedEdit,
    Edit,
    HotwordHit,
    HotwordTable,
    Hypothesis,
    RejectedEdit,
    Samples,
    Sentence,
    Span,
    Stage,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A hotword at ``[start, end)`` of a text, as it should be written."""

    start: int
    end: int
    hit: HotwordHit


class Hotwords(Protocol):
    """One version of a hotword table, ready for use (``core.hotwords.HotwordIndex``)."""

    @property
    def tables(self) -> tuple[HotwordTable, ...]:
        """What a recogniser that takes hotwords is given; the first wins over the others."""

    def mend(self, text: str, stage: Stage) -> tuple[str, tuple[HotwordHit, ...]]:
        """Replace what sounds like a hotword by the hotword."""

    def find(self, text: str) -> tuple[Found, ...]:
        """Each place that is a hotword or should be one, best first; they may overlap. Text may follow."""

    @property
    def longest(self) -> int:
        """Characters of the longest form that is looked for."""

    def close_to(self, text: str, limit: int = 20) -> tuple[str, ...]:
        """Hotwords that sound close to something in ``text``."""

    def heaviest(self, limit: int) -> tuple[str, ...]:
        """At most ``limit`` hotwords, those of the greatest weight first."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one recording wants. Lengths in samples."""

    stream: bool = True
    preview: bool = False  # nobody streams: text meanwhile is the second pass of what has been said so far
    second_pass: bool = True
    correct: bool = True
    punctuation: bool = True
    itn: bool = True  # written form: 3点 for 三点
    remove_fillers: bool = False
    language: str = "auto"
    hotwords: Hotwords | None = None
    end_silence: int = SAMPLE_RATE * 8 // 10
    hop: int = SAMPLE_RATE // 10  # the detector's step: text waits for it, and a shorter one costs more
    chunk: int = SAMPLE_RATE * 6 // 10  # the streaming recogniser's step
    # Chunks begin so long before an onset, and up to a hop more, so that the first word is inside the second one, as
    # long as the detector's onset is 0.2 to 0.3 s before the voice; much more, and a slow first word falls into the
    # third: with 0.12 s one in twenty did, with less than 0.05 s all are later.
    lead: int = SAMPLE_RATE * 5 // 100
    longest: int = SAMPLE_RATE * 30  # a segment that grows longer is cut at a quiet place
    preroll: int = 0  # segments begin so long before the detector's onset
    context: int = 3  # earlier sentences shown to the corrector
    model: str | None = None  # who makes the second pass; None: the workers
    bias: tuple[str, ...] = ()  # words that it is told to expect


# Commands: what a client may ask.
@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    samples: Samples


@dataclass(frozen=True, slots=True)
class Commit:
    """The client ends the sentence here, whatever the detector thinks."""


@dataclass(frozen=True, slots=True)
class Configure:
    """Sentences that start after this use the new profile; the grid (hop, chunk) stays."""

    profile: Profile


@dataclass(frozen=True, slots=True)
class Stop:
    """No more audio; finish what is owed and complete."""


@dataclass(frozen=True, slots=True)
class Hurry:
    """After Stop: wait no longer for corrections; the second pass stands."""


# Events: what a client may be told.
@dataclass(frozen=True, slots=True)
class SpeechStarted:
    sentence: int
    at: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    sentence: int
    span: Span


@dataclass(frozen=True, slots=True)
class SentenceRevised:
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class SentenceDropped:
    """What looked like speech was none. Nothing about this sentence will follow."""

    sentence: int
    span: Span


@dataclass(frozen=True, slots=True)
class SentenceReadings:
    """Where the text of a settled sentence came from: each stage's reading, what votes and the corrector changed
    from one to the next, and what the corrector was refused."""

    readings: Mapping[Stage, str]
    rejected: tuple[RejectedEdit, ...] = ()
    lost: tuple[tuple[Stage, str], ...] = ()  # (stage, reason)
    hits: Mapping[Stage, tuple[HotwordHit, ...]] = field(default_factory=dict)  # hotwords in each reading
    edits: tuple[AcceptedEdit, ...] = ()  # reason "vote": of the second pass as it was heard; others: of its text


def failed_passes(readings: Iterable[SentenceReadings]) -> set[Stage]:
    """Where a recogniser failed. One that heard no words, or none to be believed, has not."""
    return {stage for r in readings for stage, reason in r.lost if reason not in ("empty", "implausible")}


@dataclass(frozen=True, slots=True)
class SentenceSettled:
    """No revision of this sentence will follow. Each sentence is settled or dropped exactly once."""

    sentence: Sentence
    readings: SentenceReadings = field(default_factory=lambda: SentenceReadings({}), compare=False)


@dataclass(frozen=True, slots=True)
class Completed:
    """Always the last event, exactly once. Sentences and non-speech together tile ``[0, length)``."""

    sentences: tuple[Sentence, ...]
    readings: tuple[SentenceReadings, ...]  # one per sentence
    non_speech: tuple[Span, ...]
    length: int

    @property
    def unread(self) -> bool:
        """Somebody spoke, and no recogniser could say anything about it."""
        reasons = {reason for readings in self.readings for _, reason in readings.lost} - {"empty"}
        return bool(reasons) and not any(sentence.text for sentence in self.sentences)


# Jobs: what the session asks of engines. Each carries all it needs.
@dataclass(frozen=True, slots=True, eq=False)
class Detect:
    """Find edges in ``samples``, which start at ``offset``; their length is whole hops unless ``flush``."""

    samples: Samples
    offset: int
    first: bool  # begin with a fresh state here
    flush: bool  # end any speech at the end of these samples
    end_silence: int
    hop: int
    longest: int = SAMPLE_RATE * 30  # speech near it ends at shorter silences


@dataclass(frozen=True, slots=True, eq=False)
class Decode:
    """Feed the streaming recogniser of one segment; whole chunks unless ``last``. ``offset`` counts from the first."""

    segment: int
    samples: Samples
    offset: int
    last: bool
    chunk: int
    punctuation: bool
    begin: int = 0  # where ``samples`` begin in the recording
    needs: int = 0  # samples of the recording that had to come first: in a pause it was not known whether it goes on


@dataclass(frozen=True, slots=True, eq=False)
class Transcribe:
    segment: int
    samples: Samples
    language: str
    itn: bool
    model: str | None = None
    bias: tuple[str, ...] = ()
    begin: int = 0  # where ``samples`` begin in the recording
    hotwords: tuple[HotwordTable, ...] = ()  # the first wins over the others
    preview: bool = False  # a beginning, to be shown and forgotten: the first thing to be left out under load


@dataclass(frozen=True, slots=True, eq=False)
class Align:
    """Give the words of ``text`` their times. No session asks for it: what a recogniser without times has read is
    aligned on its way to the session. A Hypothesis answers it, without words where there is no saying."""

    segment: int
    samples: Samples
    text: str
    language: str  # "auto" where nobody knows
    begin: int = 0  # where ``samples`` begin in the recording


@dataclass(frozen=True, slots=True, eq=False)
class Correct:
    """Merge the readings. ``hotwords`` are only those that sound close to something in the readings; ``doubts`` are
    ranges of the second pass's text where readings differ or its recogniser was unsure."""

    segment: int
    readings: Mapping[Stage, str]
    context: tuple[str, ...]
    hotwords: tuple[str, ...] = ()
    doubts: tuple[tuple[int, int], ...] = ()


# Results: what engines answer.
@dataclass(frozen=True, slots=True)
class Edge:
    """A boundary that the detector heard at sample ``at`` and was sure of at sample ``decided``.

    A pause lies where the endpoint will, unless speech resumes.
    """

    kind: Literal["onset", "pause", "resume", "endpoint"]
    at: int
    decided: int
    # Of an endpoint: how sure the detector was that the segment is speech, 0..1 (see ``plausibility``). Evidence,
    # not a part of what the edge is.
    certainty: float = field(default=1.0, compare=False)


@dataclass(frozen=True, slots=True)
class NoSpeech:
    """The second pass says that there is no speech in the segment."""


@dataclass(frozen=True, slots=True)
class Edits:
    """What the corrector would change in the second-pass text (or the streamed one where that is missing)."""

    edits: tuple[Edit, ...]
    model: str = ""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The worker that knew this stream is gone; give it everything from its start again."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The engine gave no answer. The session goes on with what it has."""

    reason: str


Command = Audio | Commit | Configure | Stop | Hurry
Event = SpeechStarted | SpeechEnded | SentenceRevised | SentenceSettled | SentenceDropped | Completed
Job = Detect | Decode | Transcribe | Correct
Work = Job | Align  # what workers can be asked
Result = tuple[Edge, ...] | Hypothesis | NoSpeech | Edits | Forgotten | Lost
Effect = Event | Job
