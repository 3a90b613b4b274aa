"""The greedy reading of posteriors: against the definition, frame by frame."""

from itertools import groupby, pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xingji.core.ctc import Array, Token, greedy, likelihood, log_posteriors, peaks, stretches

scores = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 12), st.integers(2, 5)), elements=st.floats(-50, 50, width=32)
)


def read(logits: Array, blank: int) -> list[Token]:
    return greedy(logits.argmax(axis=-1), log_posteriors(logits).max(axis=-1), blank)


@given(scores)
def test_posteriors_sum_to_one(logits: Array) -> None:
    assert np.allclose(np.exp(log_posteriors(logits)).sum(axis=-1), 1, atol=1e-5)


@given(scores, st.integers(0, 1))
def test_greedy_is_the_definition(logits: Array, blank: int) -> None:
    found = read(logits, blank)
    best = logits.argmax(axis=-1).tolist()
    runs = [(id, [at for at, _ in run]) for id, run in groupby(enumerate(best), key=lambda pair: pair[1])]
    assert [(t.id, t.first, t.last) for t in found] == [(id, run[0], run[-1]) for id, run in runs if id != blank]
    for token in found:
        surest = np.exp(log_posteriors(logits))[token.first : token.last + 1, token.id].max()
        assert token.confidence == pytest.approx(surest, abs=1e-3) and 0 <= token.confidence <= 1


def test_repetitions_are_one_token_and_two_where_a_blank_is_between() -> None:
    sure = np.eye(3, dtype=np.float32)[[0, 1, 1, 0, 1, 2]] * 20
    assert read(sure, 0) == [Token(1, 1, 2, 1.0), Token(1, 4, 4, 1.0), Token(2, 5, 5, 1.0)]


def paths(wanted: list[int], frames: int) -> list[tuple[int, ...]]:
    """All ways to write these tokens in so many frames; 0 is blank."""
    found = []
    for path in product(range(max(wanted) + 1), repeat=frames):
        if [id for id, _ in groupby(path) if id] == wanted:
            found.append(path)
    return found


short = arrays.arrays(np.float32, st.tuples(st.integers(2, 5), st.just(4)), elements=st.floats(-8, 8, width=32))


@given(short, st.sampled_from([[1], [1, 2], [2, 1], [1, 2, 1], [3, 1, 2]]))
def test_likelihood_sums_over_all_alignments_and_peaks_are_on_the_best(logits: Array, wanted: list[int]) -> None:
    scores = log_posteriors(logits)
    ways = paths(wanted, len(scores))
    tokens, blank = scores[:, wanted], scores[:, 0]
    if not ways:
        return
    totals = [float(sum(scores[frame, id] for frame, id in enumerate(path))) for path in ways]
    assert likelihood(tokens, blank) == pytest.approx(float(np.logaddexp.reduce(totals)), abs=1e-3)
    frames = peaks(tokens, blank)
    assert frames == sorted(set(frames))
    near_best = [path for path, total in zip(ways, totals, strict=True) if total > max(totals) - 1e-3]
    assert any(all(path[frame] == id for frame, id in zip(frames, wanted, strict=True)) for path in near_best)


@given(short, st.sampled_from([[1], [1, 1], [2, 1], [1, 2, 2], [3, 3]]))
def test_stretches_are_the_best_alignment_of_tokens_that_are_known(logits: Array, wanted: list[int]) -> None:
    """Here the same token twice needs a blank between."""
    scores = log_posteriors(logits)
    ways = paths(wanted, len(scores))
    if not ways:
        return
    apart = np.array([False, *(a == b for a, b in pairwise(wanted))])
    frames = stretches(scores[:, wanted], scores[:, 0], apart)
    totals = {path: float(sum(scores[frame, id] for frame, id in enumerate(path))) for path in ways}
    path = [0] * len(scores)
    for id, (first, last) in zip(wanted, frames, strict=True):
        path[first : last + 1] = [id] * (last + 1 - first)
    assert totals[tuple(path)] == pytest.approx(max(totals.values()), abs=1e-3)
