"""The second pass: SenseVoice transcribes a closed segment as a whole.

It writes marks and digits itself when inverse text normalisation is asked for, and neither when
it is not. Its rich tags (language, emotion, event) are read, never shown; no emoji is made of
them. A segment without speech is answered by ``NoSpeech``, never by a made-up sentence.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from xingji.core.errors import EngineError
from xingji.core.messages import NoSpeech, Transcribe
from xingji.core.types import Hypothesis
from xingji.engines import Capabilities, Description
from xingji.engines.loading import FRAME, load, running, waveform

_LANGUAGES = ("zh", "en", "yue", "ja", "ko")
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

    def __init__(self, path: Path, device: str) -> None:
        """Raises EngineError if the directory is not a complete SenseVoiceSmall model."""
        self._loaded = load(path, device, "SenseVoiceSmall")

    def describe(self) -> Description:
        return self._loaded.describe()

    def transcribe(self, items: Sequence[Transcribe]) -> list[Hypothesis | NoSpeech]:
        """Raises EngineError for a language other than auto, zh, en, yue, ja, ko (the stock class
        would quietly take auto)."""
        with running():
            return [self._transcribe(item) for item in items]

    def _transcribe(self, item: Transcribe) -> Hypothesis | NoSpeech:
        if item.language != "auto" and item.language not in _LANGUAGES:
            raise EngineError("the second pass does not know this language")
        if len(item.samples) < FRAME:
            return NoSpeech()
        feats, lengths = self._loaded.frontend(waveform(item.samples), [len(item.samples)])
        # ban_emo_unk stays off: it indexes the official vocabulary and fails with a smaller one.
        results, _ = self._loaded.model.inference(
            feats.to(torch.float32),
            lengths.to(torch.int32),
            key=["segment"],
            tokenizer=self._loaded.tokenizer,
            frontend=self._loaded.frontend,
            data_type="fbank",
            language=item.language,
            use_itn=item.itn,
            device=self._loaded.device,
        )
        return parse(results[0]["text"]).reading(item.language)


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
