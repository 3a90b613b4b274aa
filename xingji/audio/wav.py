"""A live stream that may begin with a WAV header: then the header says what follows, else it is s16le.

Clients send whole files where raw audio is expected, so nobody is refused here: a header that is cut over
frames is waited for, one that makes no sense is heard as audio, sizes of 0 and 0xFFFFFFFF mean "until the end".
"""

import struct

import numpy as np
from numpy.typing import NDArray

from xingji.core.types import Samples

from .g711 import ALAW, MULAW
from .pcm import Decoder, s16le
from .resample import Resampler, from_float

LONGEST_HEADER = 1 << 16  # bytes up to the audio
UNTIL_THE_END = (0, 0xFFFFFFFF)
PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
RATES = (4_000, 192_000)  # Hz
CHANNELS = 8


class Sniffed:
    """Decides on the first bytes. ``rate`` counts where there is no header."""

    def __init__(self, rate: int) -> None:
        self._plain = s16le(rate)
        self._decoder: Decoder | None = None
        self._head = b""

    def feed(self, data: bytes) -> Samples:
        if self._decoder is not None:
            return self._decoder.feed(data)
        self._head += data
        if not b"RIFF".startswith(self._head[:4]):
            return self._decide(self._plain, self._head)
        found = _audio_chunk(self._head)
        if found is not None:
            at, wav = found
            return self._decide(wav, self._head[at:])
        return self._decide(self._plain, self._head) if len(self._head) > LONGEST_HEADER else np.empty(0, np.int16)

    def flush(self) -> Samples:
        if self._decoder is not None:
            return self._decoder.flush()
        if self._head[:4] == b"RIFF":
            return np.empty(0, np.int16)  # a header, and nothing came after it
        return np.concatenate((self._decide(self._plain, self._head), self._plain.flush()))

    def _decide(self, decoder: Decoder, data: bytes) -> Samples:
        self._decoder, self._head = decoder, b""
        return decoder.feed(data)


class _Wav:
    """What follows the header: ``size`` bytes of interleaved channels, which are averaged."""

    def __init__(self, tag: int, channels: int, rate: int, bits: int, size: int | None) -> None:
        self._tag, self._channels, self._bits, self._left = tag, channels, bits, size
        self._carry = b""
        self._resampler = Resampler(rate)

    def feed(self, data: bytes) -> Samples:
        if self._left is not None:
            data = data[: self._left]  # what comes after the audio is no audio
            self._left -= len(data)
        data = self._carry + data
        width = self._channels * self._bits // 8
        whole = len(data) - len(data) % width
        self._carry = data[whole:]
        return self._resampler.feed(self._read(data[:whole]).reshape(-1, self._channels).mean(axis=1, dtype=np.float32))

    def flush(self) -> Samples:
        return self._resampler.flush()

    def _read(self, data: bytes) -> NDArray[np.float32]:
        """In int16 steps."""
        match self._tag, self._bits:
            case (1, 8):
                return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) * 256
            case (1, 16):
                return np.frombuffer(data, "<i2").astype(np.float32)
            case (1, 24):
                bytes_ = np.frombuffer(data, np.uint8).reshape(-1, 3)
                return (bytes_[:, 1:].copy().view("<i2")[:, 0] + bytes_[:, 0] / 256).astype(np.float32)
            case (1, _):
                return (np.frombuffer(data, "<i4") / 65536).astype(np.float32)
            case (6, _):
                return ALAW[np.frombuffer(data, np.uint8)].astype(np.float32)
            case (7, _):
                return MULAW[np.frombuffer(data, np.uint8)].astype(np.float32)
            case _:
                return from_float(np.frombuffer(data, "<f4" if self._bits == 32 else "<f8"))


WIDTHS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), A_LAW: (8,), MU_LAW: (8,)}  # bits


def _audio_chunk(head: bytes) -> tuple[int, Decoder] | None:
    """Where the audio begins and what it is; None while the header goes on, or where it makes no sense."""
    at, form = 12, None
    while at + 8 <= len(head):
        name, size = head[at : at + 4], struct.unpack_from("<I", head, at + 4)[0]
        at += 8
        if name == b"data":
            if form is None:
                return None
            tag, channels, rate, bits = form
            return at, _Wav(tag, channels, rate, bits, None if size in UNTIL_THE_END else size)
        if name == b"fmt " and at + 16 <= len(head):
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at)
            if tag == EXTENSIBLE and at + 26 <= len(head):
                tag = struct.unpack_from("<H", head, at + 24)[0]
            if bits in WIDTHS.get(tag, ()) and RATES[0] <= rate <= RATES[1] and 1 <= channels <= CHANNELS:
                form = tag, channels, rate, bits
        at += size + size % 2
    return None
