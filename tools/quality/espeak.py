"""Speech whose words have known times: espeak-ng through its library, which says where each word begins.

The voices are those of ``training.minipack.speech`` (which calls the program, and learns no times); see there why
hanzi are read by the voice of pinyin. The library keeps one state for the whole process: one thread at a time.
"""

import ctypes
import re
from collections.abc import Sequence
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_short, c_uint, c_void_p
from functools import cache

import numpy as np
import soxr

from training.minipack.speech import Voice, Wave
from xingji.core.types import SAMPLE_RATE

from .manifest import Timed

LIBRARY = "libespeak-ng.so.1"
LOUD, MARGIN = 2e-3, 80  # as the recipe trims its speech
SOUNDING = 10 ** (-28 / 20)  # of the loudest; some voices trail an echo 30 to 40 dB below their speech
_SYNCHRONOUS, _UTF8, _CHARACTERS = 2, 1, 1
_RATE, _PITCH, _VOLUME, _GAP = 1, 3, 2, 7
_END, _WORD = 0, 1


class _Event(Structure):
    _fields_ = (
        ("type", c_int),
        ("identifier", c_uint),
        ("position", c_int),  # in the text, characters from 1
        ("length", c_int),
        ("milliseconds", c_int),
        ("sample", c_int),
        ("user", c_void_p),
        ("name", c_char_p),
    )


_Callback = CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


def available() -> bool:
    try:
        _library()
    except OSError:
        return False
    return True


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    """And its sample rate. Raises OSError where it is not installed."""
    library = ctypes.CDLL(LIBRARY)
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
    if rate <= 0:
        raise OSError("espeak-ng does not start")
    return library, rate


def speak(text: str, voice: Voice) -> tuple[Wave, list[Timed]]:
    """The text as it sounds, from its first to its last loud sample, in [-1, 1], and its words: each Han character
    and each English word. A word ends where the next begins, or where it falls silent before that."""
    library, rate = _library()
    readable, places = _readable(text)
    blocks: list[bytes] = []
    begins: dict[int, int] = {}  # place in the text → sample

    def take(wave: object, count: int, events: Sequence[_Event]) -> int:
        if count > 0:
            blocks.append(ctypes.string_at(wave, 2 * count))  # type: ignore[arg-type]
        number = 0
        while events[number].type != _END:
            event = events[number]
            if event.type == _WORD:
                begins.setdefault(places[event.position - 1], event.sample)
            number += 1
        return 0

    callback = _Callback(take)
    library.espeak_SetSynthCallback(callback)
    name = "cmn-latn-pinyin" + (f"+{voice.variant}" if voice.variant else "")
    if library.espeak_SetVoiceByName(name.encode()):
        raise OSError(f"espeak-ng has no voice {name}")
    for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_GAP, voice.gap), (_VOLUME, 100)):
        library.espeak_SetParameter(parameter, value, 0)
    spoken = readable.encode()
    library.espeak_Synth(spoken, len(spoken) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    sound = np.frombuffer(b"".join(blocks), "<i2").astype(np.float32) / 32768
    return _trimmed(soxr.resample(sound, rate, SAMPLE_RATE), _words(text, begins), rate)


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
    loud = np.flatnonzero(np.abs(wave) > LOUD)
    if not len(loud):
        raise ValueError("nothing audible was spoken")
    first, last = max(0, int(loud[0]) - MARGIN), min(len(wave), int(loud[-1]) + MARGIN)
    begins = [round(sample * SAMPLE_RATE / rate) for _, sample in words]
    clear = np.flatnonzero(np.abs(wave) > SOUNDING * np.abs(wave).max())
    timed = []
    for (text, _), begin, until in zip(words, begins, [*begins[1:], last], strict=True):
        sounding = clear[np.searchsorted(clear, begin) : np.searchsorted(clear, until)]
        end = int(sounding[-1]) + 1 if len(sounding) else until
        timed.append(Timed(text, (max(begin, first) - first) / SAMPLE_RATE, (end - first) / SAMPLE_RATE))
    return wave[first:last], timed
