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


def greedy(best: NDArray[np.int64], sure: Array, blank: int) -> list[Token]:
    """The best token of every frame, repetitions put together and blanks left out, in order. ``sure``: the
    log-posterior of each; both ``(T,)``."""
    changes = np.flatnonzero(np.append(True, best[1:] != best[:-1])) if len(best) else np.empty(0, np.int64)
    ends = np.append(changes[1:], len(best))
    chosen = best[changes] != blank
    tokens = []
    for id, first, end in zip(best[changes][chosen], changes[chosen], ends[chosen], strict=True):
        surest = float(np.exp(sure[first:end].max()))
        tokens.append(Token(int(id), int(first), int(end) - 1, round(min(1.0, surest), 3)))
    return tokens


def log_posteriors(logits: Array) -> Array:
    """Logarithms of what softmax gives, row by row."""
    apart = logits - logits.max(axis=-1, keepdims=True)
    scores: Array = apart - np.log(np.exp(apart).sum(axis=-1, keepdims=True))
    return scores


def likelihood(tokens: Array, blank: Array) -> float:
    """Log-probability that these frames write exactly these tokens, over all alignments.

    ``tokens`` ``(T, n)``: log-posteriors of each in turn, ``blank`` ``(T,)``. Tokens that are the same as their
    neighbour are not held apart by a blank: for that they would have to be known, not only their scores.
    """
    states = _states(tokens, blank)
    reached = np.full(states.shape[1], -np.inf, np.float32)
    reached[:2] = 0
    for frame, scores in enumerate(states):
        if frame:
            reached = np.logaddexp(np.logaddexp(reached, _moved(reached, 1)), _skipped(reached))
        reached = reached + scores
    return float(np.logaddexp.reduce(reached[-2:]))


def peaks(tokens: Array, blank: Array) -> list[int]:
    """The frame at which each token is surest on the best alignment; arguments as of ``likelihood``, T at least n."""
    frames = stretches(tokens, blank, np.zeros(tokens.shape[1], np.bool_))
    return [first + int(tokens[first : last + 1, token].argmax()) for token, (first, last) in enumerate(frames)]


def stretches(tokens: Array, blank: Array, apart: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The frames ``[first, last]`` of each token on the best alignment; ``tokens`` and ``blank`` as of ``likelihood``.
    ``apart`` ``(n,)``: a blank must come before this token, which else were one with the token before it; T is at least
    n and one more for each of these."""
    states = _states(tokens, blank)
    closed = np.flatnonzero(apart[1:]) * 2 + 3  # states that are not reached without the blank before them
    best = np.full(states.shape[1], -np.inf, np.float32)
    best[:2] = 0
    came = np.zeros(states.shape, np.int8)
    for frame, scores in enumerate(states):
        if frame:
            skipped = _skipped(best)
            skipped[closed] = -np.inf
            ways = np.stack((best, _moved(best, 1), skipped))
            came[frame] = ways.argmax(axis=0)
            best = ways.max(axis=0)
        best = best + scores
    state = len(best) - 1 - int(best[-2:].argmax() == 0)
    path = np.zeros(len(states), np.int64)
    for frame in reversed(range(len(states))):
        path[frame] = state
        state -= int(came[frame, state])
    frames = [np.flatnonzero(path == 2 * token + 1) for token in range(tokens.shape[1])]
    return [(int(own[0]), int(own[-1])) for own in frames]


def _states(tokens: Array, blank: Array) -> Array:
    """``(T, 2 n + 1)``: blank, token, blank, token, …, blank."""
    states = np.repeat(blank[:, None], 2 * tokens.shape[1] + 1, axis=1)
    states[:, 1::2] = tokens
    return states


def _moved(states: Array, by: int) -> Array:
    return np.concatenate((np.full(by, -np.inf, np.float32), states[:-by]))


def _skipped(states: Array) -> Array:
    """From one token to the next without a blank between."""
    moved = _moved(states, 2)
    moved[::2] = -np.inf
    return moved
