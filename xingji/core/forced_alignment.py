"""When a text was said that another recogniser read: laid over the posteriors of one that knows where it is.

A piece of the text may be any of several tokens: those that sound like it, so that it does not matter which of them
this recogniser would have written. A piece that no token writes lies evenly between its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log

import numpy as np

from .ctc import Array, stretches

_FAINT = 1e-6  # what is less likely was not heard here at all: a piece that was never said moves no other
_HEARD, _MOST = 1e-2, 0.5  # … and what is not even as likely was hardly said: most of the pieces must be likelier


@dataclass(frozen=True, slots=True)
class Piece:
    """What one token would write, from character ``at`` of the text on. ``tokens`` are alternatives, maybe none."""

    at: int
    tokens: tuple[int, ...]


def lay(pieces: Sequence[Piece], logits: Array, blank: int) -> list[tuple[float, float]]:
    """The frames ``[first, last]`` of each piece, in order, in audio with the logits ``(T, V)``. None at all where the
    audio is too short for the text, or says something else."""
    known = [piece for piece in pieces if piece.tokens]
    pairs = zip([Piece(0, ()), *known], known, strict=False)
    apart = np.array([not set(left.tokens).isdisjoint(right.tokens) for left, right in pairs], np.bool_)
    if not known or len(logits) < len(known) + int(apart.sum()):
        return []
    norms = np.exp(logits - logits.max(axis=1, keepdims=True))
    norms /= norms.sum(axis=1, keepdims=True)
    starts = [0, *accumulate(len(piece.tokens) for piece in known)][:-1]
    columns = norms[:, [token for piece in known for token in piece.tokens]]
    scores = np.log(np.maximum(np.add.reduceat(columns, starts, axis=1), _FAINT))
    frames = stretches(scores, np.log(np.maximum(norms[:, blank], _FAINT)), apart)
    heard = sum(scores[first : last + 1, at].max() >= log(_HEARD) for at, (first, last) in enumerate(frames))
    if heard < _MOST * len(pieces):
        return []
    found = iter(frames)
    return _bridged([next(found) if piece.tokens else None for piece in pieces], len(logits))


def _bridged(frames: Sequence[tuple[int, int] | None], count: int) -> list[tuple[float, float]]:
    """Those that are not known lie evenly between their neighbours, or between one and the edge."""
    found: list[tuple[float, float]] = []
    for at, own in enumerate(frames):
        if own is not None:
            found.append(own)
            continue
        left = found[-1][1] if found else -1.0
        missing, right = next(
            ((n, float(other[0])) for n, other in enumerate(frames[at:]) if other is not None),
            (len(frames) - at, float(count)),
        )
        place = left + (right - left) / (missing + 1)
        found.append((place, place))
    return found
