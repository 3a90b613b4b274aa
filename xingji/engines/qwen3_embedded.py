"""Qwen3-ASR in a worker process of ours, on a GPU: the same model as behind HTTP, through Qwen's own library.

That library pins versions of torch and transformers that are not ours, so the process may run on another Python
(``requirements-qwen3.txt``). With vLLM beside it the library uses that, else transformers. What is said of a segment
(padding, hotwords, forced language, loops) is the same as over HTTP, so that both ways give the same text.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import EngineError
from ..core.messages import NoSpeech, Transcribe
from ..core.types import SAMPLE_RATE, Hypothesis
from . import Capabilities, Description
from .qwen3_parse import CODES, LANGUAGES, padded, without_loops

MAX_TOKENS = 1024
BATCH = 32  # segments at a time
CONTEXT = 32_768  # tokens


class Qwen3Embedded:
    """The model; implements ``Recogniser`` and keeps nothing between calls. Use from one thread."""

    capabilities = Capabilities(languages=tuple(LANGUAGES), punctuation=True, itn=True, hotwords=True)

    def __init__(self, path: Path, device: str, share: float) -> None:
        """``share``: the part of the GPU's memory that vLLM takes; which GPU vLLM takes, CUDA_VISIBLE_DEVICES says.

        Raises EngineError, in one sentence, where it cannot run here.
        """
        if not device.startswith("cuda"):
            raise EngineError("embedded Qwen3-ASR needs an NVIDIA GPU; without one, set QWEN3_VLLM_HOST")
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # its engine ends with this process
        try:
            from qwen_asr import Qwen3ASRModel
        except ImportError as error:
            raise EngineError("no qwen_asr for this Python; see requirements-qwen3.txt and QWEN3_ASR_PYTHON") from error
        limits = {"max_inference_batch_size": BATCH, "max_new_tokens": MAX_TOKENS}
        try:
            import vllm
        except ImportError:
            self._model: Any = Qwen3ASRModel.from_pretrained(str(path), dtype="bfloat16", device_map=device, **limits)
            runtime = "transformers bfloat16"
        else:
            self._model = Qwen3ASRModel.LLM(
                model=str(path), gpu_memory_utilization=share, max_model_len=CONTEXT, **limits
            )
            runtime = f"vllm {vllm.__version__}"
        size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
        self._about = Description("Qwen3ASR", size // 2, size, device, runtime, "not_on_cpu")  # two bytes each

    def describe(self) -> Description:
        return self._about

    def transcribe(self, items: Sequence[Transcribe]) -> list[Hypothesis | NoSpeech]:
        answers = self._model.transcribe(
            audio=[(padded(item.samples).astype(np.float32) / 32768, SAMPLE_RATE) for item in items],
            context=[" ".join(item.bias) for item in items],
            language=[LANGUAGES.get(item.language) for item in items],
        )
        return [reading(item, answer.language, answer.text) for item, answer in zip(items, answers, strict=True)]


def reading(item: Transcribe, language: str, said: str) -> Hypothesis | NoSpeech:
    """What the library's answer means. It says no language where nobody spoke, unless one was forced."""
    text = without_loops(" ".join(said.split()))
    if not any(c.isalnum() for c in text):
        return NoSpeech() if not (language or item.language in LANGUAGES) else Hypothesis("")
    asked = item.language if item.language in LANGUAGES else None
    return Hypothesis(text, language=CODES.get(language.split(",")[0].strip().lower(), asked))
