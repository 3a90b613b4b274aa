"""Numbered frames come out in order whatever the network did to them, and every loss is told."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.wire import Frame
from xingji.wire.sequence import WINDOW, Sequencer

Gap = tuple[int, int]


def pushed(sequencer: Sequencer, numbers: list[int]) -> tuple[list[int], list[Gap]]:
    """What comes out of ``push`` for frames whose data is their number, and the gaps told."""
    out: list[int] = []
    gaps: list[Gap] = []
    for number in numbers:
        ready, gap = sequencer.push(Frame(str(number).encode(), number))
        out += map(int, ready)
        gaps += [gap] if gap else []
    return out, gaps


def finished(sequencer: Sequencer) -> tuple[list[int], list[Gap]]:
    ready, gap = sequencer.flush()
    return [*map(int, ready)], [gap] if gap else []


@st.composite
def shuffled(draw: st.DrawFn) -> list[int]:
    """Consecutive numbers; after the first frame, each is overtaken by at most ``WINDOW`` later ones."""
    first = draw(st.integers(0, 1000))
    count = draw(st.integers(1, 150))
    rng = random.Random(draw(st.integers(0, 1 << 30)))
    waiting = [*range(first + 1, first + count)]
    out = [first]
    while waiting:
        overtaken = sum(number > waiting[0] for number in out)
        out.append(waiting.pop(0 if overtaken >= WINDOW else rng.randrange(min(len(waiting), WINDOW + 1))))
    return out


@given(shuffled())
def test_what_is_shuffled_within_the_window_comes_out_in_order(numbers: list[int]) -> None:
    sequencer = Sequencer()
    assert pushed(sequencer, numbers) == (sorted(numbers), [])
    assert finished(sequencer) == ([], [])


@given(shuffled(), st.integers(0, 1 << 30))
def test_duplicates_change_nothing(numbers: list[int], seed: int) -> None:
    rng = random.Random(seed)
    twice = numbers[:1]
    for at, number in enumerate(numbers[1:], 1):
        twice += [number, rng.choice(numbers[: at + 1])]
    assert pushed(Sequencer(), twice) == (sorted(numbers), [])


@given(st.integers(0, 1000), st.sets(st.integers(1, 200), max_size=40), st.integers(1, 220))
def test_every_frame_that_came_goes_on_and_each_hole_is_told_once(first: int, missing: set[int], count: int) -> None:
    numbers = [first + n for n in range(count) if n not in missing]
    sequencer = Sequencer()
    out, gaps = pushed(sequencer, numbers)
    rest, last = finished(sequencer)
    assert out + rest == numbers
    holes = [(a + 1, b) for a, b in pairwise(numbers) if b > a + 1]
    assert gaps == holes[: len(gaps)]
    assert last == holes[len(gaps) : len(gaps) + 1]  # at the end everything goes at once, and is told at once


def test_a_gap_is_told_when_one_frame_more_than_the_window_has_overtaken() -> None:
    sequencer = Sequencer()
    assert pushed(sequencer, [0, *range(2, 2 + WINDOW)]) == ([0], [])
    assert pushed(sequencer, [2 + WINDOW]) == ([*range(2, 3 + WINDOW)], [(1, 2)])
    assert pushed(sequencer, [1]) == ([], []), "what was given up for lost stays lost"
    assert pushed(sequencer, [3 + WINDOW]) == ([3 + WINDOW], [])


def test_flush_lets_go_what_is_held() -> None:
    sequencer = Sequencer()
    assert pushed(sequencer, [7, 10, 9]) == ([7], [])
    assert finished(sequencer) == ([9, 10], [(8, 9)])
    assert finished(sequencer) == ([], [])
    assert pushed(sequencer, [11, 8]) == ([11], [])


def test_flush_before_any_frame() -> None:
    assert finished(Sequencer()) == ([], [])


@pytest.mark.parametrize("first", [0, 1, 5000])
def test_the_first_number_may_be_any(first: int) -> None:
    assert pushed(Sequencer(), [first, first + 1]) == ([first, first + 1], [])


def test_what_comes_from_before_the_first_number_is_ignored() -> None:
    assert pushed(Sequencer(), [5, 4, 6]) == ([5, 6], [])


def test_frames_without_a_number_pass_as_they_come() -> None:
    sequencer = Sequencer()
    assert sequencer.push(Frame(b"a")) == ([b"a"], None)
    assert pushed(sequencer, [3, 5]) == ([3], [])
    assert sequencer.push(Frame(b"b")) == ([b"b"], None)
    assert pushed(sequencer, [4]) == ([4, 5], [])


def test_empty_frames_count() -> None:
    sequencer = Sequencer()
    assert sequencer.push(Frame(b"", 0)) == ([b""], None)
    assert sequencer.push(Frame(b"", 2)) == ([], None)
    assert sequencer.push(Frame(b"x", 1)) == ([b"x", b""], None)
