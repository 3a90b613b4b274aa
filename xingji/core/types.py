"""What the whole service talks about: audio, hypotheses, sentences.

Time is counted in samples at 16 kHz from the start of the recording. Nothing in
``core`` knows milliseconds or wall clocks; wires and doors convert at the edge.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
Samples = NDArray[np.int16]  # shape (n,), mono, 16 kHz


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range ``[start, end)`` in samples."""

    start: int
    end: int


class Stage(IntEnum):
    """How far a sentence has been revised. A sentence never moves down."""

    PARTIAL = 0  # streaming, speech still going on
    STREAMED = 1  # the streaming recogniser's last word on a closed segment
    SECOND_PASS = 2  # transcribed again as a whole
    CORRECTED = 3  # merged and corrected by the LLM


@dataclass(frozen=True, slots=True)
class Word:
    """One Han character, or one Latin word or number, as it stands in the text; marks are no words."""

    text: str
    span: Span
    confidence: float | None = None  # 0..1, the posterior of its least sure token; None where nobody measured it


TimestampSource = Literal["ctc", "cif", "aligner", "ctc_alignment", "edit"]
"""Where the times of words come from: the second pass, or the streaming recogniser's counter; where the one that read
the text knows none, an aligner, or the workers' own second pass (``core.forced_alignment``); or any of these, taken
along when the text was changed (``core.timing.carried``)."""


@dataclass(frozen=True, slots=True)
class HotwordHit:
    """One hotword that acted: what it replaced (equal to ``word`` if it was already right)."""

    word: str
    replaced: str
    stage: Stage
    score: float  # 0..1, 1 = sounds the same: by pronunciation, or by the posteriors (``core.spotting``)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One recogniser's reading of one segment, from the segment's start to now."""

    text: str  # as it should be shown, with punctuation
    bare: str = ""  # streaming only: the recogniser's words without punctuation; only ever grows
    stable: int = 0  # leading characters of ``text`` that later steps of the same pass keep
    language: str | None = None  # "zh", "en", "yue", "ja", "ko"
    words: tuple[Word, ...] = ()  # in order, none over another, in the recording's samples
    hotword_hits: tuple[HotwordHit, ...] = ()
    source: str = ""  # second pass only: the model that read it; empty: the workers' own
    fallback: str | None = None  # why another model read it than was asked for
    confidence: float | None = None  # 0..1, the mean of the words'
    emotion: str | None = None  # happy sad angry neutral fearful disgusted surprised
    event: str | None = None  # speech music applause laughter crying sneeze breath cough singing noise
    timestamp_source: TimestampSource | None = None  # None where there are no words


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``text[start:end]`` by ``replacement``; indices are characters of the second-pass text."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True, slots=True)
class AcceptedEdit:
    edit: Edit
    replaced: str
    reason: str  # what bears it out: stable snake_case word, also a metric label


@dataclass(frozen=True, slots=True)
class RejectedEdit:
    edit: Edit
    reason: str  # stable snake_case word, also a metric label


@dataclass(frozen=True, slots=True)
class Sentence:
    """The text of one segment at one revision. ``end`` is None until the endpoint is known."""

    id: int
    start: int
    end: int | None
    stage: Stage
    revision: int
    text: str
    stable: int = 0
    language: str | None = None
    words: tuple[Word, ...] = ()
    hotword_hits: tuple[HotwordHit, ...] = ()
    missing: tuple[Stage, ...] = ()  # passes that were asked for and gave nothing
    second_by: str = ""  # the model that made the second pass; empty: the workers' own
    fallback: str | None = None  # why that is not the model that was asked for
    confidence: float | None = None  # these four as in ``Hypothesis``
    emotion: str | None = None
    event: str | None = None
    timestamp_source: TimestampSource | None = None
    bare: str = ""  # while streaming: the words as they were recognised; only ever grows
    previewed: bool = False  # a partial text by the model of the second pass


@dataclass(frozen=True, slots=True)
class Hotword:
    """A word to favour. ``aliases`` are forms it is misheard as; ``weight`` is 1..100."""

    text: str
    weight: int = 50
    aliases: tuple[str, ...] = ()
    language: Literal["zh", "en"] | None = None


@dataclass(frozen=True, slots=True)
class HotwordTable:
    """One version of a table. Tables are large and jobs are many: to a worker a table travels once, and then jobs only
    name it, without its words."""

    digest: str
    words: tuple[Hotword, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How a client encodes audio. ``codec`` is in ``xingji.audio.FORMATS``, with ``rate`` in Hz, or in
    ``xingji.audio.CONTAINERS``, which say their rate themselves."""

    codec: str = "s16le"
    rate: int = SAMPLE_RATE
