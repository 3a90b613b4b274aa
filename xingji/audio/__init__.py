"""Bytes become samples: live codecs by name in ``FORMATS``, uploaded files through ``decode_file``."""

from collections.abc import Callable

from .container import FORMAT_NAMES, Limits, decode_file, is_container, wav_header
from .pcm import Decoder, alaw, f32le, looks_like_float, mulaw, s16le
from .wav import Sniffed

FORMATS: dict[str, Callable[[int], Decoder]] = {
    "s16le": s16le,
    "f32le": f32le,
    "mulaw": mulaw,
    "alaw": alaw,
    "wav": Sniffed,  # or s16le, where no header comes
}
"""Codec name → decoder for a stream of that many Hz."""

__all__ = [
    "FORMATS",
    "FORMAT_NAMES",
    "Decoder",
    "Limits",
    "decode_file",
    "is_container",
    "looks_like_float",
    "wav_header",
]
