"""How far sentences and words are from where they were said. Pure; seconds.

Sentences are compared by overlap: one that covers several of those said has an onset and an endpoint, and lacks the
boundaries between; one said in several pieces is compared from the first to the last of them. A word is compared where
the text has it right: the start of one that begins, the end of one that ends, with the same character.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xingji.core.scoring import alignment, normalise

from .manifest import Timed

NEAR_S, FAR_S = 0.06, 0.2


@dataclass(slots=True)
class Errors:
    """Heard − labelled; ``add`` takes those of another recording."""

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    labelled: int = 0
    joined: int = 0  # boundaries between those said that were not heard
    cut: int = 0  # boundaries heard inside one that was said
    missed: int = 0  # said, and nothing heard there
    invented: int = 0  # heard where nobody spoke

    def add(self, other: "Errors") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Spread:
    """``bias`` is the median with its sign, the rest of the sizes of the errors."""

    count: int
    bias: float
    p50: float
    p95: float
    near: float  # share within NEAR_S
    far: float  # share within FAR_S


def spread(errors: Sequence[float]) -> Spread | None:
    if not errors:
        return None
    sizes = np.abs(errors)
    p50, p95 = (float(value) for value in np.percentile(sizes, (50, 95)))
    # A label and a result are whole samples and whole milliseconds: half a millisecond is no error.
    near, far = (float(np.mean(sizes <= limit + 0.0005)) for limit in (NEAR_S, FAR_S))
    return Spread(len(errors), float(np.median(errors)), p50, p95, near, far)


def sentences(said: Sequence[Timed], heard: Sequence[tuple[float, float]]) -> Errors:
    """Of one recording, both in order. ``heard``: start and end."""
    errors = Errors(labelled=len(said))
    over = [[j for j, (begin, end) in enumerate(heard) if begin < one.end and one.start < end] for one in said]
    under = [[i for i, found in enumerate(over) if j in found] for j in range(len(heard))]
    for i, (one, found) in enumerate(zip(said, over, strict=True)):
        if not found:
            errors.missed += 1
            continue
        if under[found[0]][0] == i:
            errors.starts.append(heard[found[0]][0] - one.start)
        if under[found[-1]][-1] == i:
            errors.ends.append(heard[found[-1]][1] - one.end)
        errors.cut += len(found) - 1
    errors.joined = sum(len(found) - 1 for found in under if found)
    errors.invented = sum(not found for found in under)
    return errors


def words(said: Sequence[Timed], heard: Sequence[Timed]) -> Errors:
    """Of one recording; ``labelled`` counts the words said."""
    errors = Errors(labelled=len(said))
    left, right = _Characters(said), _Characters(heard)
    for i, j in alignment(left.text, right.text):
        if i is None:
            errors.invented += j in right.starts
        elif j is None or left.text[i] != right.text[j]:
            errors.missed += i in left.starts
        else:
            if i in left.starts and j in right.starts:
                errors.starts.append(right.starts[j] - left.starts[i])
            if i in left.ends and j in right.ends:
                errors.ends.append(right.ends[j] - left.ends[i])
    return errors


class _Characters:
    """Words as characters that count, and at which of them a word begins or ends."""

    def __init__(self, words: Sequence[Timed]) -> None:
        self.text, self.starts, self.ends = "", dict[int, float](), dict[int, float]()
        for word in words:
            if characters := normalise(word.text):
                self.starts[len(self.text)] = word.start
                self.text += characters
                self.ends[len(self.text) - 1] = word.end
