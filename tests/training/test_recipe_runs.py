"""The whole recipe in miniature: every stage runs, and what it makes loads and is described."""

from __future__ import annotations

import json
import multiprocessing.dummy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from training.minipack import __main__ as recipe
from training.minipack import corpus, evaluate, paraformer, provenance, punctuation, recordings, sensevoice, vad

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"),
]


def test_every_stage_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(module: Any, **values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)

    # Threads for processes: other tests may have loaded eventlet, which warns of forks.
    small(corpus, UTTERANCES=60, NOISE_ITEMS=8, Pool=multiprocessing.dummy.Pool)
    small(vad, ROUND=replace(vad.ROUND, steps=2), SEQUENCE=100)
    small(punctuation, ROUND=replace(punctuation.ROUND, steps=40, warmup=5), BATCH=8)
    small(sensevoice, ROUNDS=tuple(replace(plan, steps=3) for plan in sensevoice.ROUNDS), EARLY_STEP=2, SHORT_STEPS=1)
    small(paraformer, ROUNDS=tuple(replace(plan, steps=2) for plan in paraformer.ROUNDS), SHORT_STEPS=1)
    small(sensevoice, BUDGET=300)
    small(paraformer, BUDGET=300)
    small(evaluate, ITEMS=2, WIDE_ITEMS=1, PARAGRAPHS=1, SESSIONS=1)
    small(evaluate, _non_speech_sounds=lambda: {"silence": [evaluate.sounds.silence(None, 16000)]})
    index = tmp_path / "speech.json"
    small(recipe, RECORDINGS=tmp_path / "speech", RECORDINGS_INDEX=index)
    small(recordings, PLANS=recordings.PLANS[-1:])
    out = tmp_path / "pack"
    torch.set_num_threads(1)
    (tmp_path / "work").mkdir()
    recipe.Recipe(tmp_path / "work", out).run()
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert set(manifest["cpu_seconds"]) == set(recipe.TRAINED)
    assert manifest["recipe"]["sha256"] == {stage: provenance.digest(mods) for stage, mods in recipe.MADE_BY.items()}
    assert set(manifest["held_out"]) >= {"second_pass_cer", "streaming_cer", "wide", "punctuation_f1", "vad"}
    assert evaluate.table(manifest["held_out"]).count("\n") > 20
    assert recordings.changed(tmp_path / "speech", index) == []
