"""Live audio: what a client sends, cut anywhere, becomes 16 kHz int16 samples."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xingji.core.errors import XingjiError
from xingji.core.types import Samples

from .g711 import ALAW, MULAW
from .resample import Block, Resampler, from_float

MIN_RATE, MAX_RATE = 8_000, 48_000  # Hz


class Decoder(Protocol):
    """One live stream. The concatenated output depends on the concatenated input only."""

    @property
    def error(self) -> XingjiError | None:
        """Why no more can be decoded; looked at after ``feed`` and ``flush``. What they gave before counts."""

    def begin(self) -> None:
        """Get ready; until then, what is fed waits."""

    def feed(self, data: bytes) -> Samples:
        """Take a message; give the samples that are ready, maybe none and maybe of earlier messages.
        The array may be read-only."""
        ...

    def end(self) -> None:
        """No more will be fed."""

    def accepts(self, timeout_s: float) -> bool:
        """Whether it is ready for more; waits for that for so long."""
        ...

    def drained(self, timeout_s: float) -> bool:
        """After ``end``: whether all that ``flush`` gives is there at once; waits for that for so long."""
        ...

    def flush(self) -> Samples:
        """The rest, once, when the stream has ended; half a sample is dropped."""
        ...

    def close(self) -> None:
        """Let go of everything. Harmless when repeated."""


class InProcess:
    """A decoder that has each sample as soon as its bytes are there."""

    error: XingjiError | None = None

    def begin(self) -> None:
        pass

    def end(self) -> None:
        pass

    def accepts(self, timeout_s: float) -> bool:
        return True

    def drained(self, timeout_s: float) -> bool:
        return True

    def close(self) -> None:
        pass


class Pcm(InProcess):
    """Fixed-width mono samples of ``width`` bytes at ``rate`` Hz; ``read`` turns whole samples into numbers.

    Raises ``XingjiError("bad_config")`` for a rate outside 8000..48000 Hz.
    """

    def __init__(self, width: int, read: Callable[[bytes], Block], rate: int) -> None:
        if not MIN_RATE <= rate <= MAX_RATE:
            raise XingjiError("bad_config", field="sample_rate")
        self._width = width
        self._read = read
        self._carry = b""  # the beginning of a sample whose other bytes are still to come
        self._resampler = Resampler(rate)

    def feed(self, data: bytes) -> Samples:
        data = self._carry + data
        whole = len(data) - len(data) % self._width
        self._carry = data[whole:]
        return self._resampler.feed(self._read(data[:whole]))

    def flush(self) -> Samples:
        self._carry = b""
        return self._resampler.flush()


def s16le(rate: int) -> Decoder:
    return Pcm(2, lambda data: np.frombuffer(data, "<i2"), rate)


def f32le(rate: int) -> Decoder:
    return Pcm(4, lambda data: from_float(np.frombuffer(data, "<f4")), rate)


def mulaw(rate: int) -> Decoder:
    return Pcm(1, lambda data: MULAW[np.frombuffer(data, np.uint8)], rate)


def alaw(rate: int) -> Decoder:
    return Pcm(1, lambda data: ALAW[np.frombuffer(data, np.uint8)], rate)


def looks_like_float(data: bytes) -> bool:
    """Whether bytes declared s16le are really float32 audio; ``data`` begins at a sample.

    Read as int16 pairs, a float in ±2 has sign and exponent in its second half, which then lies in two
    narrow bands, one for each sign and far from mirror images; its first half is low mantissa bits
    and lies anywhere. In int16 audio both halves of a pair are alike. False below 64 non-zero floats.
    """
    pairs = np.frombuffer(data[: len(data) // 4 * 4], "<u2").reshape(-1, 2)
    pairs = pairs[(pairs & (0xFFFF, 0x7FFF)).any(axis=1)]  # neither 0.0 nor -0.0
    if len(pairs) < 64:
        return False
    low, high = _exponent_of_audio(pairs[:, 0]), _exponent_of_audio(pairs[:, 1])
    negative = float(np.mean(pairs[:, 1] >= 0x8000))
    return bool(high.mean() > 0.98 and low.mean() < 0.5 and 0.02 < negative < 0.98)


def _exponent_of_audio(half: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Where the upper half of a float32 says ``2**-40 <= |x| < 2``."""
    exponent = half >> 7 & 0xFF
    return (exponent >= 127 - 40) & (exponent <= 127)
