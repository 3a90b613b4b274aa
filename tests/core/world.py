"""A world in which audio is text: deterministic engines that answer jobs as real workers would.

``say("ab  c")`` makes one letter per 100 ms; a space is silence, ``#`` a cough, ``~`` a noise. Letters
a–p stand for Han syllables, each with four characters that sound the same, so a text shows who
wrote it: the streaming recogniser in an even or an odd chunk, the second pass, or the corrector.
A letter is written by whoever is given its 500th sample, wherever audio is cut.

The engines insist on the shape of their jobs (whole hops, whole chunks) and keep state like a
worker does: keyed by position, Forgotten where it is not there, gone after a crash.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from xingji.core.messages import (
    Correct,
    Decode,
    Detect,
    Edge,
    Edits,
    Forgotten,
    Found,
    Job,
    NoSpeech,
    Result,
    Transcribe,
)
from xingji.core.pronunciation import Sounds
from xingji.core.types import Edit, HotwordHit, HotwordTable, Hypothesis, Samples, Span, Stage, TimestampSource, Word

TICK = 1_600
MARK, MARK_AT = 7, 500  # the sample of a letter by which it is written

SYLLABLES = {
    "shi4": "是事市式",
    "yi4": "意易义艺",
    "li4": "力立利历",
    "ji4": "记计际季",
    "zhi4": "志制治质",
    "jing1": "京经精晶",
    "gong1": "公工功攻",
    "xin1": "心新欣芯",
    "ming2": "明名鸣铭",
    "yuan2": "元园原圆",
    "qing1": "青清轻倾",
    "sheng1": "生声升牲",
    "hua4": "化话画划",
    "dao4": "到道稻盗",
    "wei4": "为位味谓",
    "bao4": "报抱豹爆",
}
LETTERS = "abcdefghijklmnop"
ROWS = list(SYLLABLES.values())
COUGH, NOISE = len(ROWS), len(ROWS) + 1
EVEN, ODD, SECOND, RIGHT = range(4)
COUGHED = "嗯"  # what the streaming recogniser makes of a cough

CONFIRM, FRAME = 6, 160  # the detector believes in speech after 6 loud frames of 10 ms
LEAD, TAIL = TICK, TICK  # what it leaves before and after speech


def say(text: str, lead: int = 0) -> Samples:
    """One letter per ``TICK`` samples, after ``lead`` samples of silence. Values are multiples of 1000, marks apart."""
    levels = np.array([0 if c == " " else 1 + (LETTERS + "#~").index(c) for c in text], np.int16)
    ticks = np.repeat(levels[:, None] * np.int16(1000), TICK, axis=1)
    ticks[levels > 0, MARK_AT] += MARK
    return np.concatenate([np.zeros(lead, np.int16), ticks.reshape(-1)])


def letters(text: str) -> str:
    """Which letters were said, whoever wrote them: marks and coughs are left out."""
    return "".join(LETTERS[row] for c in text for row, syllable in enumerate(ROWS) if c in syllable)


def written(said: str, row: int) -> str:
    """How letters are written when all stand in one row."""
    return "".join(ROWS[LETTERS.index(c)][row] for c in said if c in LETTERS)


def _marks(samples: Samples) -> list[int]:
    return [int(v) // 1000 - 1 for v in samples[samples % 1000 == MARK]]


SOUNDS: Mapping[str, Sounds] = {c: (syllable,) for syllable, row in SYLLABLES.items() for c in row}


class Pronouncer:
    def syllables(self, text: str) -> tuple[Sounds, ...]:
        return tuple(SOUNDS.get(c, ()) for c in text)


class Words:
    """Knows of every other syllable how the streaming recogniser writes it in an even chunk, and of the others how
    the corrector does."""

    def frequency(self, word: str) -> float:
        known = [row[RIGHT if number % 2 else EVEN] for number, row in enumerate(ROWS)]
        return 1e-4 if word in known else 0.0


@dataclass(frozen=True)
class Table:
    """Hotwords: what is heard → the word."""

    words: Mapping[str, str]
    tables: tuple[HotwordTable, ...] = ()

    def mend(self, text: str, stage: Stage) -> tuple[str, tuple[HotwordHit, ...]]:
        hits = []
        for heard, word in self.words.items():
            if heard in text:
                text = text.replace(heard, word)
                hits.append(HotwordHit(word, heard, stage, 0.9))
        return text, tuple(hits)

    def find(self, text: str) -> tuple[Found, ...]:
        places = [(i, heard) for heard in self.words for i in range(len(text)) if text.startswith(heard, i)]
        hits = [HotwordHit(self.words[heard], heard, Stage.PARTIAL, 0.9) for _, heard in places]
        return tuple(Found(i, i + len(heard), hit) for (i, heard), hit in zip(places, hits, strict=True))

    @property
    def longest(self) -> int:
        return max(map(len, self.words))

    def heaviest(self, limit: int) -> tuple[str, ...]:
        return ()

    def close_to(self, text: str, limit: int = 20) -> tuple[str, ...]:
        return tuple(word for heard, word in self.words.items() if heard in text or word in text)


@dataclass
class Detector:
    """Loud frames are speech. Decides at the end of each hop, like the real one."""

    position: int
    floor: int = 0
    speaking: bool = False
    first: int = 0  # where loudness began
    last: int = 0  # where it ended
    loud: int = 0  # frames since then
    paused: bool = False
    edges: list[Edge] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.floor = self.position

    def hear(self, job: Detect) -> tuple[Edge, ...]:
        self.edges = []
        for start in range(0, len(job.samples), job.hop):
            self._hop(job.samples[start : start + job.hop], job.end_silence)
        if job.flush:
            if not self.speaking and self.loud:
                self._mark("onset", self.first - LEAD)
            if self.speaking and self.position > self.last:  # otherwise the session has to end it
                self._mark("endpoint", self.last + TAIL)
        return tuple(self.edges)

    def _hop(self, samples: Samples, end_silence: int) -> None:
        for at in range(0, len(samples), FRAME):
            begin, frame = self.position + at, samples[at : at + FRAME]
            if frame.any():
                self.first = self.first if self.loud else begin
                self.loud += 1
                self.last = begin + len(frame)
            elif self.loud and not self.speaking and self.loud < CONFIRM and begin - self.last >= TICK:
                self.loud = 0  # a click
        self.position += len(samples)
        if not self.speaking and self.loud >= CONFIRM:
            self._mark("onset", self.first - LEAD)
        if self.speaking and self.position - self.last >= end_silence:
            self._mark("endpoint", self.last + TAIL)
        elif self.paused != (self.speaking and self.position - self.last >= TAIL):
            self.paused = not self.paused
            at = self.last + TAIL if self.paused else self.position
            self.edges.append(Edge("pause" if self.paused else "resume", at, self.position))

    def _mark(self, kind: str, at: int) -> None:
        at = min(max(at, self.floor), self.position)
        self.edges.append(Edge("onset" if kind == "onset" else "endpoint", at, self.position))
        self.floor, self.speaking, self.paused = at, kind == "onset", False
        self.loud = self.loud if self.speaking else 0


@dataclass
class Decoder:
    """Writes in the row of its chunk's number, so a text betrays another grid."""

    segment: int
    decoded: int = 0
    chunks: int = 0
    text: str = ""

    def decode(self, job: Decode) -> Hypothesis:
        for start in range(0, len(job.samples), job.chunk):
            for mark in _marks(job.samples[start : start + job.chunk]):
                if mark == COUGH:
                    self.text += COUGHED
                elif mark < COUGH:
                    self.text += ROWS[mark][self.chunks % 2]
            self.chunks += 1
        self.decoded += len(job.samples)
        ending = "" if not self.text or not job.punctuation else "。" if job.last else "，"
        return Hypothesis(self.text + ending, self.text, len(self.text))


