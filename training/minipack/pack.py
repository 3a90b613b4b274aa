"""From trained weights to folders that ``AutoModel(model=folder)`` loads, and the manifest over them."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from training.minipack import batches, paraformer, provenance, punctuation, sensevoice, speech, vad, vocabulary
from training.minipack.features import Normaliser
from training.minipack.optimise import State

RECIPE_VERSION = 2

MODELS = ("vad", "punc", "paraformer", "sensevoice")
_PACKAGES = ("torch", "funasr", "kaldi-native-fbank", "sentencepiece", "numpy", "scipy", "soxr")

NOTE = {
    "zh": "用 espeak-ng 合成语音训练；供试用与测试，不可用于正式工作。",
    "en": "Trained on espeak-ng speech; for trying and testing, not for work.",
}
DOMAIN = {
    "zh": "封闭领域：会议与语音助手的普通话句子，约三百七十个汉字，十个英文词；真人语音会得到无意义的文字。",
    "en": "Closed domain: Mandarin sentences of meetings and voice assistants, about 370 characters and ten English "
    "words; human speech gives meaningless text.",
}


def write_pack(out: Path, states: Mapping[str, State], normaliser: Normaliser, bpe_model: bytes) -> None:
    """Write every model folder under ``out``; ``states`` is keyed by :data:`MODELS`."""
    for name in MODELS:
        (out / name).mkdir(parents=True, exist_ok=True)
    recognition = "auto-speech-recognition"
    _write_model(out / "vad", "voice-activity-detection", vad.CONFIG, vad.METAS, states["vad"])
    normaliser.save(out / "vad/am.mvn", vad.WIDTH)
    _write_model(out / "punc", "punctuation", punctuation.CONFIG, punctuation.METAS, states["punc"])
    vocabulary.save_character_tokens(out / "punc/tokens.json")
    streaming = paraformer.without_training_parts(states["paraformer"])
    _write_model(out / "paraformer", recognition, paraformer.CONFIG, paraformer.METAS, streaming)
    vocabulary.save_character_tokens(out / "paraformer/tokens.json")
    normaliser.save(out / "paraformer/am.mvn", batches.WIDTH)
    _write_model(out / "sensevoice", recognition, sensevoice.CONFIG, sensevoice.METAS, states["sensevoice"])
    (out / "sensevoice" / sensevoice.BPE_FILE).write_bytes(bpe_model)
    normaliser.save(out / "sensevoice/am.mvn", batches.WIDTH)


def write_manifest(
    out: Path, stages: Mapping[str, str], cpu_seconds: Mapping[str, int], held_out: Mapping[str, Any]
) -> None:
    """``stages``: the digest of the sources that made each stage."""
    files = sorted(path for name in MODELS for path in (out / name).iterdir() if path.is_file())
    manifest = {
        "name": "minipack",
        "note": NOTE,
        "domain": DOMAIN,
        "licence": "Apache-2.0",
        "recipe": {"version": RECIPE_VERSION, "commit": provenance.commit(), "sha256": dict(stages)},
        "made_with": {
            "espeak-ng": speech.espeak_version(),
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
            "machine": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        },
        "cpu_seconds": dict(cpu_seconds),
        "held_out": dict(held_out),
        "bytes": sum(path.stat().st_size for path in files),
        "files": {
            path.relative_to(out).as_posix(): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
            for path in files
        },
    }
    (out / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")


def _write_model(folder: Path, task: str, config: Mapping[str, Any], metas: Mapping[str, Any], state: State) -> None:
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    torch.save(halves, folder / "model.pt")
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config), allow_unicode=True, sort_keys=False))
    configuration = {
        "framework": "pytorch",
        "task": task,
        "model": {"type": "funasr"},
        "file_path_metas": {"init_param": "model.pt", "config": "config.yaml", **metas},
    }
    (folder / "configuration.json").write_text(json.dumps(configuration, indent=1) + "\n")
