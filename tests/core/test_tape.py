"""The tape against the simplest thing that is right: an array that keeps everything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.tape import Tape
from xingji.core.types import Samples


def noise(size: int) -> Samples:
    return np.random.default_rng(size).integers(-30_000, 30_000, size).astype(np.int16)


@given(st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 60_000)), max_size=30), st.data())
def test_it_gives_back_what_it_was_given_until_told_to_forget(
    steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    tape, whole = Tape(), np.zeros(0, np.int16)
    for size, keep in steps:
        tape.append(noise(size))
        whole = np.concatenate([whole, noise(size)])
        tape.forget(len(whole) - keep)
        assert tape.end == len(whole) and tape.start >= len(whole) - keep
        start = data.draw(st.integers(tape.start, tape.end))
        assert np.array_equal(tape.cut(start, tape.end), whole[start:])
        assert np.array_equal(tape.cut(tape.start, start), whole[tape.start : start])


def test_a_cut_is_a_copy() -> None:
    tape = Tape()
    tape.append(noise(10))
    tape.cut(0, 10)[:] = 0
    assert np.array_equal(tape.cut(0, 10), noise(10))


@pytest.mark.parametrize(("start", "end"), [(4, 8), (5, 11), (8, 7)])
def test_what_is_forgotten_or_not_there_yet_cannot_be_cut(start: int, end: int) -> None:
    tape = Tape()
    tape.append(noise(10))
    tape.forget(5)
    with pytest.raises(IndexError):
        tape.cut(start, end)
    assert len(tape.cut(5, 10)) == 5


def test_it_forgets_neither_twice_nor_what_has_yet_to_come() -> None:
    tape = Tape()
    tape.append(noise(10))
    tape.forget(5)
    tape.forget(3)
    assert tape.start == 5
    tape.forget(99)
    assert tape.start == tape.end == 10


def test_memory_follows_what_is_kept_and_not_what_was_heard() -> None:
    tape = Tape()
    for _ in range(300):
        tape.append(noise(16_000))
        tape.forget(tape.end - 32_000)
    assert tape.end == 300 * 16_000 and len(tape._buffer) <= 4 * 32_000


def test_single_samples_do_not_move_the_buffer_each_time() -> None:
    tape = Tape()
    buffers = set()
    for value in range(40_000):
        tape.append(np.array([value % 30_000], np.int16))
        tape.forget(tape.end - 20_000)
        buffers.add(id(tape._buffer))
    assert len(buffers) <= 4
    assert np.array_equal(tape.cut(39_998, 40_000), np.array([9_998, 9_999], np.int16))


@pytest.mark.parametrize("at", [0, 3_200, 7_040, 14_400])
def test_the_quietest_place(at: int) -> None:
    tape = Tape()
    tape.append(noise(20_000))
    loud = np.full(16_000, -32_768, np.int16)
    loud[at : at + 1_600] = 3
    tape.append(loud)
    assert tape.quietest(20_000, 36_000) == 20_000 + at + 800


def test_the_quietest_place_of_little_audio_is_its_middle() -> None:
    tape = Tape()
    tape.append(noise(5_000))
    assert tape.quietest(1_000, 2_600) == 1_800
    assert tape.quietest(1_000, 1_000) == 1_000
