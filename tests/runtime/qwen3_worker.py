"""A real worker process with Qwen3-ASR or its aligner in it, whose library is played and whose CUDA device is made up.

The played model says the same of everything, and the words that it was told: "内嵌的说星纪。" The played aligner gives
each letter 100 ms.
``python -m xingji.runtime.worker ROLE ADDRESS`` becomes this script where the interpreter is the script that
``interpreter`` writes.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from xingji.runtime import worker

SAYS = "内嵌的说"


def interpreter(folder: Path) -> Path:
    """A program that stands in for the Python of the process."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nshift 2\nPYTHONPATH=. exec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    script.chmod(0o755)
    return script


def weights(cache: Path, repo: str = "Qwen/Qwen3-ASR-0.6B") -> Path:
    """A directory that looks like the model's, where somebody might have copied it by hand."""
    folder = cache / "models" / repo
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


class Model:
    """``qwen_asr.Qwen3ASRModel``, as far as it is used."""

    @classmethod
    def from_pretrained(cls, path: str, **options: Any) -> "Model":
        assert (Path(path) / "config.json").is_file()
        assert options == {
            "dtype": "bfloat16",
            "device_map": "cuda",
            "max_inference_batch_size": 32,
            "max_new_tokens": 1024,
        }
        return cls()

    def transcribe(self, audio: list[Any], context: list[str], language: list[str | None]) -> list[Any]:
        for samples, rate in audio:
            assert rate == 16_000 and samples.dtype == "float32" and len(samples) >= 8000 and abs(samples).max() <= 1
        return [
            SimpleNamespace(text=f"{SAYS}{words}。", language=forced or "Chinese")
            for words, forced in zip(context, language, strict=True)
        ]


class Aligner:
    """``qwen_asr.Qwen3ForcedAligner``, as far as it is used."""

    @classmethod
    def from_pretrained(cls, path: str, **options: Any) -> "Aligner":
        assert (Path(path) / "config.json").is_file() and options == {"dtype": "bfloat16", "device_map": "cuda"}
        return cls()

    def align(self, audio: list[Any], text: list[str], language: list[str]) -> list[Any]:
        assert len(audio) == len(text) == len(language)
        letters = [[c for c in whole if c.isalnum()] for whole in text]
        return [
            [SimpleNamespace(text=c, start_time=at / 10, end_time=(at + 1) / 10) for at, c in enumerate(own)]
            for own in letters
        ]


if __name__ == "__main__":
    sys.modules["qwen_asr"] = SimpleNamespace(Qwen3ASRModel=Model, Qwen3ForcedAligner=Aligner)  # type: ignore[assignment]
    sys.modules["vllm"] = None  # type: ignore[assignment]
    worker.place = lambda wanted, mps, build: (build(wanted), None)
    worker.main(sys.argv[1], sys.argv[2])
