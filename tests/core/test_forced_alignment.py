"""A text laid over posteriors: what is known of it is where it was heard, and the rest between."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xingji.core.ctc import Array
from xingji.core.forced_alignment import Piece, lay

BLANK = 0


def heard(*ids: int) -> Array:
    """Logits of a recogniser that is sure of one token in each frame; of eight."""
    return np.eye(8, dtype=np.float32)[list(ids)] * 20


def text(*tokens: tuple[int, ...]) -> list[Piece]:
    return [Piece(at, own) for at, own in enumerate(tokens)]


SOUND = heard(0, 0, 1, 0, 0, 2, 2, 0, 3, 0)


@pytest.mark.parametrize(
    ("pieces", "frames"),
    [
        (text((1,), (2,), (3,)), [(2, 2), (5, 6), (8, 8)]),
        (text((4, 1), (2, 5), (6, 3)), [(2, 2), (5, 6), (8, 8)]),  # whichever of those that sound like it
        (text((1,), (), (3,)), [(2, 2), (5, 5), (8, 8)]),  # no token writes it
        (text((), (1,), (2,), (3,), (), ()), [(0.5, 0.5), (2, 2), (5, 6), (8, 8), (8 + 2 / 3,) * 2, (9 + 1 / 3,) * 2]),
        (text(), []),
        (text((), ()), []),
        (text((4,), (5,), (6,)), []),  # something else was said
        (text((1,), (), (), ()), []),
    ],
)
def test_where_a_text_lies(pieces: list[Piece], frames: list[tuple[float, float]]) -> None:
    assert lay(pieces, SOUND, BLANK) == [pytest.approx(own) for own in frames]


def test_a_piece_that_was_never_said_moves_no_other() -> None:
    first, second, _, last = lay(text((1,), (2,), (7,), (3,)), SOUND, BLANK)
    assert (first, second[0], last) == ((2, 2), 5, (8, 8))


def test_what_sounds_the_same_twice_is_said_twice() -> None:
    assert lay(text((1, 2), (2, 1)), heard(0, 1, 1, 0, 0, 2, 0), BLANK) == [(1, 2), (5, 5)]


@pytest.mark.parametrize("sound", [heard(1), heard(1, 1), np.zeros((0, 8), np.float32)])
def test_audio_that_is_too_short_for_its_text(sound: Array) -> None:
    assert lay(text((1,), (1,)), sound, BLANK) == []


logits = arrays.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(5)), elements=st.floats(-9, 9, width=32))
tokens = st.lists(st.lists(st.integers(1, 4), max_size=3, unique=True).map(tuple), max_size=6)


@given(logits, tokens)
def test_pieces_are_in_order_and_inside(logits: Array, tokens: list[tuple[int, ...]]) -> None:
    found = lay(text(*tokens), logits, BLANK)
    assert len(found) in (0, len(tokens))
    assert all(-1 < first <= last < len(logits) for first, last in found)
    assert all(left[1] < right[0] for left, right in pairwise(found))
