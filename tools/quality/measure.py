"""From what was said and heard to figures: one run is one list of recordings under one condition. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from xingji.core.scoring import distance

from . import harm, times
from .biasing import Biasing, biasing
from .faults import Fault, faults
from .harm import Changes
from .heard import STAGES, Heard
from .manifest import Clip
from .punctuation import Marks, marks
from .rates import Interval, difference, interval, rate
from .text import counted, raw


@dataclass(slots=True)
class Stage:
    """One stage of a run; the lists hold one number for each recording."""

    edits: list[int] = field(default_factory=list)
    raw_edits: list[int] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)  # of the text
    biasing: Biasing = field(default_factory=Biasing)
    marks: Marks = field(default_factory=Marks)


@dataclass(slots=True)
class Figures:
    """``lengths`` and ``raw_lengths``: characters said in each recording, normalised and as they stand."""

    name: str
    clips: int
    seconds: float
    hotwords: int = 0  # how many were sent, the most of any recording
    lengths: list[int] = field(default_factory=list)
    raw_lengths: list[int] = field(default_factory=list)
    stages: dict[str, Stage] = field(default_factory=dict)
    punctuated: bool = False  # some text has marks; a recording whose text has none counts for no mark
    sentences: times.Errors = field(default_factory=times.Errors)
    words: times.Errors | None = None  # None: the server gave none, or the labels have none
    changes: dict[str, Changes] = field(default_factory=dict)  # by the later stage
    rejected: int = 0  # edits of the LLM
    shown: int = 0  # characters that were told and taken back
    faults: list[Fault] = field(default_factory=list)
    errors: int = 0  # recordings that failed

    @property
    def speech(self) -> bool:
        return sum(self.lengths) > 0

    def cer(self, stage: str) -> float | None:
        return rate(self.stages[stage].edits, self.lengths)

    def raw_cer(self, stage: str) -> float | None:
        return rate(self.stages[stage].raw_edits, self.raw_lengths)

    def interval(self, stage: str) -> Interval | None:
        return interval(self.stages[stage].edits, self.lengths)

    def against(self, stage: str, other: str) -> Interval | None:
        return difference(self.stages[stage].edits, self.stages[other].edits, self.lengths)

    def inserted_per_minute(self, stage: str) -> float:
        """Characters of text, for a run in which nobody speaks."""
        return sum(self.stages[stage].characters) * 60 / self.seconds if self.seconds else 0.0


def measure(name: str, clips: Sequence[Clip], heard: Sequence[Heard], hotwords: Sequence[Sequence[str]]) -> Figures:
    """``hotwords``: what was sent with each recording. Recordings that failed are counted apart."""
    whole = [row for row in zip(clips, heard, hotwords, strict=True) if row[1].error is None]
    figures = Figures(name, len(clips), sum(one.seconds for _, one, _ in whole))
    figures.hotwords = max(map(len, hotwords), default=0)
    figures.errors = len(clips) - len(whole)
    corrects = any(one.corrects for one in heard)
    stages = STAGES if corrects else STAGES[:2]
    figures.stages = {stage: Stage() for stage in stages}
    figures.punctuated = any(marks(clip.text, "").wanted for clip in clips)
    figures.changes = {later: Changes() for later in stages[1:]}
    for clip, one, words in whole:
        _recording(figures, clip, one, words)
    for clip, one, words in zip(clips, heard, hotwords, strict=True):
        figures.faults += faults(clip, one, words, stages)
    return figures


def _recording(figures: Figures, clip: Clip, heard: Heard, hotwords: Iterable[str]) -> None:
    said, raw_said = counted(clip.text), raw(clip.text)
    figures.lengths.append(len(said))
    figures.raw_lengths.append(len(raw_said))
    listed = list(hotwords)
    for name, stage in figures.stages.items():
        text = heard.text(name)
        stage.edits.append(distance(said, counted(text)))
        stage.raw_edits.append(distance(raw_said, raw(text)))
        stage.characters.append(len(counted(text)))
        if listed:
            stage.biasing += biasing(clip.text, text, listed)
        if marks(clip.text, "").wanted:
            stage.marks += marks(clip.text, text)
    readings: list[Mapping[str, str]] = [sentence.readings for sentence in heard.sentences]
    for before, after in zip(figures.stages, list(figures.stages)[1:], strict=False):
        figures.changes[after] += harm.changes(clip.text, readings, before, after)
    if clip.spans:
        figures.sentences.add(times.sentences(clip.spans, [(one.start, one.end) for one in heard.sentences]))
    given = [word for sentence in heard.sentences for word in sentence.words]
    if clip.words and given:
        figures.words = figures.words or times.Errors()
        figures.words.add(times.words(clip.words, given))
    figures.rejected += heard.rejected
    figures.shown += sum(len(counted(text)) for text in heard.shown)


def unrelated(figures: Figures, base: Figures, stage: str) -> Interval | None:
    """What a list of hotwords changed: this run's rate less that of the same recordings without the list."""
    if figures.errors or base.errors or figures.lengths != base.lengths:
        return None
    return difference(figures.stages[stage].edits, base.stages[stage].edits, figures.lengths)
