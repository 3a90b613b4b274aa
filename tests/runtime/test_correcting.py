"""Corrections run on few threads, and what has waited too long is not asked at all."""

import threading
from dataclasses import dataclass
from queue import Queue

import pytest

from tests.runtime.fakes import PATIENCE_S
from xingji.core.messages import Correct, Edits, Lost, Result
from xingji.core.types import Edit, Stage
from xingji.runtime.correcting import Corrections

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
        self.asked: Queue[int] = Queue()

    def correct(self, job: Correct) -> Edits | Lost:
        self.asked.put(job.segment)
        assert self.goes_on.wait(PATIENCE_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

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
        corrections.submit(job(), got.put)
        assert got.get(timeout=PATIENCE_S) == result


def test_no_more_are_asked_at_a_time_than_there_are_threads() -> None:
    corrector = Corrector()
    corrections = Corrections(corrector, 2, PATIENCE_S)
    got: Queue[Result] = Queue()
    for segment in range(5):
        corrections.submit(job(segment), got.put)  # never waits
    assert {corrector.asked.get(timeout=PATIENCE_S) for _ in range(2)} == {0, 1}
    assert corrector.asked.empty()
    corrector.goes_on.set()
    assert [got.get(timeout=PATIENCE_S) for _ in range(5)] == [DONE] * 5


def test_one_that_has_waited_too_long_is_not_asked() -> None:
    corrector = Corrector()
    corrector.goes_on.set()
    corrections = Corrections(corrector, 1, -1.0)
    got: Queue[Result] = Queue()
    corrections.submit(job(), got.put)
    assert got.get(timeout=PATIENCE_S) == Lost("timeout")
    assert corrector.asked.empty()


def test_status_is_plain_data() -> None:
    assert Corrections(Corrector(), 1, 1.0).status() == {"configured": True, "reachable": None}
