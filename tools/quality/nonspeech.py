"""What a microphone hears when nobody speaks. Whatever text comes of it is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from training.minipack import sounds
from xingji.core.types import SAMPLE_RATE

from .heldout import levelled
from .manifest import Clip, save

Wave = NDArray[np.floating]

CLIP_S = 30
LEVELS_DB = (-6.0, -20.0, -35.0, -50.0)  # of the loudest sample, in turn


def white(rng: Generator, length: int) -> Wave:
    return rng.standard_normal(length)


def pink(rng: Generator, length: int) -> Wave:
    spectrum = np.fft.rfft(rng.standard_normal(length))
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), length))


def breaths(rng: Generator, length: int) -> Wave:
    """Bursts of hoarse noise that swell for 0.3 to 1.2 s every second or three."""
    wave, noise = np.zeros(length), pink(rng, length)
    at = int(rng.uniform(0.2, 2) * SAMPLE_RATE)
    while at < length:
        span = min(int(rng.uniform(0.3, 1.2) * SAMPLE_RATE), length - at)
        wave[at : at + span] = noise[at : at + span] * np.sin(np.pi * np.arange(span) / span) ** 2
        at += span + int(rng.uniform(1, 3) * SAMPLE_RATE)
    return wave


def chords(rng: Generator, length: int) -> Wave:
    """A chord every second or two."""
    wave, at = np.zeros(length), 0
    while at < length:
        span = min(int(rng.uniform(1, 2) * SAMPLE_RATE), length - at)
        wave[at : at + span] = sounds.chord(rng, span)
        at += span
    return wave


KINDS: dict[str, Callable[[Generator, int], Wave]] = {
    "silence": sounds.silence,
    "white": white,
    "pink": pink,
    "tone": sounds.tone,
    "beeps": sounds.beeps,
    "chords": chords,
    "music": sounds.music,
    "breaths": breaths,
    "clicks": sounds.clicks,
}


def nonspeech(folder: Path, minutes: float, seed: int) -> list[Clip]:
    """Half-minute recordings, every kind in turn and every level in turn, ``minutes`` of them or a little more."""
    clips = []
    for number in range(-(-round(minutes * 60) // CLIP_S)):
        turn, place = divmod(number, len(KINDS))
        kind = list(KINDS)[place]
        wave = KINDS[kind](default_rng([seed, number]), CLIP_S * SAMPLE_RATE)
        path = folder / f"{kind}_{turn:02}.wav"
        save(path, levelled(wave, LEVELS_DB[turn % len(LEVELS_DB)]))
        clips.append(Clip(path.stem, path, ""))
    return clips
