"""What connectionist temporal classification knows about the tokens that it wrote.

Scores are ``(T, V)``: for each frame, logits of the tokens and of the blank. Most frames are blank and each
token is a short peak, somewhere inside the sound that it writes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Token:
    """``id`` is best in every frame of ``[first, last]``; ``confidence`` is its posterior in the surest of them."""

    id: int
    first: int
    last: int
    confidence: float


def greedy(logits: Array, blank: int) -> list[Token]:
    """The best token of every frame, repetitions put together and blanks left out, in order."""
    best = logits.argmax(axis=-1)
    changes = np.flatnonzero(np.append(True, best[1:] != best[:-1])) if len(best) else np.empty(0, np.int64)
    ends = np.append(changes[1:], len(best))
    chosen = best[changes] != blank
    tokens = []
    for id, first, end in zip(best[changes][chosen], changes[chosen], ends[chosen], strict=True):
        surest = float(np.exp(log_posteriors(logits[first:end])[:, id].max()))
        tokens.append(Token(int(id), int(first), int(end) - 1, round(min(1.0, surest), 3)))
    return tokens


def log_posteriors(logits: Array) -> Array:
    """Logarithms of what softmax gives, row by row."""
    apart = logits - logits.max(axis=-1, keepdims=True)
    scores: Array = apart - np.log(np.exp(apart).sum(axis=-1, keepdims=True))
    return scores
