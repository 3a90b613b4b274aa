"""Which waiting jobs go together: the oldest leads, one per stream, never more than the model takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.messages import Decode, Detect, Job, Transcribe
from xingji.runtime.batch import GIVES_WAY, Limit, Request, length, take

NOTHING = np.zeros(0, np.int16)
JOBS: dict[str, Job] = {
    "detect": Detect(NOTHING, 0, True, False, 0, 3200),
    "decode": Decode(0, NOTHING, 0, False, 9600, True),
    "transcribe": Transcribe(0, NOTHING, "auto", True),
}
LIMITS = {Detect: Limit(3), Decode: Limit(2)}  # Transcribe has none: it goes alone


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
        assert len({request.stream for request in batch}) == len(batch) <= LIMITS.get(type(batch[0].job), Limit()).jobs
        order += batch
    assert sorted(request.id for request in order) == [*range(len(items))]
    for kind in JOBS.values():
        for stream in range(4):
            ids = [r.id for r in order if r.stream == stream and type(r.job) is type(kind)]
            assert ids == sorted(ids)


def segments(*lengths: int) -> list[Request]:
    """Segments of one stream."""
    return [
        Request(n, 7, Transcribe(n, np.zeros(samples, np.int16), "auto", True)) for n, samples in enumerate(lengths)
    ]


@pytest.mark.parametrize(
    ("lengths", "taken"),
    [
        ([10, 10, 10], [0, 1, 2]),
        ([30, 10], [0]),  # 2 × 30 would be too much padding
        ([10, 30, 10, 10], [0, 2, 3]),  # what is too long for this batch leads the next
        ([100, 1], [0]),  # a lone job goes, however long
        ([20, 20, 20], [0, 1]),
        ([1] * 9, [0, 1, 2, 3]),
    ],
)
def test_a_batch_holds_so_many_samples_with_its_padding(lengths: list[int], taken: list[int]) -> None:
    limits = {Transcribe: Limit(jobs=4, samples=40, ordered=False)}
    assert [request.id for request in take(segments(*lengths), limits)] == taken


def test_nothing_of_a_stream_overtakes_a_job_that_is_too_long() -> None:
    def decode(id: int, stream: int, samples: int) -> Request:
        return Request(id, stream, Decode(0, np.zeros(samples, np.int16), 0, False, 10, True))

    waiting = [decode(0, 1, 10), decode(1, 2, 90), decode(2, 2, 10), decode(3, 3, 10)]
    limits = {Decode: Limit(jobs=8, samples=60)}
    assert [request.id for request in take(waiting, limits)] == [0, 3]
    assert [request.id for request in take(waiting, limits)] == [1]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 8), st.integers(1, 120))
def test_no_segment_starves_and_no_batch_is_too_large(lengths: list[int], jobs: int, samples: int) -> None:
    waiting, taken = segments(*lengths), []
    while waiting:
        oldest = waiting[0].id
        batch = take(waiting, {Transcribe: Limit(jobs, samples, ordered=False)})
        assert batch[0].id == oldest and len(batch) <= jobs
        assert len(batch) == 1 or len(batch) * max(length(request.job) for request in batch) <= samples
        taken += [request.id for request in batch]
    assert sorted(taken) == [*range(len(lengths))]


def detections(*patience: int, first: int = 0) -> list[Request]:
    """One job for each, all of different streams."""
    return [Request(first + n, first + n, JOBS["detect"], waits) for n, waits in enumerate(patience)]


def test_files_give_way_to_people_and_go_in_batches_of_their_own() -> None:
    waiting = detections(1, 0, 1, 0, 1, 1)
    batches = []
    while batch := take(waiting, LIMITS):
        batches.append([request.id for request in batch])
    assert batches == [[1, 3], [0, 2, 4], [5]]


def test_what_nobody_waits_for_gives_way_to_files_too() -> None:
    waiting = detections(2, 1, 2, 0, 1)
    batches = []
    while batch := take(waiting, LIMITS):
        batches.append([request.id for request in batch])
    assert batches == [[3], [1, 4], [0, 2]]


def test_files_do_not_give_way_for_ever() -> None:
    waiting, turns = detections(1), []
    for turn in range(100):
        waiting += detections(0, first=turn + 1)
        turns += [request.id for request in take(waiting, LIMITS)]
    assert turns.index(0) == GIVES_WAY
    assert sorted(turns + [request.id for request in waiting]) == [*range(101)]


def test_what_was_under_way_when_a_worker_died_goes_alone() -> None:
    waiting = [Request(n, 7, JOBS["transcribe"], alone=n in (0, 2)) for n in range(5)]
    limits = {Transcribe: Limit(jobs=4, ordered=False)}
    batches = []
    while batch := take(waiting, limits):
        batches.append([request.id for request in batch])
    assert batches == [[0], [1, 3, 4], [2]]


def test_what_others_come_from_goes_first_but_not_for_ever() -> None:
    limits = {**LIMITS, Detect: Limit(3, first=True)}
    waiting = queue(("decode", 1), ("detect", 1), ("decode", 2), ("detect", 2))
    assert [request.id for request in take(waiting, limits)] == [1, 3]
    assert [request.id for request in take(waiting, limits)] == [0, 2]
    file, person = Request(0, 1, JOBS["detect"], patience=1), Request(1, 2, JOBS["decode"])
    assert take([file, person], limits) == [person]
    late = Request(GIVES_WAY + 1, 2, JOBS["detect"])
    assert [request.id for request in take([Request(0, 1, JOBS["decode"]), late], limits)] == [0]
