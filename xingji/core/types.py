"""What the whole service talks about: audio, hypotheses, sentences.

Time is counted in samples at 16 kHz from the start of the recording. Nothing in
``core`` knows milliseconds or wall clocks; wires and doors convert at the edge.
"""

from dataclasses import dataclass
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
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class HotwordHit:
    """One hotword that acted: what it replaced (equal to ``word`` if it was already right)."""

    word: str
    replaced: str
    stage: Stage
    score: float  # 0..1, 1 = the very same pronunciation


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One recogniser's reading of one segment, from the segment's start to now."""

    text: str  # as it should be shown, with punctuation
    bare: str = ""  # streaming only: the recogniser's words without punctuation; only ever grows
    stable: int = 0  # leading characters of ``text`` that later steps of the same pass keep
    language: str | None = None  # "zh", "en", "yue", "ja", "ko"
    words: tuple[Word, ...] = ()
    hotword_hits: tuple[HotwordHit, ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace ``text[start:end]`` by ``replacement``; indices are characters of the second-pass text."""

    start: int
    end: int
    replacement: str


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
    bare: str = ""  # while streaming: the words as they were recognised; only ever grows


@dataclass(frozen=True, slots=True)
class Hotword:
    """A word to favour. ``aliases`` are forms it is misheard as; ``weight`` is 1..100."""

    text: str
    weight: int = 50
    aliases: tuple[str, ...] = ()
    language: Literal["zh", "en"] | None = None


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How a client encodes audio. ``codec`` is a key of ``xingji.audio.FORMATS``; ``rate`` in Hz."""

    codec: str = "s16le"
    rate: int = SAMPLE_RATE
