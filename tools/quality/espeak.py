"""Speech whose words have known times: espeak-ng through its library, which says where each word begins.

The voices are those of ``training.minipack.speech`` (which calls the program, and learns no times); see there why
hanzi are read by the voice of pinyin. The samples are the same, but for the end of an echo.
"""

import ctypes
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import soxr

from training.minipack.speech import Voice, Wave
from xingji.core.types import SAMPLE_RATE

from .espeak_child import LIBRARY
from .manifest import Timed

CHILD = Path(__file__).with_name("espeak_child.py")
LOUD, MARGIN = 2e-3, 80  # as the recipe trims its speech
SOUNDING = 10 ** (-28 / 20)  # of the loudest; some voices trail an echo 30 to 40 dB below their speech


@cache
def available() -> bool:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def speak(text: str, voice: Voice) -> tuple[Wave, list[Timed]]:
    """The text as it sounds, from its first to its last loud sample, in [-1, 1], and its words: each Han character
    and each English word. A word ends where the next begins, or where it falls silent before that.

    Raises RuntimeError where espeak-ng does not speak.
    """
    readable, places = _readable(text)
    name = "cmn-latn-pinyin" + (f"+{voice.variant}" if voice.variant else "")
    asked = {"text": readable, "voice": name, "rate": voice.rate, "pitch": voice.pitch, "gap": voice.gap}
    command = [sys.executable, "-I", "-S", str(CHILD), json.dumps(asked)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"espeak-ng did not speak (exit status {done.returncode})")
    head, _, pcm = done.stdout.partition(b"\n")
    told = json.loads(head)
    sound = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
    begins: dict[int, int] = {}  # place in the text → sample
    for place, sample in told["words"]:
        begins.setdefault(places[place], sample)
    return _trimmed(soxr.resample(sound, told["rate"], SAMPLE_RATE), _words(text, begins), told["rate"])


def _readable(text: str) -> tuple[str, list[int]]:
    """Capitals one by one, or they are taken for pinyin; and for each character the place where its word begins."""
    readable, places = "", list[int]()
    for found in re.finditer(r"[A-Za-z]+|.", text):
        piece = " ".join(found[0]) if re.fullmatch(r"[A-Z]{2,}", found[0]) else found[0]
        readable += piece
        places += [found.start()] * len(piece)
    return readable, [*places, len(text)]


def _words(text: str, begins: dict[int, int]) -> list[tuple[str, int]]:
    """In samples at the rate of the library."""
    said = {found.start(): found[0] for found in re.finditer(r"[A-Za-z]+|\w", text)}
    return [(said[place], sample) for place, sample in sorted(begins.items()) if place in said]


def _trimmed(wave: Wave, words: Sequence[tuple[str, int]], rate: int) -> tuple[Wave, list[Timed]]:
    wave = np.clip(wave, -1, 1).astype(np.float32)
    level = np.abs(wave)
    loud, clear = np.flatnonzero(level > LOUD), np.flatnonzero(level > SOUNDING * level.max(initial=0))
    if not len(loud):
        raise ValueError("nothing audible was spoken")
    first, last = max(0, int(loud[0]) - MARGIN), int(loud[-1]) + MARGIN
    begins = [round(sample * SAMPLE_RATE / rate) for _, sample in words]
    timed = []
    for (text, _), begin, until in zip(words, begins, [*begins[1:], last], strict=True):
        sounding = clear[np.searchsorted(clear, begin) : np.searchsorted(clear, until)]
        end = int(sounding[-1]) + 1 if len(sounding) else until
        timed.append(Timed(text, (max(begin, first) - first) / SAMPLE_RATE, (end - first) / SAMPLE_RATE))
    return wave[first:last], timed
