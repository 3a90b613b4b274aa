"""Where two readings of one segment lie side by side: which characters they share and which stand for each other."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from .guards import said

Step = tuple[str, int, int, int, int]  # an opcode of difflib: kind, [i1, i2) of ours, [j1, j2) of theirs


def disagreements(base: str, other: str) -> tuple[tuple[int, int, str], ...]:
    """Where readings differ, marks and spaces ignored: ``(start, end, what other has there)`` in ``base``.

    >>> disagreements("今天天汽，很好。", "今天天气很好啊")
    ((3, 4, '气'), (7, 7, '啊'))
    """
    at, theirs = said(base), [other[i] for i in said(other)]
    places = [*at, at[-1] + 1 if at else 0]
    return tuple(
        (places[a], places[b - 1] + 1 if b > a else places[a], "".join(theirs[c:d]))
        for kind, a, b, c, d in aligned([base[i] for i in at], theirs)
        if kind != "equal"
    )


def aligned(ours: Sequence[str], theirs: Sequence[str]) -> list[Step]:
    return [*SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()]


def touches(a: int, b: int, start: int, end: int) -> bool:
    """Two ranges share a character, or one of them is empty and lies in or at the edge of the other."""
    if a == b or start == end:
        return a <= end and start <= b
    return a < end and start < b


def counterparts(steps: Sequence[Step], differing: Sequence[Step], at: int) -> list[int]:
    """Where ``at`` may lie in the other reading; it is inside no disagreement."""
    agreed = [c + at - a for kind, a, b, c, _ in steps if kind == "equal" and a <= at <= b]
    return agreed + [j for _, a, b, c, d in differing for i, j in ((a, c), (b, d)) if i == at]