class World:
    """The engines of one recording."""

    def __init__(self) -> None:
        self.detector: Detector | None = None
        self.decoder: Decoder | None = None

    def crash(self) -> None:
        self.detector = self.decoder = None

    def answer(self, job: Job) -> Result:
        match job:
            case Detect():
                return self._detect(job)
            case Decode():
                return self._decode(job)
            case Transcribe():
                return self._transcribe(job)
            case Correct():
                return self._correct(job)

    def _detect(self, job: Detect) -> Result:
        assert job.flush or (len(job.samples) and len(job.samples) % job.hop == 0), "a part of a hop"
        if job.first:
            self.detector = Detector(job.offset)
        if self.detector is None or self.detector.position != job.offset:
            return Forgotten()
        edges = self.detector.hear(job)
        if job.flush:
            self.detector = None
        return edges

    def _decode(self, job: Decode) -> Result:
        assert job.last or (len(job.samples) and len(job.samples) % job.chunk == 0), "a part of a chunk"
        if job.offset == 0:
            self.decoder = Decoder(job.segment)
        if self.decoder is None or (self.decoder.segment, self.decoder.decoded) != (job.segment, job.offset):
            return Forgotten()
        heard = self.decoder.decode(job)
        if job.last:
            self.decoder = None
        return heard

    def _transcribe(self, job: Transcribe) -> Result:
        assert len(job.samples), "an empty segment"
        heard = _marks(job.samples)
        text = "".join(ROWS[mark][SECOND] for mark in heard if mark < COUGH)
        if job.preview and text:  # a last word that is cut short is misheard
            text = text[:-1] + ROWS[LETTERS.index(letters(text[-1]))][EVEN]
        if not text and NOISE not in heard:
            return NoSpeech()
        at = [job.begin + int(place) for place in np.flatnonzero(job.samples % 1000 == MARK)]
        places = [place for place, mark in zip(at, heard, strict=True) if mark < COUGH]
        words = tuple(Word(c, Span(place, place + 1), 0.9) for c, place in zip(text, places, strict=True))
        source: TimestampSource | None = "ctc" if words else None
        return Hypothesis(text + "。" if text else "", language="zh", words=words, timestamp_source=source)

    def _correct(self, job: Correct) -> Edits:
        """Right: a and b in their last form. Wrong: p for every o, which sounds like nothing that was said."""
        base = job.readings[max(job.readings)]
        right = {row[SECOND]: row[RIGHT] for row in ROWS[:2]} | {ROWS[14][SECOND]: ROWS[15][SECOND]}
        return Edits(tuple(Edit(i, i + 1, right[c]) for i, c in enumerate(base) if c in right))
