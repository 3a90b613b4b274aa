"""Speech of the mini pack's domain that no training saw: its recipe's held-out sentences in its held-out voices.

The recipe draws a sentence for training only if a digest of its spoken form says so (``grammar.Sentence.held_out``);
here are only the others, in the four voices that are never trained, with a seed that the recipe does not use. Names
that are spelt otherwise (张玮 for 张伟) belong to no sentence of the recipe: they are put in after drawing.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np

from training.minipack.grammar import CONFUSABLE_NAMES, WORDS, Sentence, draw_sentence
from training.minipack.speech import HELD_OUT_VARIANTS, Voice
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines.pinyin import Pypinyin

from . import espeak
from .manifest import Clip, Timed, save

LEAD_S, PAUSE_S, TAIL_S = (0.5, 1.0), (1.2, 2.0), 1.5
PEAK_DB = (-20.0, -2.0)
WIDE = 1 / 3  # of the sentences, with English words and near names
LONGEST = 30  # characters said in a sentence

Draw = Callable[[Random], Sentence]


def held_out(folder: Path, count: int, seed: int) -> list[Clip]:
    """``count`` recordings of one or two sentences, written to ``folder``."""
    return _recorded(folder, count, seed, lambda rng: _sentence(rng, wide=rng.random() < WIDE), (1, 1, 2))


def namesakes() -> dict[str, str]:
    """Name of the recipe → one that sounds exactly alike and is written otherwise."""
    sounds = Pypinyin()
    alike: dict[str, str] = {}
    for other in CONFUSABLE_NAMES:
        for name in WORDS["name"]:
            pairs = zip(sounds.syllables(name), sounds.syllables(other), strict=True)
            if all(not set(a).isdisjoint(b) for a, b in pairs):
                alike[name] = other
    return alike


def renamed(folder: Path, count: int, seed: int, share: float = 1.0) -> list[Clip]:
    """Recordings of a sentence each that names somebody: with the probability ``share`` one who is written otherwise
    than the recipe knows, else one who is written as it knows. The names are the recording's hotwords: those written
    otherwise, and where both are in use those of the recipe as well."""
    alike = namesakes()
    listed = tuple(alike.values()) if share == 1 else (*alike.values(), *alike)

    def draw(rng: Random) -> Sentence:
        while True:
            sentence = _sentence(rng, wide=False)
            named = [name for name in alike if name in sentence.spoken]
            if named:
                return _replaced(sentence, {name: alike[name] for name in named if rng.random() < share})

    return _recorded(folder, count, seed, draw, (1,), listed)


def _sentence(rng: Random, wide: bool) -> Sentence:
    while True:
        sentence = draw_sentence(rng, held_out=True, wide=wide)
        if len(sentence.spoken) <= LONGEST:
            return sentence


def _replaced(sentence: Sentence, names: dict[str, str]) -> Sentence:
    spoken, written = sentence.spoken, sentence.written
    for name, other in names.items():
        spoken, written = spoken.replace(name, other), written.replace(name, other)
    return Sentence(spoken, written)


def _recorded(
    folder: Path, count: int, seed: int, draw: Draw, lengths: Sequence[int], hotwords: tuple[str, ...] = ()
) -> list[Clip]:
    return [_clip(folder, f"{folder.name}_{number:03}", Random(seed * 1_000_003 + number), number, draw, lengths,
                  hotwords) for number in range(count)]  # fmt: skip


def _clip(
    folder: Path, name: str, rng: Random, number: int, draw: Draw, lengths: Sequence[int], hotwords: tuple[str, ...]
) -> Clip:
    lines = [draw(rng) for _ in range(rng.choice(lengths))]
    variant = HELD_OUT_VARIANTS[number % len(HELD_OUT_VARIANTS)]
    voice = Voice(variant, rng.randint(140, 220), rng.randint(30, 70), rng.choice((0, 0, 1)))
    parts = [np.zeros(_length(rng, LEAD_S), np.float32)]
    at, words, sentences = len(parts[0]), list[Timed](), list[Timed]()
    for line in lines:
        if sentences:
            parts.append(np.zeros(_length(rng, PAUSE_S), np.float32))
            at += len(parts[-1])
        wave, said = espeak.speak(line.spoken, voice)
        begin = at / SAMPLE_RATE
        words += [Timed(word.text, round(begin + word.start, 4), round(begin + word.end, 4)) for word in said]
        sentences.append(Timed(line.written, round(begin, 4), words[-1].end))
        parts.append(wave)
        at += len(wave)
    parts.append(np.zeros(int(TAIL_S * SAMPLE_RATE), np.float32))
    path = folder / f"{name}.wav"
    save(path, levelled(np.concatenate(parts), rng.uniform(*PEAK_DB)))
    text = "".join(line.written for line in lines)
    return Clip(name, path, text, tuple(sentences), tuple(words), hotwords, "zh")


def levelled(wave: np.ndarray, peak_db: float) -> Samples:
    """As int16, its loudest sample so many dB below full scale; silence stays."""
    peak = float(np.abs(wave).max(initial=0))
    scaled = wave / peak * 10 ** (peak_db / 20) if peak else wave
    return np.round(np.clip(scaled, -1, 1) * 32767).astype(np.int16)


def _length(rng: Random, seconds: tuple[float, float]) -> int:
    return int(rng.uniform(*seconds) * SAMPLE_RATE)
