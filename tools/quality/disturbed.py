"""The same recordings in worse places: white noise, other people, music, a room. The labels stay.

The signal-to-noise ratio is that of the powers, the signal's taken where it is within 40 dB of its peak, so that
pauses do not count. What comes out is scaled down where it would clip.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from training.minipack import sounds
from xingji.core.types import SAMPLE_RATE, Samples

from .manifest import Clip, samples, save

Wave = NDArray[np.float64]

TALKERS = 4
ROOM_S = 0.4  # until the reverberation is 60 dB down
DIRECT_DB = 3.0  # the direct sound over the reverberation
NOISES = ("white", "babble", "music")


def disturbed(folder: Path, clips: Sequence[Clip], kind: str, snr_db: float, seed: int) -> list[Clip]:
    """``kind`` is one of ``NOISES``, or ``room``, which has no SNR. Babble is made of the other recordings."""
    return [_one(folder, clips, number, kind, snr_db, default_rng([seed, number])) for number in range(len(clips))]


def _one(folder: Path, clips: Sequence[Clip], number: int, kind: str, snr_db: float, rng: Generator) -> Clip:
    clip = clips[number]
    speech = _floats(samples(clip.audio))
    if kind == "room":
        wave = in_room(speech, rng)
    else:
        noise = {"white": white, "music": music, "babble": _babble(clips, number)}[kind](rng, len(speech))
        wave = mixed(speech, noise, snr_db)
    path = folder / f"{clip.id}.wav"
    save(path, _whole(wave))
    return replace(clip, audio=path)


def mixed(speech: Wave, noise: Wave, snr_db: float) -> Wave:
    power, other = loudness(speech), float(np.mean(noise**2))
    return speech + noise * np.sqrt(power / other) * 10 ** (-snr_db / 20) if power and other else speech


def loudness(speech: Wave) -> float:
    """Mean power where the signal is within 40 dB of its peak."""
    level = np.abs(speech)
    loud = speech[level > level.max(initial=0) / 100]
    return float(np.mean(loud**2)) if len(loud) else 0.0


def white(rng: Generator, length: int) -> Wave:
    return rng.standard_normal(length)


def music(rng: Generator, length: int) -> Wave:
    return np.asarray(sounds.music(rng, length), np.float64)


def _babble(clips: Sequence[Clip], number: int) -> Callable[[Generator, int], Wave]:
    """Of four other recordings at once, each begun somewhere and equally loud."""
    others = [clip for place, clip in enumerate(clips) if place != number]

    def babble(rng: Generator, length: int) -> Wave:
        total = np.zeros(length)
        for pick in rng.permutation(len(others))[:TALKERS]:
            voice = _floats(samples(others[int(pick)].audio))
            power = loudness(voice)
            if power:
                total += np.resize(np.roll(voice, int(rng.integers(len(voice)))), length) / np.sqrt(power)
        return total

    return babble


def in_room(speech: Wave, rng: Generator) -> Wave:
    """A synthetic response: the direct sound, and noise that decays by 60 dB in ``ROOM_S``."""
    length = int(ROOM_S * SAMPLE_RATE)
    tail = rng.standard_normal(length) * np.exp(-np.log(1000) * np.arange(length) / length)
    tail[: SAMPLE_RATE // 200] = 0  # the first reflection comes after 5 ms
    tail *= 10 ** (-DIRECT_DB / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    size = 1 << (len(speech) + length).bit_length()
    return np.asarray(np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(tail, size), size)[: len(speech)])


def _floats(audio: Samples) -> Wave:
    return np.asarray(audio, np.float64) / 32768


def _whole(wave: Wave) -> Samples:
    wave = wave / max(1.0, float(np.abs(wave).max(initial=0)))
    return np.asarray(np.round(wave * 32767), np.int16)
