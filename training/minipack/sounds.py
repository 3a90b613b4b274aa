"""Everything that is not speech: coloured noise, hum, tones, beeps, chords, drums and simple music."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from training.minipack.speech import SAMPLE_RATE, Wave

_BANK_SEED = 99
_BANK_LENGTH = 1 << 19


def background(rng: Generator, length: int) -> Wave:
    """A stretch of steady noise of unit power: white, pink, brown, or gathered around one band."""
    bank = _noise_bank()
    wave = bank[rng.integers(len(bank))]
    start = rng.integers(0, len(wave) - length) if length < len(wave) else 0
    return np.resize(wave[start : start + length], length).copy()


def draw_non_speech(rng: Generator, length: int) -> Wave:
    """One item without speech, in [-1, 1], from digital silence to full scale."""
    maker = _MAKERS[rng.integers(len(_MAKERS))]
    wave = maker(rng, length)
    peak = float(np.abs(wave).max())
    if peak == 0:
        return wave
    loudness = 10 ** (rng.uniform(-65, 0) / 20) / peak
    wave = wave * loudness
    if rng.random() < 0.5:
        wave = wave + background(rng, length) * 10 ** (rng.uniform(-80, -35) / 20)
    return np.clip(wave, -1, 1).astype(np.float32)


def silence(rng: Generator, length: int) -> Wave:
    return np.zeros(length, np.float32)


def steady_noise(rng: Generator, length: int) -> Wave:
    # Clipping at full scale is part of the domain: draw some far too loud.
    return np.clip(background(rng, length), -rng.uniform(1, 4), rng.uniform(1, 4)).astype(np.float32)


def gated_noise(rng: Generator, length: int) -> Wave:
    clock = np.arange(length) / SAMPLE_RATE
    gate = np.sin(2 * np.pi * rng.uniform(0.2, 3) * clock + rng.uniform(0, 6)) > rng.uniform(-0.8, 0.8)
    return (background(rng, length) * gate).astype(np.float32)


def clicks(rng: Generator, length: int) -> Wave:
    wave = np.zeros(length, np.float32)
    for at in rng.integers(0, length, size=max(1, int(length / SAMPLE_RATE * rng.uniform(1, 8)))):
        tail = min(int(rng.integers(20, 600)), length - at)
        wave[at : at + tail] += rng.standard_normal(tail) * np.exp(-5 * np.arange(tail) / tail)
    return wave


def tone(rng: Generator, length: int) -> Wave:
    """A sine at any pitch, sometimes a slow sweep."""
    start = np.exp(rng.uniform(np.log(60), np.log(7000)))
    stop = start if rng.random() < 0.7 else np.exp(rng.uniform(np.log(60), np.log(7000)))
    phase = 2 * np.pi * np.cumsum(np.linspace(start, stop, length)) / SAMPLE_RATE
    return np.asarray(np.sin(phase), np.float32)


def hum(rng: Generator, length: int) -> Wave:
    clock = np.arange(length) / SAMPLE_RATE
    base = rng.choice((50.0, 60.0, 100.0, 120.0))
    parts = [rng.uniform(0, 1) * np.sin(2 * np.pi * base * k * clock) for k in range(1, 8)]
    return np.asarray(np.sum(parts, axis=0), np.float32)


def beeps(rng: Generator, length: int) -> Wave:
    """Equal beeps with pauses: dial tones, alarms, key tones of two frequencies."""
    clock = np.arange(length) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * rng.uniform(300, 3000) * clock)
    if rng.random() < 0.5:
        wave = wave + np.sin(2 * np.pi * rng.uniform(300, 3000) * clock)
    period, share = rng.uniform(0.15, 1.5), rng.uniform(0.2, 0.8)
    return (wave * ((clock % period) < period * share)).astype(np.float32)


def chord(rng: Generator, length: int) -> Wave:
    root = rng.uniform(110, 660)
    steps = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 4, 7, 11))[rng.integers(4)]
    wave = sum(_note(rng, root * 2 ** (step / 12), length) for step in steps)
    return np.asarray(wave, np.float32)


def tune(rng: Generator, length: int) -> Wave:
    """Plucked or sustained notes of a five-tone scale, at times over a bass or a chord."""
    scale = np.array((0, 2, 4, 7, 9, 12, 14, 16))
    root, beat = rng.uniform(130, 520), int(rng.uniform(0.12, 0.7) * SAMPLE_RATE)
    wave = np.zeros(length, np.float32)
    for at in range(0, length, beat):
        span = min(beat * int(rng.integers(1, 3)), length - at)
        if rng.random() < 0.85:
            wave[at : at + span] += _note(rng, root * 2 ** (rng.choice(scale) / 12), span)
    if rng.random() < 0.4:
        wave += 0.4 * _note(rng, root / 2, length)
    return wave


def drums(rng: Generator, length: int) -> Wave:
    """A bar of struck noises and thumps that repeats."""
    beat = int(rng.uniform(0.1, 0.4) * SAMPLE_RATE)
    bar = [int(rng.integers(4)) for _ in range(8)]
    wave = np.zeros(length, np.float32)
    for number, at in enumerate(range(0, length, beat)):
        span = min(int(rng.uniform(0.05, 0.3) * SAMPLE_RATE), length - at)
        clock = np.arange(span) / SAMPLE_RATE
        match bar[number % 8]:
            case 1:  # a thump that falls in pitch
                wave[at : at + span] += np.sin(2 * np.pi * 60 * (clock + 0.02 * (1 - np.exp(-40 * clock)))) * np.exp(
                    -12 * clock
                )
            case 2:  # struck noise
                wave[at : at + span] += rng.standard_normal(span) * np.exp(-rng.uniform(15, 60) * clock)
    return wave


def music(rng: Generator, length: int) -> Wave:
    """A tune over chords, often with drums; sometimes its pitch or loudness trembles."""
    wave = tune(rng, length)
    step = int(rng.uniform(0.8, 2.5) * SAMPLE_RATE)
    for at in range(0, length, step):
        span = min(step, length - at)
        wave[at : at + span] += rng.uniform(0.1, 0.5) * chord(rng, span)
    if rng.random() < 0.6:
        wave = wave + rng.uniform(0.3, 1.5) * drums(rng, length)
    if rng.random() < 0.4:
        clock = np.arange(length) / SAMPLE_RATE
        wave = wave * (1 + rng.uniform(0.1, 0.6) * np.sin(2 * np.pi * rng.uniform(3, 8) * clock))
    return np.asarray(wave, np.float32)


def _note(rng: Generator, frequency: float, length: int) -> Wave:
    clock = np.arange(length) / SAMPLE_RATE
    partials = int(rng.integers(1, 9))
    wave = np.zeros(length)
    for k in range(1, partials + 1):
        if frequency * k < 7600:
            wave += np.sin(2 * np.pi * frequency * k * clock + rng.uniform(0, 6)) / k ** rng.uniform(0.7, 2)
    decay = np.exp(-clock * rng.choice((0.0, 1.0, 4.0, 9.0)))
    attack = np.minimum(1, clock / rng.uniform(0.003, 0.06))
    release = np.minimum(1, clock[::-1] / 0.01)
    return np.asarray(wave * decay * attack * release, np.float32)


_MAKERS: tuple[Callable[[Generator, int], Wave], ...] = (
    silence, steady_noise, steady_noise, steady_noise, gated_noise, clicks,
    tone, tone, hum, beeps, chord, drums, tune, tune, tune, music, music,
)  # fmt: skip


@lru_cache(maxsize=1)
def _noise_bank() -> tuple[Wave, ...]:
    """Twelve half-minute noises of unit power, shaped in the frequency domain; the same in every process."""
    rng = np.random.default_rng(_BANK_SEED)
    bank = []
    for index in range(12):
        spectrum = np.fft.rfft(rng.standard_normal(_BANK_LENGTH))
        place = np.maximum(np.arange(len(spectrum)), 1) / len(spectrum)
        match index % 4:
            case 1:
                spectrum /= np.sqrt(place)
            case 2:
                spectrum /= place**0.9
            case 3:
                centre, width = rng.uniform(0.02, 0.5), rng.uniform(0.02, 0.2)
                spectrum *= np.exp(-(((place - centre) / width) ** 2)) + 0.1
        wave = np.fft.irfft(spectrum, _BANK_LENGTH)
        bank.append((wave / np.sqrt(np.mean(wave**2))).astype(np.float32))
    return tuple(bank)
