"""How many sessions a server holds: growing, then bisecting. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

FINE = 16  # the answer is as near as its sixteenth


@dataclass(frozen=True, slots=True)
class Found:
    holds: int  # 0: not even one
    fails: int | None  # the least number that did not hold
    why: Literal["found", "most", "time"]  # "most": it may hold more than was asked for


def search(holds: Callable[[int], bool], most: int, over: Callable[[], bool], first: int = 1) -> Found:
    """The largest number for which ``holds`` is true, which is taken to be so for all smaller ones.

    Each number is asked once. ``over`` is asked before each; once it is true, what is known is the answer.
    """
    low, high, now = 0, None, min(first, most)
    while True:
        if over():
            return Found(low, high, "time")
        if holds(now):
            low = now
        else:
            high = now
        if high is None:
            if low == most:
                return Found(low, None, "most")
            now = min(2 * low, most)
        elif high - low <= max(1, low // FINE):
            return Found(low, high, "found")
        else:
            now = (low + high) // 2
