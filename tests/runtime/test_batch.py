"""Which waiting jobs go together: the oldest leads, one per stream, never more than the model takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.messages import Decode, Detect, Job, Transcribe
from xingji.runtime.batch import Request, take

NOTHING = np.zeros(0, np.int16)
JOBS: dict[str, Job] = {
    "detect": Detect(NOTHING, 0, True, False, 0, 3200),
    "decode": Decode(0, NOTHING, 0, False, 9600, True),
    "transcribe": Transcribe(0, NOTHING, "auto", True),
}
LIMITS = {Detect: 3, Decode: 2}  # Transcribe has none: it goes alone


def queue(*items: tuple[str, int]) -> list[Request]:
    return [Request(n, stream, JOBS[kind]) for n, (kind, stream) in enumerate(items)]


@pytest.mark.parametrize(
    ("waiting", "taken"),
    [
        ([], []),
        ([("detect", 1)], [0]),
        ([("detect", 1), ("detect", 2), ("detect", 3), ("detect", 4)], [0, 1, 2]),
        ([("detect", 1), ("decode", 1), ("detect", 2)], [0, 2]),
        ([("decode", 1), ("detect", 1), ("detect", 2), ("decode", 2), ("decode", 3)], [0, 3]),
        ([("detect", 1), ("detect", 1), ("detect", 2)], [0, 2]),
        ([("detect", 1), ("detect", 1)], [0]),
        ([("transcribe", 1), ("transcribe", 2)], [0]),
    ],
    ids=repr,
)
def test_take(waiting: list[tuple[str, int]], taken: list[int]) -> None:
    requests = queue(*waiting)
    assert [request.id for request in take(requests, LIMITS)] == taken
    assert [request.id for request in requests] == [n for n in range(len(waiting)) if n not in taken]


@given(st.lists(st.tuples(st.sampled_from(sorted(JOBS)), st.integers(0, 3)), max_size=30))
def test_everything_is_taken_once_and_each_stream_keeps_its_order(items: list[tuple[str, int]]) -> None:
    waiting, order = queue(*items), []
    while waiting:
        oldest = waiting[0].id
        batch = take(waiting, LIMITS)
        assert batch[0].id == oldest, "nothing starves"
        assert len({type(request.job) for request in batch}) == 1
        assert len({request.stream for request in batch}) == len(batch) <= LIMITS.get(type(batch[0].job), 1)
        order += batch
    assert sorted(request.id for request in order) == [*range(len(items))]
    for kind in JOBS.values():
        for stream in range(4):
            ids = [r.id for r in order if r.stream == stream and type(r.job) is type(kind)]
            assert ids == sorted(ids)
