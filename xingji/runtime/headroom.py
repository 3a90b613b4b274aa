"""Is there room for one more live recording? Asked before it begins, so that those that run do not lag.

Two things answer. What a second of speech costs each worker, measured when its models were warmed up, says how many
recordings can speak at a time; it knows before anything is late. How late texts were in the last seconds knows what no
measurement foresaw: other work on the machine, or speech without a pause.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

WINDOW_S = 10.0  # what counts as now
LATE_S = 0.7  # one text in ten is later than this: one more recording would make people wait
FEW = 20  # texts; of fewer, one odd one would decide

Costs = Mapping[str, Sequence[Mapping[str, float]]]
"""For each role, of every worker: seconds of work that a second of speech makes, by kind of job."""


class Headroom:
    """Thread-safe: told from the drivers' threads, asked from the connections'."""

    def __init__(self, load: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``load``: the part of a worker's time that live recordings may take; 0: nothing is planned or refused."""
        self._load, self._clock = load, clock
        self._late: deque[tuple[float, float]] = deque(maxlen=2048)

    def waited(self, seconds: float) -> None:
        """A live text came so long after the audio that it needs."""
        self._late.append((self._clock(), seconds))

    @property
    def lag_s(self) -> float:
        """What nine of ten texts of the last seconds did not exceed."""
        since = self._clock() - WINDOW_S
        late = sorted(seconds for at, seconds in tuple(self._late) if at >= since)
        return late[len(late) * 9 // 10] if len(late) >= FEW else 0.0

    @property
    def late(self) -> bool:
        """Live texts come later than people would wait for."""
        return self.lag_s > LATE_S

    def capacity(self, costs: Costs) -> int | None:
        """Live recordings that can all speak at a time; at least one. None where nothing is planned or known."""
        if not self._load:
            return None
        known = [workers for workers in costs.values() if workers and all(workers)]
        shares = [sum(1 / sum(cost.values()) for cost in workers) for workers in known]
        return max(1, math.floor(self._load * min(shares))) if shares else None

    def room(self, live: int, costs: Costs) -> bool:
        """For one more beside ``live`` recordings."""
        if not self._load:
            return True
        capacity = self.capacity(costs)
        return (capacity is None or live < capacity) and not self.late
