"""Error rates and how sure they are. Pure.

A rate is edits over characters said, of all recordings together. Its interval, and that of the difference of two
stages of the same recordings, is a percentile bootstrap over recordings: drawn again with replacement, both stages
of a recording always together, so that what is hard for both does not hide the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS, SEED, LEVEL = 2000, 20_261_126, 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Zero lies outside."""
        return self.low > 0 or self.high < 0


def rate(edits: Sequence[int], lengths: Sequence[int]) -> float | None:
    return sum(edits) / sum(lengths) if sum(lengths) else None


def interval(edits: Sequence[int], lengths: Sequence[int]) -> Interval | None:
    """Of the rate; None where nothing was said."""
    return _spread(np.asarray(edits, float), np.asarray(lengths, float))


def difference(edits: Sequence[int], others: Sequence[int], lengths: Sequence[int]) -> Interval | None:
    """``edits`` − ``others`` of the same recordings, as a rate: below zero where ``edits`` are fewer."""
    return _spread(np.asarray(edits, float) - np.asarray(others, float), np.asarray(lengths, float))


def _spread(parts: np.ndarray, lengths: np.ndarray) -> Interval | None:
    if not lengths.sum():
        return None
    value = float(parts.sum() / lengths.sum())
    rng, drawn = np.random.default_rng(SEED), list[float]()
    for _ in range(DRAWS):
        picks = rng.integers(len(lengths), size=len(lengths))
        if said := lengths[picks].sum():
            drawn.append(float(parts[picks].sum() / said))
    low, high = np.percentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return Interval(value, float(low), float(high))
