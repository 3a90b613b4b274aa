"""Mandarin speech from espeak-ng: one call speaks one text in one voice, as 16 kHz mono float32.

The voice is ``cmn-latn-pinyin`` even though the text is hanzi: espeak-ng 1.51 reads hanzi correctly with it,
while its ``cmn`` voice falls back to spelling the pinyin with English letter names. English words inside
the text are read as English; capitals must be given one by one, or they are taken for pinyin.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from random import Random

import numpy as np
import soxr
from numpy.typing import NDArray

Wave = NDArray[np.float32]

SAMPLE_RATE = 16000
_ESPEAK_RATE = 22050

TRAINING_VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f5",
    "Andy", "Annie", "adam", "Alex", "Alicia", "anika", "steph", "linda", "Lee", "Mr",
    "Diogo", "Marco", "paul", "david", "belinda", "max", "john", "Hugo", "edward", "pablo", "zac",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m8", "f4", "Denis", "Michael")


@dataclass(frozen=True)
class Voice:
    """An espeak-ng variant with its settings: rate in words per minute, pitch 0..99, word gap in 10 ms."""

    variant: str
    rate: int
    pitch: int
    gap: int


def draw_voice(rng: Random, variants: tuple[str, ...]) -> Voice:
    variant, rate, pitch = rng.choice(variants), rng.randint(125, 235), rng.randint(25, 75)
    return Voice(variant, rate, pitch, gap=rng.choice((0, 0, 0, 1, 2)))


def speak(text: str, voice: Voice) -> Wave:
    """The spoken text, trimmed to where it sounds, in [-1, 1]. Needs the ``espeak-ng`` program."""
    name = "cmn-latn-pinyin" + (f"+{voice.variant}" if voice.variant else "")
    settings = ["-s", str(voice.rate), "-p", str(voice.pitch), "-g", str(voice.gap), "-a", "100"]
    command = ["espeak-ng", "-v", name, *settings, "--stdout", _readable(text)]
    stream = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    # Written to a pipe, the RIFF lengths are placeholders: everything after the data header is sound.
    start = stream.index(b"data") + 8
    samples = np.frombuffer(stream[start : start + (len(stream) - start) // 2 * 2], dtype="<i2")
    wave = soxr.resample(samples.astype(np.float32) / 32768, _ESPEAK_RATE, SAMPLE_RATE)
    return trim(np.clip(wave, -1, 1).astype(np.float32))


def _readable(text: str) -> str:
    return re.sub(r"[A-Z]{2,}", lambda capitals: " ".join(capitals[0]), text)


def trim(wave: Wave, threshold: float = 2e-3, margin: int = 80) -> Wave:
    """The wave from its first to its last sample above the threshold, with 5 ms to spare."""
    loud = np.flatnonzero(np.abs(wave) > threshold)
    if len(loud) == 0:
        raise ValueError("nothing audible was spoken")
    return wave[max(0, loud[0] - margin) : loud[-1] + margin]


def espeak_version() -> str:
    line = subprocess.run(["espeak-ng", "--version"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return line.split("Data at")[0].strip()
