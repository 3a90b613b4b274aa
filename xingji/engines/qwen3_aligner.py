"""When the words of a text were said, by Qwen3-ForcedAligner: in a worker process of ours, on a GPU, through Qwen's own
library, like ``qwen3_embedded`` and for the same reasons in a Python of its own. No server offers it over HTTP.

The library gives seconds to every Han character and every word between spaces, marks left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import EngineError
from ..core.messages import Align
from ..core.timing import laid
from ..core.types import SAMPLE_RATE, Hypothesis
from . import Description
from .qwen3_parse import LANGUAGES

LONGEST = 180 * SAMPLE_RATE  # what the library aligns at most
UNKNOWN = "Chinese"  # of a text whose language nobody knows; only Japanese and Korean are cut into words otherwise


class Qwen3Aligner:
    """The model; keeps nothing between calls. Use from one thread."""

    def __init__(self, path: Path, device: str) -> None:
        """Raises EngineError, in one sentence, where it cannot run here."""
        if not device.startswith("cuda"):
            raise EngineError("Qwen3-ForcedAligner needs an NVIDIA GPU; without one SenseVoice gives words their times")
        try:
            from qwen_asr import Qwen3ForcedAligner
        except ImportError as error:
            raise EngineError("no qwen_asr for this Python; see requirements-qwen3.txt and QWEN3_ASR_PYTHON") from error
        self._model: Any = Qwen3ForcedAligner.from_pretrained(str(path), dtype="bfloat16", device_map=device)
        size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
        about = size // 2, size, device, "transformers bfloat16"  # two bytes each
        self._about = Description("Qwen3ForcedAligner", *about, "not_on_cpu")

    def describe(self) -> Description:
        return self._about

    def align(self, items: Sequence[Align]) -> list[Hypothesis]:
        """Each text with its words and their times; without words where it is too long, or has no letters."""
        fit = [0 < len(i.samples) <= LONGEST and any(c.isalnum() for c in i.text) for i in items]
        told = iter(self._asked([item for item, fits in zip(items, fit, strict=True) if fits]))
        return [
            _timed(item, next(told)) if fits else Hypothesis(item.text) for item, fits in zip(items, fit, strict=True)
        ]

    def _asked(self, items: Sequence[Align]) -> Sequence[Any]:
        if not items:
            return ()
        found: Sequence[Any] = self._model.align(
            audio=[(item.samples.astype(np.float32) / 32768, SAMPLE_RATE) for item in items],
            text=[item.text for item in items],
            language=[LANGUAGES.get(item.language, UNKNOWN) for item in items],
        )
        return found


def _timed(item: Align, told: Any) -> Hypothesis:
    pieces = [(p.text, round(p.start_time * SAMPLE_RATE), round(p.end_time * SAMPLE_RATE)) for p in told]
    words = laid(item.text, pieces, len(item.samples), item.begin)
    return Hypothesis(item.text, words=words, timestamp_source="aligner" if words else None)
