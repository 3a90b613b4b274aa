"""The frozen test recordings: held-out sentences in held-out voices, with the true times of every sentence.

They are made once, before any training. A later run only checks that they are still the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from training.minipack import features, speech
from training.minipack.grammar import Sentence, bare, draw_sentence
from training.minipack.sounds import background

SEED = 4211
_TAIL_S = 1.5


@dataclass(frozen=True)
class Plan:
    """One recording: how many sentences, of how many characters, what the first holds, the noise over all."""

    name: str
    variant: str
    sentences: int = 1
    contains: str = ""
    longest: int = 30
    wide: bool = False
    snr_db: float | None = None


PLANS = (
    Plan("name_zhangwei", "f4", contains="张伟"),
    Plan("name_lintao", "m8", contains="林涛"),
    Plan("name_zhangwei_noisy", "Michael", contains="张伟", snr_db=25),
    Plan("name_zhaolei", "Denis", contains="赵磊"),
    Plan("clock", "m8", contains="点"),
    Plan("phone", "f4", contains="电话"),
    Plan("percent", "Michael", contains="百分之"),
    Plan("question", "Denis", contains="怎么样"),
    Plan("topic_noisy", "m8", contains="语音识别", snr_db=20),
    Plan("date", "f4", contains="月"),
    Plan("money_noisy", "Denis", contains="元", snr_db=30),
    Plan("two_sentences", "f4", sentences=2),
    Plan("two_sentences_noisy", "m8", sentences=2, snr_db=25),
    Plan("three_sentences", "Michael", sentences=3, longest=12),
    Plan("three_sentences_noisy", "f4", sentences=3, longest=12, snr_db=30),
    Plan("english_document", "m8", contains="PPT", wide=True),
    Plan("english_technology_noisy", "Denis", contains="GPU", snr_db=25, wide=True),
    Plan("english_two_sentences", "f4", sentences=2, contains="API", wide=True),
    Plan("near_name", "Michael", contains="程静", wide=True),
)
LONGEST_S = 12.0


def freeze(folder: Path, index: Path) -> None:
    """Write the recordings that ``index`` does not know yet to ``folder`` and describe them there.

    Those it knows are frozen: they are never written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = json.loads(index.read_text()) if index.exists() else []
    frozen = {row["file"] for row in rows}
    for number, plan in enumerate(PLANS):
        if f"{plan.name}.wav" in frozen:
            continue
        samples, sentences = _record(plan, Random(SEED * 1009 + number))
        path = folder / f"{plan.name}.wav"
        soundfile.write(path, samples, speech.SAMPLE_RATE, subtype="PCM_16")
        rows.append(
            {
                "file": path.name,
                "sha256": _digest(path),
                "voice": plan.variant,
                "sentences": sentences,
                "noise_snr_db": plan.snr_db,
                "exact": None,
            }
        )
    index.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


def changed(folder: Path, index: Path) -> list[str]:
    """Names of recordings whose bytes are not the frozen ones."""
    rows = json.loads(index.read_text())
    return [row["file"] for row in rows if _digest(folder / row["file"]) != row["sha256"]]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _record(plan: Plan, rng: Random) -> tuple[features.Frames, list[dict[str, Any]]]:
    """Redraws until the whole recording fits :data:`LONGEST_S`; mono samples in [-1, 1]."""
    while True:
        lines = [_draw(rng, plan, plan.contains)]
        lines += [_draw(rng, plan, "") for _ in range(plan.sentences - 1)]
        voice = speech.Voice(plan.variant, rng.randint(160, 200), rng.randint(40, 60), 0)
        pieces = [np.zeros(int(rng.uniform(0.5, 1.0) * speech.SAMPLE_RATE), np.float32)]
        rows, at = [], len(pieces[0])
        for number, line in enumerate(lines):
            if number:
                pieces.append(np.zeros(int(rng.uniform(1.2, 2.0) * speech.SAMPLE_RATE), np.float32))
                at += len(pieces[-1])
            wave = speech.speak(line.spoken, voice)
            rows.append(_row(line, at, at + len(wave)))
            pieces.append(wave)
            at += len(wave)
        pieces.append(np.zeros(int(_TAIL_S * speech.SAMPLE_RATE), np.float32))
        samples = np.concatenate(pieces)
        if len(samples) <= LONGEST_S * speech.SAMPLE_RATE:
            return _mix(samples, plan, rng), rows


def _draw(rng: Random, plan: Plan, contains: str) -> Sentence:
    while True:
        sentence = draw_sentence(rng, held_out=True, wide=plan.wide)
        if contains in sentence.spoken and 7 <= len(sentence.spoken) <= plan.longest:
            return sentence


def _row(line: Sentence, begin: int, end: int) -> dict[str, Any]:
    return {
        "spoken": bare(line.spoken),
        "written": line.written,
        "begin_ms": begin * 1000 // speech.SAMPLE_RATE,
        "end_ms": end * 1000 // speech.SAMPLE_RATE,
    }


def _mix(samples: features.Frames, plan: Plan, rng: Random) -> features.Frames:
    samples = samples / np.abs(samples).max() * rng.uniform(0.4, 0.8)
    if plan.snr_db is not None:
        loud = samples[np.abs(samples) > 1e-3]
        noise = background(np.random.default_rng(rng.randrange(1 << 30)), len(samples))
        samples = samples + noise * np.sqrt(np.mean(loud**2)) * 10 ** (-plan.snr_db / 20)
    return np.clip(samples, -1, 1).astype(np.float32)
