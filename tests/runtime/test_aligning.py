"""Times for words that were read without: who is asked for them, and that no text waits for long."""

from dataclasses import dataclass, field
from queue import Queue

import numpy as np
import pytest

from tests.runtime.fakes import PATIENCE_S, Engines
from xingji.core.messages import Align, Lost, Result, Transcribe
from xingji.core.types import Hypothesis, Span, Word
from xingji.runtime.aligning import Aligning, Done
from xingji.runtime.metrics import Metrics

JOB = Transcribe(3, np.zeros(1_600, np.int16), "auto", True, "qwen", begin=80)
READ = Hypothesis("四。", language="zh", source="qwen")
WORDS = (Word("四", Span(80, 1_680)),)
TIMED = Hypothesis("四。", words=WORDS, timestamp_source="aligner")


@dataclass
class Aligner:
    answer: Result | None = TIMED  # None: it keeps it to itself
    asked: list[Done] = field(default_factory=list)

    def submit(self, job: Align, done: Done, patient: bool) -> None:
        self.asked.append(done)
        if self.answer is not None:
            done(self.answer)


@dataclass
class World:
    aligner: Aligner | None = None
    within_s: float = PATIENCE_S
    workers: Engines = field(default_factory=lambda: Engines(held={Align}))
    metrics: Metrics = field(default_factory=Metrics)

    def align(self, heard: Hypothesis = READ, patient: bool = False) -> "Queue[Hypothesis]":
        answers: Queue[Hypothesis] = Queue()
        Aligning(self.aligner, self.within_s, self.metrics).align(self.workers, 7, JOB, heard, answers.put, patient)
        return answers


def told(answers: "Queue[Hypothesis]") -> Hypothesis:
    answer = answers.get(timeout=PATIENCE_S)
    assert answers.empty(), "told once"
    return answer


@pytest.mark.parametrize("heard", [Hypothesis("四。", words=WORDS), Hypothesis("")])
def test_what_has_times_or_no_text_is_passed_on(heard: Hypothesis) -> None:
    world = World()
    assert told(world.align(heard)) is heard and world.workers.waiting.empty()
    assert told(World(within_s=0).align()) is READ


def test_the_workers_align_where_nobody_else_does() -> None:
    world = World()
    answers = world.align()
    job = world.workers.answer(Hypothesis("四。", words=WORDS, timestamp_source="ctc_alignment"))
    assert isinstance(job, Align)
    assert (job.segment, job.text, job.language, job.begin) == (3, "四。", "zh", 80) and job.samples is JOB.samples
    expected = Hypothesis("四。", language="zh", source="qwen", words=WORDS, timestamp_source="ctc_alignment")
    assert told(answers) == expected
    assert 'xingji_jobs_total{job="align",outcome="answered"} 1.0' in world.metrics.text().decode()


def test_an_aligner_comes_first() -> None:
    world = World(Aligner())
    answer = told(world.align())
    assert (answer.words, answer.timestamp_source, answer.source) == (WORDS, "aligner", "qwen")
    assert world.workers.waiting.empty()


@pytest.mark.parametrize("answer", [Lost("not_ready"), Hypothesis("四。")])
def test_where_an_aligner_does_not_know_the_workers_are_asked(answer: Result) -> None:
    world = World(Aligner(answer))
    answers = world.align()
    world.workers.answer(Hypothesis("四。", words=WORDS, timestamp_source="ctc_alignment"))
    assert told(answers).timestamp_source == "ctc_alignment"


@pytest.mark.parametrize("answer", [Lost("crashed"), Hypothesis("四。")])
def test_where_nobody_knows_there_are_no_times(answer: Result) -> None:
    world = World()
    answers = world.align()
    world.workers.answer(answer)
    assert told(answers) is READ


def test_nobody_who_waits_for_a_text_waits_for_long() -> None:
    world = World(within_s=0.02)
    answers = world.align()
    assert told(answers) is READ
    world.workers.answer(TIMED)  # comes too late
    assert answers.empty()


def test_the_workers_are_not_asked_when_it_is_too_late() -> None:
    world = World(Aligner(None), within_s=0.02)
    assert told(world.align()) is READ
    assert world.aligner is not None
    world.aligner.asked[0](Lost("crashed"))
    assert world.workers.waiting.empty()


def test_a_file_has_time() -> None:
    world = World(within_s=0.001)
    answers = world.align(patient=True)
    assert answers.empty() and world.workers.patient == {True}
    world.workers.answer(TIMED)
    assert told(answers).words == WORDS
