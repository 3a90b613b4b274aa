"""Recent audio by absolute sample number; what nobody is owed any more is forgotten.

Appending is amortised O(samples) whatever the frame size, so a client that sends one sample
at a time costs no more than one that sends seconds.
"""

import numpy as np

from .types import SAMPLE_RATE, Samples


class Tape:
    """int16 audio ``[start, end)``; both only grow."""

    def __init__(self) -> None:
        self._buffer = np.zeros(32_000, np.int16)
        self.start = 0
        self.end = 0
        self._origin = 0  # absolute sample of _buffer[0]

    def append(self, samples: Samples) -> None:
        need = self.end + len(samples) - self._origin
        if need > len(self._buffer):
            live = self._buffer[self.start - self._origin : self.end - self._origin]
            size = max(32_000, 2 * (len(live) + len(samples)))
            self._buffer, old = np.zeros(size, np.int16), live
            self._buffer[: len(old)] = old
            self._origin = self.start
        at = self.end - self._origin
        self._buffer[at : at + len(samples)] = samples
        self.end += len(samples)

    def cut(self, start: int, end: int) -> Samples:
        """A copy of ``[start, end)``. Raises IndexError if part of it is forgotten or not there yet."""
        if not self.start <= start <= end <= self.end:
            raise IndexError(f"[{start}, {end}) is not within the tape [{self.start}, {self.end})")
        return self._buffer[start - self._origin : end - self._origin].copy()

    def quietest(self, start: int, end: int) -> int:
        """Middle of the quietest 100 ms in ``[start, end)``, on a 10 ms grid."""
        window, step = SAMPLE_RATE // 10, SAMPLE_RATE // 100
        power = np.square(self.cut(start, end).astype(np.int64))
        total = np.concatenate([[0], np.cumsum(power)])
        if len(power) <= window:
            return start + len(power) // 2
        energy = total[window::step] - total[:-window:step]
        return start + int(np.argmin(energy)) * step + window // 2

    def forget(self, before: int) -> None:
        self.start = max(self.start, min(before, self.end))
