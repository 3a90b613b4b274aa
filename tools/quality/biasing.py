"""What hotwords do: how many are found, how many are invented, and the error rate inside and outside them. Pure.

As the literature on contextual biasing counts it (Le et al., *Contextualized Streaming End-to-End Speech Recognition
with Trie-Based Deep Biasing and Shallow Fusion*, 2021): the biased rate (B-CER) is of the characters said that belong
to a word of the list, the unbiased one (U-CER) of all others. A character too many counts as biased where the text
has it as part of a word of the list.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xingji.core.scoring import alignment

from .text import counted


@dataclass(frozen=True, slots=True)
class Biasing:
    """Sums; ``a + b`` is that of both."""

    said: int = 0  # occurrences of listed words in what was said
    written: int = 0  # and in the text
    found: int = 0  # of those said, how many the text has where they were said
    biased_edits: int = 0
    biased: int = 0  # characters said
    unbiased_edits: int = 0
    unbiased: int = 0

    def __add__(self, other: "Biasing") -> "Biasing":
        return Biasing(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def recall(self) -> float | None:
        return self.found / self.said if self.said else None

    @property
    def precision(self) -> float | None:
        return self.found / self.written if self.written else None

    @property
    def b_cer(self) -> float | None:
        return self.biased_edits / self.biased if self.biased else None

    @property
    def u_cer(self) -> float | None:
        return self.unbiased_edits / self.unbiased if self.unbiased else None


def biasing(reference: str, hypothesis: str, words: Iterable[str]) -> Biasing:
    """Of one recording; the texts as they stand. A word counts as found only where each of its characters is."""
    said, heard = counted(reference), counted(hypothesis)
    listed = sorted({form for word in words if (form := counted(word))}, key=lambda form: (-len(form), form))
    in_said, in_heard = occurrences(said, listed), occurrences(heard, listed)
    steps = alignment(said, heard)
    right = {i: j for i, j in steps if i is not None and j is not None and said[i] == heard[j]}
    inside = {i for begin, end in in_said for i in range(begin, end)}
    inside_heard = {j for begin, end in in_heard for j in range(begin, end)}
    places = set(in_heard)
    found = sum((right.get(begin), right.get(end - 1, -2) + 1) in places for begin, end in in_said)
    edits = {True: 0, False: 0}
    for i, j in steps:
        if i is None:
            edits[j in inside_heard] += 1
        elif i not in right:
            edits[i in inside] += 1
    return Biasing(
        len(in_said), len(in_heard), found, edits[True], len(inside), edits[False], len(said) - len(inside)
    )  # fmt: skip


def occurrences(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where words stand, from left to right, none inside another; of those that begin at a place the longest first,
    which is how ``words`` must be sorted."""
    found, at = list[tuple[int, int]](), 0
    while at < len(text):
        word = next((word for word in words if text.startswith(word, at)), None)
        if word is not None:
            found.append((at, at + len(word)))
        at += len(word) if word else 1
    return found
