"""Bytes become samples: live audio through ``decoder``, uploaded files through ``decode_file``."""

from collections.abc import Callable

from xingji.core.errors import XingjiError
from xingji.core.types import AudioFormat

from . import sniff
from .container import FORMAT_NAMES, decode_file
from .limits import Limits
from .pcm import Decoder, alaw, f32le, looks_like_float, mulaw, s16le
from .sniff import is_container
from .sniffed import Sniffed
from .stream import Stream
from .wav import Wav, wav_header

FORMATS: dict[str, Callable[[int], Decoder]] = {"s16le": s16le, "f32le": f32le, "mulaw": mulaw, "alaw": alaw}
"""Plain samples: codec name → decoder for a stream of that many Hz."""

CONTAINERS = tuple(sniff.FORMATS)
"""What says itself how it is encoded; ``AudioFormat.rate`` means nothing there."""


def decoder(format: AudioFormat, limits: Limits, ready: Callable[[], None]) -> Decoder:
    """For one live stream. ``ready`` is called, by a thread of the decoder's own, when samples can be had with
    ``feed(b"")`` though nothing was fed; it may block. Raises XingjiError("bad_config")."""
    if format.codec in FORMATS:
        return FORMATS[format.codec](format.rate)
    if format.codec == "pcm":
        return Sniffed(limits, ready, format.rate)
    if format.codec == "wav":
        return Wav(limits)
    if format.codec == "auto":
        return Sniffed(limits, ready)
    if format.codec in CONTAINERS:
        return Stream(format.codec, limits, ready)
    raise XingjiError("bad_config", field="format")


__all__ = [
    "CONTAINERS",
    "FORMATS",
    "FORMAT_NAMES",
    "Decoder",
    "Limits",
    "decode_file",
    "decoder",
    "is_container",
    "looks_like_float",
    "wav_header",
]
