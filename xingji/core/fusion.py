"""What was said, from two or three readings of it: a vote where it is clear who is right, doubt where it is not.

Each place where the readings differ is decided by itself, in nats: how much likelier the words become, how many
readings agree, and, where recognisers say so, how sure they were. What the vote changes must keep what ``guards``
holds, as if a corrector had asked for it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .alignment import Step, aligned, counterparts, touches
from .guards import breach, said
from .lexicon import Lexicon, gain
from .types import AcceptedEdit, Edit, Hypothesis

# Nats. Chosen on one half of the speakers and measured on the other: docs/bench/correction.md.
CLEAR = 4.0  # with less for another reading, the base stands
AGREED = 3.0  # for each reading that says the same
MOST_SURE = 3.0  # what a recogniser's own confidence counts at most, either way
UNSURE = 0.5  # a confidence below this makes a place doubtful even where the readings agree


@dataclass(frozen=True, slots=True)
class Reading:
    """``confidences``: one per said character of ``text``, in [0, 1]; empty if the recogniser gives none."""

    text: str
    confidences: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Fused:
    """``text`` is the base with ``votes`` carried out; ``doubts`` are ranges of ``text`` that stay undecided."""

    text: str
    votes: tuple[AcceptedEdit, ...]
    doubts: tuple[tuple[int, int], ...]


def fuse(base: Reading, others: Sequence[Reading], lexicon: Lexicon) -> Fused:
    """Decide every place where ``others`` differ from ``base``, from left to right."""
    readings = [_Aligned(base, base), *(_Aligned(base, other) for other in others)]
    at = said(base.text)
    text, grown = base.text, 0  # by how many characters the votes so far made the text longer
    votes: list[AcceptedEdit] = []
    doubts = _unsure(base, at)
    for a, b in _places([reading.steps for reading in readings]):
        start, end = _range(at, a, b)
        standing: dict[str, float] = {}
        for reading in readings:
            option, sure = reading.says(a, b)
            standing[option] = standing.get(option, 0.0) + AGREED + sure
        best, after = _winner(text, start + grown, end + grown, standing, lexicon)
        if after is None:
            doubts.append((start, end))
            continue
        votes.append(AcceptedEdit(Edit(start, end, best), base.text[start:end], "vote"))
        text, grown = after, grown + len(best) - (end - start)
    return Fused(text, tuple(votes), _moved(doubts, votes))


def confidences(heard: Hypothesis) -> tuple[float, ...]:
    """One per said character of the text, if every word of the hypothesis has one and the words are the text's."""
    found: list[float] = []
    spelled = ""
    for word in heard.words:
        confidence = getattr(word, "confidence", None)
        if confidence is None:
            return ()
        letters = "".join(c for c in word.text if c.isalnum())
        spelled += letters
        found += [float(confidence)] * len(letters)
    return tuple(found) if spelled == "".join(heard.text[i] for i in said(heard.text)) else ()


class _Aligned:
    """One reading beside the base; indices count said characters."""

    def __init__(self, base: Reading, reading: Reading) -> None:
        self._letters = [reading.text[i] for i in said(reading.text)]
        self._confidences = reading.confidences
        self.steps = aligned([base.text[i] for i in said(base.text)], self._letters)

    def says(self, a: int, b: int) -> tuple[str, float]:
        """What it has where the base has ``[a, b)``, and how sure it was of it; 0 if it does not say."""
        differing = [s for s in self.steps if s[0] != "equal" and touches(s[1], s[2], a, b)]
        start = min(counterparts(self.steps, differing, a), default=0)
        end = max(counterparts(self.steps, differing, b), default=0)
        sure = self._confidences[start:end]
        return "".join(self._letters[start:end]), _odds(sum(sure) / len(sure)) if sure else 0.0


def _odds(confidence: float) -> float:
    """Log odds, at most ``MOST_SURE`` either way."""
    held = min(max(confidence, 1e-6), 1 - 1e-6)
    return min(max(math.log(held / (1 - held)), -MOST_SURE), MOST_SURE)


def _winner(text: str, start: int, end: int, standing: Mapping[str, float], lexicon: Lexicon) -> tuple[str, str | None]:
    """The option that clearly beats ``text[start:end]``, and the whole text with it; None if none does."""
    stands = text[start:end]
    best, won, lead = stands, None, CLEAR
    for option in sorted(standing):
        after = text[:start] + option + text[end:]
        if option == stands or any(not c.isalnum() for c in stands) or breach(text, after, ()):
            continue
        ahead = gain(text, after, lexicon) + standing[option] - standing.get(stands, 0.0)
        if ahead > lead:
            best, won, lead = option, after, ahead
    return best, won


def _places(readings: Sequence[Sequence[Step]]) -> list[tuple[int, int]]:
    """Where any reading differs from the base; places that touch are one."""
    found: list[tuple[int, int]] = []
    for a, b in sorted((s[1], s[2]) for steps in readings for s in steps if s[0] != "equal"):
        if found and a <= found[-1][1]:
            found[-1] = found[-1][0], max(b, found[-1][1])
        else:
            found.append((a, b))
    return found


def _range(at: Sequence[int], a: int, b: int) -> tuple[int, int]:
    """The same place in the text; an empty one comes after the character before it."""
    if b > a:
        return at[a], at[b - 1] + 1
    return (at[a - 1] + 1, at[a - 1] + 1) if a else (0, 0)


def _unsure(base: Reading, at: Sequence[int]) -> list[tuple[int, int]]:
    return [(i, i + 1) for i, confidence in zip(at, base.confidences, strict=False) if confidence < UNSURE]


def _moved(doubts: Sequence[tuple[int, int]], votes: Sequence[AcceptedEdit]) -> tuple[tuple[int, int], ...]:
    """The doubts as ranges of the text after the votes, without those that a vote has decided."""
    edits = [vote.edit for vote in votes]
    kept = set()
    for start, end in doubts:
        if not any(edit.start <= start and end <= edit.end for edit in edits):
            moved = sum(len(e.replacement) - (e.end - e.start) for e in edits if e.end <= start)
            kept.add((start + moved, end + moved))
    return tuple(sorted(kept))
