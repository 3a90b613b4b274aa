"""One utterance by the library of espeak-ng, in a process of its own: what it spoke before (the echo of a voice, its
trembling) would sound in the next.

``python -I -S espeak_child.py '{"text", "voice", "rate", "pitch", "gap"}'`` writes a line of JSON, the sample rate and
``[place in the text, sample]`` where each word begins, and then the samples (int16, of this machine's byte order).
Exit status 3: the library is not there. Standard library only, since it starts for every utterance.
"""

import ctypes
import json
import sys
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_short, c_uint, c_void_p
from typing import Any

LIBRARY = "libespeak-ng.so.1"
ABSENT = 3
_SYNCHRONOUS, _UTF8, _CHARACTERS = 2, 1, 1  # enums of espeak_ng/speak_lib.h
_RATE, _VOLUME, _PITCH, _GAP = 1, 2, 3, 7
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


def main() -> int:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return ABSENT
    asked = json.loads(sys.argv[1])
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0)
    if rate <= 0 or library.espeak_SetVoiceByName(asked["voice"].encode()):
        return ABSENT
    blocks: list[bytes] = []
    words: list[tuple[int, int]] = []

    def take(wave: Any, count: int, events: Any) -> int:
        if count > 0:
            blocks.append(ctypes.string_at(wave, 2 * count))
        number = 0
        while events[number].type != _END:
            if events[number].type == _WORD:
                words.append((events[number].position - 1, events[number].sample))
            number += 1
        return 0

    callback = CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))(take)
    library.espeak_SetSynthCallback(callback)
    settings = {_RATE: asked["rate"], _PITCH: asked["pitch"], _GAP: asked["gap"], _VOLUME: 100}
    for parameter, value in settings.items():
        library.espeak_SetParameter(parameter, value, 0)
    text = asked["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, _CHARACTERS, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    sys.stdout.buffer.write(json.dumps({"rate": rate, "words": words}).encode() + b"\n" + b"".join(blocks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
