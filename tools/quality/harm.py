"""What a later stage did to an earlier one's sentences: made better, worse, or only otherwise. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xingji.core.scoring import distance
from xingji.core.transcript import join

from .text import counted


@dataclass(frozen=True, slots=True)
class Changes:
    """Sentences; ``a + b`` is that of both."""

    sentences: int = 0
    changed: int = 0  # the text is another, if only by a mark
    better: int = 0
    worse: int = 0
    edits_saved: int = 0

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def harm(self) -> float | None:
        return self.worse / self.changed if self.changed else None


def changes(reference: str, readings: Sequence[Mapping[str, str]], before: str, after: str) -> Changes:
    """Of one recording, whose ``reference`` is known as a whole only: a sentence is made worse if the whole, with this
    sentence alone changed, is further from the reference."""
    texts = [reading[before] for reading in readings]
    said = counted(reference)
    base = distance(said, counted(join(texts)))
    changed = better = worse = 0
    for place, reading in enumerate(readings):
        if reading[after] == reading[before]:
            continue
        gain = base - distance(said, counted(join([*texts[:place], reading[after], *texts[place + 1 :]])))
        changed, better, worse = changed + 1, better + (gain > 0), worse + (gain < 0)
    whole = base - distance(said, counted(join(reading[after] for reading in readings)))
    return Changes(len(texts), changed, better, worse, whole)
