"""The second pass: SenseVoice transcribes a closed segment as a whole.

It writes marks and digits itself when inverse text normalisation is asked for, and neither when
it is not. Its rich tags (language, emotion, event) are read, never shown; no emoji is made of
them. A segment without speech is answered by ``NoSpeech``, never by a made-up sentence.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xingji.core.errors import EngineError
from xingji.core.messages import NoSpeech, Transcribe
from xingji.core.types import Hypothesis, Samples
from xingji.engines import Capabilities, Description
from xingji.engines.features import FRAME, front_end
from xingji.engines.loading import load, padded

_LANGUAGES = ("zh", "en", "yue", "ja", "ko")
# What the model is asked with: numbers of its table of prompts.
_PROMPT_LANGUAGE = {"auto": 0, "zh": 3, "en": 4, "yue": 7, "ja": 11, "ko": 12}
_PROMPT_EVENT, _PROMPT_EMOTION = 1, 2
_PROMPT_ITN = {True: 14, False: 15}
_BLANK = 0
_EMOTIONS = ("HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED", "EMO_UNKNOWN")
_TAG = re.compile(r"<\|([^|<>]*)\|>")


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
        return Hypothesis(text=self.text, language=self.language or asked)


class SenseVoice:
    """The model; implements ``Recogniser`` and keeps nothing between calls. Use from one thread."""

    capabilities = Capabilities(languages=_LANGUAGES, punctuation=True, itn=True)

    def __init__(self, path: Path, device: str, precision: str = "auto") -> None:
        """``precision`` as in ``loading.load``. Raises EngineError if the directory is not a complete
        SenseVoiceSmall model."""
        loaded = load(path, device, "SenseVoiceSmall", precision)
        self._front_end, self._pieces = front_end(loaded.directory), loaded.directory.pieces()
        self.network, self._about = loaded.networks["segment"], loaded.about

    def describe(self) -> Description:
        return self._about

    def transcribe(self, items: Sequence[Transcribe]) -> list[Hypothesis | NoSpeech]:
        """Segments that ask for the same language and style go through the model together.

        Raises EngineError for a language other than auto, zh, en, yue, ja, ko (the stock class
        would quietly take auto).
        """
        if any(item.language not in ("auto", *_LANGUAGES) for item in items):
            raise EngineError("the second pass does not know this language")
        asked: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            if len(item.samples) >= FRAME:  # else there is nothing to hear
                asked[item.language, item.itn].append(index)
        answers: list[Hypothesis | NoSpeech] = [NoSpeech()] * len(items)
        for (language, itn), indices in asked.items():
            texts = self._hear([items[index].samples for index in indices], language, itn)
            for index, text in zip(indices, texts, strict=True):
                answers[index] = parse(text).reading(language)
        return answers

    def _hear(self, segments: Sequence[Samples], language: str, itn: bool) -> list[str]:
        """The raw text of each segment, tags and all: the best token of every frame, without repetitions and blanks."""
        rows = [self._front_end.whole(samples) for samples in segments]
        prompt = [_PROMPT_LANGUAGE[language], _PROMPT_EVENT, _PROMPT_EMOTION, _PROMPT_ITN[itn]]
        lengths = [len(row) for row in rows]
        logits = self.network(padded(rows), np.array([prompt] * len(rows)), np.array(lengths))
        texts = []
        for row, length in zip(self.network.fetched(logits), lengths, strict=True):
            best = row[: len(prompt) + length].argmax(axis=-1)
            once = best[np.append(True, best[1:] != best[:-1])]
            texts.append(self._pieces.decode(once[once != _BLANK].tolist()))
        return texts


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
