"""Corrections run on few threads, one request per recording at a time, and what has waited too long is not asked."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Queue

import pytest

from tests.runtime.fakes import PATIENCE_S
from xingji.core.messages import Correct, Edits, Lost, Result
from xingji.core.types import Edit, Stage
from xingji.runtime.correcting import TOGETHER, Corrections

DONE = Edits((Edit(0, 1, "天"),), "Qwen3-8B")


@dataclass(frozen=True)
class Status:
    configured: bool = True
    reachable: bool | None = None


class Corrector:
    """Answers when the test lets it."""

    def __init__(self, answer: Edits | Lost | Exception = DONE) -> None:
        self.answer = answer
        self.goes_on = threading.Event()
        self.asked: Queue[list[int]] = Queue()
        self.within: list[float | None] = []

    def correct(self, jobs: Sequence[Correct], within_s: float | None = None) -> list[Edits | Lost]:
        self.within.append(within_s)
        self.asked.put([job.segment for job in jobs])
        assert self.goes_on.wait(PATIENCE_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer] * len(jobs)

    def status(self) -> Status:
        return Status()


def job(segment: int = 0) -> Correct:
    return Correct(segment, {Stage.SECOND_PASS: "填气"}, ())


@pytest.mark.parametrize(
    ("answer", "result"),
    [(DONE, DONE), (Lost("timeout"), Lost("timeout")), (ZeroDivisionError(), Lost("http_error"))],
    ids=["edits", "lost", "a defect"],
)
def test_the_answer_comes_back(answer: Edits | Lost | Exception, result: Result) -> None:
    corrector = Corrector(answer)
    corrector.goes_on.set()
    corrections = Corrections(corrector, 1, PATIENCE_S)
    for _ in range(2):  # the thread outlives whatever went wrong
        got: Queue[Result] = Queue()
        corrections.submit(1, job(), got.put)
        assert got.get(timeout=PATIENCE_S) == result


def test_no_more_are_asked_at_a_time_than_there_are_threads() -> None:
    corrector = Corrector()
    corrections = Corrections(corrector, 2, PATIENCE_S)
    got: Queue[Result] = Queue()
    for recording in range(5):
        corrections.submit(recording, job(recording), got.put)  # never waits
    assert [*corrector.asked.get(timeout=PATIENCE_S), *corrector.asked.get(timeout=PATIENCE_S)] in ([0, 1], [1, 0])
    assert corrector.asked.empty()
    corrector.goes_on.set()
    assert [got.get(timeout=PATIENCE_S) for _ in range(5)] == [DONE] * 5


def test_what_waits_for_one_recording_goes_together() -> None:
    corrector = Corrector()
    corrections = Corrections(corrector, 4, PATIENCE_S)
    got: Queue[int] = Queue()
    corrections.submit(1, job(0), lambda _: got.put(0))
    assert corrector.asked.get(timeout=PATIENCE_S) == [0]
    for segment in range(1, TOGETHER + 3):
        corrections.submit(1, job(segment), lambda _, segment=segment: got.put(segment))  # type: ignore[misc]
    assert corrector.asked.empty()  # although threads are idle
    corrector.goes_on.set()
    assert [got.get(timeout=PATIENCE_S) for _ in range(TOGETHER + 3)] == [*range(TOGETHER + 3)]
    assert corrector.asked.get(timeout=PATIENCE_S) == [*range(1, TOGETHER + 1)]
    assert corrector.asked.get(timeout=PATIENCE_S) == [TOGETHER + 1, TOGETHER + 2]


def test_one_that_has_waited_too_long_is_not_asked() -> None:
    corrector = Corrector()
    corrector.goes_on.set()
    corrections = Corrections(corrector, 1, -1.0)
    got: Queue[Result] = Queue()
    corrections.submit(1, job(), got.put)
    assert got.get(timeout=PATIENCE_S) == Lost("timeout")
    assert corrector.asked.empty()


def test_waiting_counts_towards_a_sentence_s_time() -> None:
    corrector = Corrector()
    corrections = Corrections(corrector, 1, 2.0)
    got: Queue[Result] = Queue()
    corrections.submit(1, job(0), got.put)
    assert corrector.asked.get(timeout=PATIENCE_S) == [0]
    corrections.submit(1, job(1), got.put)
    begun = time.monotonic()
    while time.monotonic() < begun + 0.2:
        time.sleep(0.02)
    corrector.goes_on.set()
    assert corrector.asked.get(timeout=PATIENCE_S) == [1]
    first, second = corrector.within
    assert first is not None and second is not None and second <= 1.8 < first <= 2.0


def test_status_is_plain_data() -> None:
    assert Corrections(Corrector(), 1, 1.0).status() == {"configured": True, "reachable": None}
