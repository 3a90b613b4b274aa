"""Samples at any rate become int16 at 16 kHz, bit for bit the same however the input was cut."""

from typing import cast

import numpy as np
import soxr
from numpy.typing import NDArray

from xingji.core.types import SAMPLE_RATE, Samples

Block = NDArray[np.int16] | NDArray[np.float32]  # shape (n,), mono; float32 counts in int16 steps


class Resampler:
    """One stream at ``rate`` Hz. soxr HQ: alias below -130 dB; holds back up to 0.2 s until ``flush``.

    At 16 kHz nothing is filtered and int16 blocks pass through uncopied.
    """

    def __init__(self, rate: int) -> None:
        self._soxr = None
        if rate != SAMPLE_RATE:
            self._soxr = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32", "HQ")

    def feed(self, block: Block) -> Samples:
        if self._soxr is None:
            return _int16(block)
        return _int16(self._soxr.resample_chunk(block.astype(np.float32)))

    def flush(self) -> Samples:
        """What was held back. The stream has ended: do not feed it again."""
        if self._soxr is None:
            return np.empty(0, np.int16)
        return _int16(self._soxr.resample_chunk(np.empty(0, np.float32), last=True))


def from_float(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """±1.0 becomes ±32768 int16 steps. NaN and infinities are silence; what is louder than 1.0 clips."""
    finite = np.where(np.isfinite(samples), samples, 0)
    return (np.clip(finite, -1, 1) * 32768).astype(np.float32)


def _int16(block: Block) -> Samples:
    """Round half to even and saturate. No dither, so that the same audio always gives the same text."""
    if block.dtype == np.int16:
        return cast(Samples, block)
    return np.clip(np.rint(block), -32768, 32767).astype(np.int16)
