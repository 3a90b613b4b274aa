"""Are the marks where they belong? Pure.

A mark belongs after a character; the characters of both texts are aligned first, so a wrong character costs no mark.
"""

from collections import Counter
from dataclasses import dataclass, field

from xingji.core.scoring import alignment

from .text import marked


@dataclass(frozen=True, slots=True)
class Marks:
    """By mark; ``a + b`` is that of both."""

    wanted: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Marks") -> "Marks":
        return Marks(self.wanted + other.wanted, self.given + other.given, self.right + other.right)

    def precision(self, mark: str | None = None) -> float | None:
        """Of all marks together where none is named; None where there is nothing to count."""
        return _part(self._sum(self.right, mark), self._sum(self.given, mark))

    def recall(self, mark: str | None = None) -> float | None:
        return _part(self._sum(self.right, mark), self._sum(self.wanted, mark))

    def f1(self, mark: str | None = None) -> float | None:
        return _part(2 * self._sum(self.right, mark), self._sum(self.given, mark) + self._sum(self.wanted, mark))

    def _sum(self, counts: Counter[str], mark: str | None) -> int:
        return counts.total() if mark is None else counts[mark]


def marks(reference: str, hypothesis: str) -> Marks:
    """Of one recording."""
    said, heard = marked(reference), marked(hypothesis)
    before = {0: 0}  # so many characters heard → so many said up to there
    at = 0
    for i, j in alignment(said.characters, heard.characters):
        at += i is not None
        if j is not None:
            before[j + 1] = at
    placed = {(before[place], mark) for place, mark in heard.marks}
    return Marks(
        Counter(mark for _, mark in said.marks),
        Counter(mark for _, mark in heard.marks),
        Counter(mark for _, mark in said.marks & placed),
    )


def _part(count: int, of: int) -> float | None:
    return count / of if of else None
