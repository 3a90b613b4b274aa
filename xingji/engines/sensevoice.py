"""The second pass: SenseVoice transcribes a closed segment as a whole.

It writes marks and digits itself when inverse text normalisation is asked for, and neither when
it is not. Its rich tags (language, emotion, event) are read, never shown as text; no emoji is made of
them. A segment without speech is answered by ``NoSpeech``, never by a made-up sentence. Each word has
the time of the frames in which its tokens are the best, and their posterior as its confidence.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xingji.core.ctc import Array, Token, greedy
from xingji.core.errors import EngineError
from xingji.core.forced_alignment import lay
from xingji.core.messages import Align, NoSpeech, Transcribe
from xingji.core.spotting import Placed, Reading, put_in, spot
from xingji.core.timing import Mark, loudness, sure, words
from xingji.core.types import SAMPLE_RATE, HotwordHit, Hypothesis, TimestampSource, Word
from xingji.engines import Capabilities, Description
from xingji.engines.features import FRAME, SHIFT, front_end
from xingji.engines.loading import Network, load, padded
from xingji.engines.spelling import Tables, letters

_LANGUAGES = ("zh", "en", "yue", "ja", "ko")
# What the model is asked with: numbers of its table of prompts.
_PROMPT_LANGUAGE = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12}
_PROMPT_EVENT, _PROMPT_EMOTION = 1, 2
_PROMPT_ITN = {True: 14, False: 15}
_PROMPTED = ("language", "event", "emotion", "style")  # one frame each, before those of the audio
_BLANK = 0
_EMOTIONS = ("HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED", "EMO_UNKNOWN")
# What there is to hear, in our words; whatever else the model may say is unknown.
_EVENTS = {
    "Speech": "speech", "BGM": "music", "Applause": "applause", "Laughter": "laughter", "Cry": "crying",
    "Sneeze": "sneeze", "Breath": "breath", "Cough": "cough", "Sing": "singing", "Speech_Noise": "noise",
}  # fmt: skip
_TAG = re.compile(r"<\|([^|<>]*)\|>")
# A token is best this long after the middle of its word (median of 5 658 words, mini pack).
_LATE = SAMPLE_RATE * 23 // 1000


@dataclass(frozen=True, slots=True)
class Rich:
    """SenseVoice's raw answer taken apart. A tag that it did not give, or does not know, is None."""

    text: str
    language: str | None  # or "nospeech"
    emotion: str | None
    event: str | None  # "Speech", "BGM", "Applause", "Laughter", "Cry", …

    def reading(self, language: str) -> Hypothesis | NoSpeech:
        """``language`` is what was asked for. Empty text counts as lost speech only where the
        model itself says that it heard speech."""
        if self.language == "nospeech" or (not self.text and self.event != "Speech"):
            return NoSpeech()
        asked = None if language == "auto" else language
        return Hypothesis(
            text=self.text,
            language=self.language or asked,
            emotion=None if self.emotion in (None, "EMO_UNKNOWN") else self.emotion.lower(),
            event=_EVENTS.get(self.event or ""),
        )


@dataclass(frozen=True, eq=False)
class Heard:
    """What the model makes of a segment, frame by frame: those of the prompt come first, then those of the audio."""

    best: NDArray[np.int64]  # (T,): the token that each frame most likely is
    sure: Array  # (T,): its log-posterior
    encoded: Array  # (T, W)
    head: Network

    @cached_property
    def logits(self) -> Array:
        """(T, V). They take long, and only who looks for something else than the best tokens needs them."""
        logits: Array = self.head.fetched(self.head(self.encoded))
        return logits


class SenseVoice:
    """The model; implements ``Recogniser`` and keeps nothing between calls. Use from one thread."""

    capabilities = Capabilities(languages=_LANGUAGES, punctuation=True, itn=True, words=True, hotwords=True)

    def __init__(self, path: Path, device: str, precision: str = "auto") -> None:
        """``precision`` as in ``loading.load``. Raises EngineError if the directory is not a complete
        SenseVoiceSmall model."""
        loaded = load(path, device, "SenseVoiceSmall", precision)
        self._front_end, self._pieces = front_end(loaded.directory), loaded.directory.pieces()
        self.network, self.head, self._about = loaded.networks["segment"], loaded.networks["head"], loaded.about
        self.tables = Tables(self._pieces)

    def describe(self) -> Description:
        return self._about

    def transcribe(self, items: Sequence[Transcribe]) -> list[Hypothesis | NoSpeech]:
        """Segments that ask for the same language and style go through the model together.

        Raises EngineError for a language other than auto, zh, en, yue, ja, ko (the stock class
        would quietly take auto), and for a hotword table that ``tables`` was not given.
        """
        if any(item.language not in ("auto", *_LANGUAGES) for item in items):
            raise EngineError("the second pass does not know this language")
        asked: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            if len(item.samples) >= FRAME:  # else there is nothing to hear
                asked[item.language, item.itn].append(index)
        answers: list[Hypothesis | NoSpeech] = [NoSpeech()] * len(items)
        for (language, itn), indices in asked.items():
            for index, heard in zip(indices, self._hear([items[i] for i in indices], language, itn), strict=True):
                answers[index] = self._reading(items[index], heard)
        return answers

    def align(self, items: Sequence[Align]) -> list[Hypothesis]:
        """Each text with the times of its words, as far as the model knows its letters; without words where too many
        are strange to it, or the audio is too short for them. Their confidence is unknown: somebody else read them.

        The model is asked to write digits where the text has some, so that it looks for the same.
        """
        asked: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            if len(item.samples) >= FRAME:
                language = item.language if item.language in _LANGUAGES else "auto"
                asked[language, any(c.isdigit() for c in item.text)].append(index)
        answers = [Hypothesis(item.text) for item in items]
        for (language, itn), indices in asked.items():
            for index, heard in zip(indices, self._hear([items[i] for i in indices], language, itn), strict=True):
                found = self._aligned(items[index], heard)
                answers[index] = replace(
                    answers[index], words=found, timestamp_source="ctc_alignment" if found else None
                )
        return answers

    def _aligned(self, item: Align, heard: Heard) -> tuple[Word, ...]:
        pieces, prompt = self.tables.pieces(item.text), len(_PROMPTED)
        frames = lay(pieces, heard.logits[prompt:], _BLANK)
        marks = [
            Mark(piece.at, self._sample(prompt + first), self._sample(prompt + last), None)
            for piece, (first, last) in zip(pieces, frames, strict=False)
        ]
        return words(item.text, marks, loudness(item.samples), item.begin)

    def _hear(self, items: Sequence[Transcribe] | Sequence[Align], language: str, itn: bool) -> Iterator[Heard]:
        rows = [self._front_end.whole(item.samples) for item in items]
        prompt = [_PROMPT_LANGUAGE[language], _PROMPT_EVENT, _PROMPT_EMOTION, _PROMPT_ITN[itn]]
        found = self.network(padded(rows), np.array([prompt] * len(rows)), np.array([len(row) for row in rows]))
        encoded, best, sure = map(self.network.fetched, found)
        for at, row in enumerate(rows):
            own = slice(len(prompt) + len(row))
            yield Heard(best[at, own], sure[at, own], encoded[at, own], self.head)

    def _reading(self, item: Transcribe, heard: Heard) -> Hypothesis | NoSpeech:
        tokens = greedy(heard.best, heard.sure, _BLANK)  # tags are tokens too
        reading = parse(self._pieces.decode([token.id for token in tokens])).reading(item.language)
        if isinstance(reading, NoSpeech):
            return reading
        text, placed = reading.text, self._placed(reading.text, tokens)
        hits: tuple[HotwordHit, ...] = ()
        if item.hotwords and placed:
            spotters = map(self.tables.spotter, item.hotwords)
            written = Reading(heard.logits, [piece.token for piece in placed], self.tables.vocabulary, _BLANK)
            text, placed, hits = put_in(text, placed, spot(spotters, written))
        marks = [
            Mark(piece.start, self._sample(piece.token.first), self._sample(piece.token.last), piece.token.confidence)
            for piece in placed
        ]
        found = words(text, marks, loudness(item.samples), item.begin)
        source: TimestampSource | None = "ctc" if found else None
        return replace(
            reading, text=text, words=found, hotword_hits=hits, confidence=sure(found), timestamp_source=source
        )

    def _placed(self, text: str, tokens: Sequence[Token]) -> list[Placed]:
        """Where each token stands in ``text``, tags left out; empty where the text is not what the pieces say (a
        character spelt in bytes)."""
        placed, at = [], 0
        for token in tokens:
            written = letters(self._pieces.id_to_piece(token.id))
            if not written:
                continue
            while text[at : at + 1].isspace():
                at += 1
            if not text.startswith(written, at):
                return []
            placed.append(Placed(token, at, at + len(written)))
            at += len(written)
        return placed

    def _sample(self, frame: float) -> int:
        """The middle of what a frame of the output is about; the first ones answer the prompt."""
        middle = round((frame - len(_PROMPTED)) * self._front_end.step * SHIFT) + FRAME // 2
        return max(0, middle - _LATE)


def parse(raw: str) -> Rich:
    """Read ``<|zh|><|NEUTRAL|><|Speech|><|withitn|>text``. Tags inside the text are dropped,
    spaces become single ones, and text without a letter or digit ("。") counts as empty."""
    language = emotion = event = None
    for tag in _TAG.findall(raw):
        if tag in _LANGUAGES or tag == "nospeech":
            language = language or tag
        elif tag in _EMOTIONS:
            emotion = emotion or tag
        elif tag not in ("withitn", "woitn"):
            event = event or tag
    text = " ".join(_TAG.sub(" ", raw).split())
    return Rich(text if any(c.isalnum() for c in text) else "", language, emotion, event)
