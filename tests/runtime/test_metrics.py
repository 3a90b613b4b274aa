"""The figures say what happened: counts, waits measured from when the audio came, and nothing that was said."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.runtime.fakes import PATIENCE_S, Engines, Listener, Source, join_recordings, speech
from xingji.core.messages import (
    Correct,
    Decode,
    Detect,
    Edits,
    Forgotten,
    Job,
    Lost,
    Result,
    SentenceDropped,
    SentenceReadings,
    SentenceRevised,
    SentenceSettled,
    SpeechEnded,
    SpeechStarted,
    Transcribe,
)
from xingji.core.types import SAMPLE_RATE, AcceptedEdit, Edit, RejectedEdit, Sentence, Span, Stage
from xingji.runtime.metrics import Metrics, Stopwatch
from xingji.wire import Wishes

NOTHING = np.zeros(0, np.int16)
SECOND = np.zeros(SAMPLE_RATE, np.int16)


def figures(metrics: Metrics) -> dict[str, float]:
    """``name{labels}`` → value."""
    lines = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@dataclass
class Worker:
    pid: int | None = None
    waiting: int = 0
    age_s: float = 0.0
    restarts: int = -1
    state: str = "starting"

    def waited_s(self, patience: int) -> float:
        assert patience == 2
        return self.age_s


@pytest.mark.parametrize("result, outcome", [((), "answered"), (Lost("crashed"), "lost"), (Forgotten(), "forgotten")])
def test_every_answer_is_counted_once_and_passed_on(result: Result, outcome: str) -> None:
    metrics, passed = Metrics(), []
    metrics.asked(Detect(SECOND, 0, True, False, 0, 3200), passed.append)(result)
    assert passed == [result]
    found = figures(metrics)
    assert found[f'xingji_jobs_total{{job="detect",outcome="{outcome}"}}'] == 1
    assert found['xingji_job_seconds_count{job="detect"}'] == 1


def test_the_real_time_factor_can_be_read_off() -> None:
    metrics = Metrics()
    job = Transcribe(0, SECOND, "auto", True)
    for _ in range(3):
        metrics.ran(job, 0.02, 3)
    found = figures(metrics)
    assert found['xingji_engine_busy_seconds_total{job="transcribe"}'] == pytest.approx(0.06)
    assert found['xingji_engine_audio_seconds_total{job="transcribe"}'] == 3
    assert found['xingji_batch_jobs_sum{job="transcribe"}'] == 9


def test_gauges_are_read_when_asked() -> None:
    metrics, worker, active = Metrics(), Worker(), [0]
    metrics.watch_worker("stream", worker)
    room = {"active": lambda: active[0] - 1, "capacity": lambda: 7, "lag": lambda: 0.25}
    metrics.watch_recordings(lambda: active[0], lambda: 10, room)
    found = figures(metrics)
    assert (found["xingji_stream_worker_ready"], found["xingji_stream_worker_restarts"]) == (0, 0)
    worker.state, worker.restarts, worker.waiting, worker.age_s, active[0] = "ready", 2, 5, 1.5, 3
    found = figures(metrics)
    assert (found["xingji_stream_worker_ready"], found["xingji_stream_worker_restarts"]) == (1, 2)
    assert (found["xingji_stream_worker_jobs_waiting"], found["xingji_stream_worker_queue_age_seconds"]) == (5, 1.5)
    assert (found["xingji_recordings_active"], found["xingji_recordings_capacity"]) == (3, 10)
    live = [found[f"xingji_live_{name}"] for name in ("active", "capacity", "lag_seconds")]
    assert live == [2, 7, 0.25]


def test_what_is_left_out_under_load_is_counted() -> None:
    metrics = Metrics()
    chunks = [metrics.asked(Decode(0, np.zeros(n * 9600, np.int16), 0, False, 9600, True), ignore) for n in (1, 3)]
    assert chunks
    metrics.asked(Decode(0, np.zeros(20_000, np.int16), 0, True, 9600, True), ignore)  # the end of a sentence
    metrics.asked(Correct(0, {}, (), ()), ignore)(Lost("timeout"))
    metrics.asked(Correct(0, {}, (), ()), ignore)(Lost("rejected"))  # an answer that was no use
    metrics.asked(Correct(0, {}, (), ()), ignore)(Edits(()))
    metrics.refused()
    found = figures(metrics)
    shed = {what: found[f'xingji_shed_total{{what="{what}"}}'] for what in ("partial", "correction", "recording")}
    assert shed == {"partial": 2, "correction": 1, "recording": 1}


def ignore(result: Result) -> None: ...


@dataclass
class Watched:
    """A stopwatch whose clock is the test's."""

    now: float = 100.0
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.stopwatch = Stopwatch(self.metrics, lambda: self.now)

    def waits(self, name: str) -> tuple[float, float]:
        """How many, and their sum in seconds."""
        found = figures(self.metrics)
        return found[f"xingji_{name}_seconds_count"], pytest.approx(found[f"xingji_{name}_seconds_sum"], abs=1e-6)


def revised(stage: Stage, text: str = "你好", id: int = 7) -> SentenceRevised:
    return SentenceRevised(Sentence(id, 8000, None, stage, 1, text))


def settled(id: int = 7) -> SentenceSettled:
    return SentenceSettled(Sentence(id, 8000, 24_000, Stage.SECOND_PASS, 3, "你好"))


def test_waits_are_counted_from_when_the_audio_came() -> None:
    watched = Watched()
    watch = watched.stopwatch
    for total in range(1600, 32_001, 1600):  # 100 ms frames in real time, from 100.1 s on
        watched.now = 100 + total / SAMPLE_RATE
        watch.arrived(total)
    watched.now = 102.0
    watch.told(SpeechStarted(7, 8000))  # its first sample came with the frame at 100.6 s
    decode = Decode(7, np.zeros(9600, np.int16), 0, False, 9600, True, 8000, needs=19_200)  # there from 101.2 s on
    watched.now = 102.2
    watch.answered(decode)
    watch.told(revised(Stage.PARTIAL, ""))
    assert watched.waits("partial_lag") == (1, 1.0)
    assert watched.waits("first_text") == (0, 0)
    watched.now = 102.6
    watch.told(revised(Stage.PARTIAL))
    watch.told(revised(Stage.PARTIAL, "你好吗"))
    assert watched.waits("first_text") == (1, 2.0)
    watch.told(SpeechEnded(7, Span(8000, 24_000)))
    watched.now = 102.9
    watch.told(revised(Stage.SECOND_PASS))
    watch.told(revised(Stage.SECOND_PASS, "你好。"))
    watched.now = 103.6
    watch.told(settled())
    assert watched.waits("second_pass") == (1, 0.3)
    assert watched.waits("settled") == (1, 1.0)


def test_a_preview_has_a_lag_but_is_no_sign_of_load() -> None:
    watched, lagged = Watched(), []
    watch = Stopwatch(watched.metrics, lambda: watched.now, lagged.append)
    watch.arrived(16_000)
    watched.now = 100.4
    watch.answered(Transcribe(7, np.zeros(16_000, np.int16), "auto", True, preview=True))
    watch.answered(Transcribe(7, np.zeros(16_000, np.int16), "auto", True))
    assert watched.waits("partial_lag") == (1, 0.4) and not lagged


def test_a_lost_second_pass_is_no_wait_for_one() -> None:
    watched = Watched()
    for event in (SpeechStarted(7, 0), SpeechEnded(7, Span(0, 1)), revised(Stage.STREAMED), settled()):
        watched.stopwatch.told(event)
    assert watched.waits("second_pass") == (0, 0)
    assert watched.waits("settled") == (1, 0)


def test_nothing_is_kept_of_sentences_that_are_over() -> None:
    watched = Watched()
    watch = watched.stopwatch
    for id in range(50):
        watch.told(SpeechStarted(id, 0))
        watch.told(SpeechEnded(id, Span(0, 1)))
        watch.told(settled(id) if id % 2 else SentenceDropped(id, Span(0, 1)))
    for total in range(5000):
        watch.arrived(total)
    kept = (watch._begun, watch._ended, watch._silent, watch._awaiting)
    assert not any(kept) and len(watch._arrivals) == Stopwatch.REMEMBERED


def test_audio_too_old_to_be_remembered_gives_no_figure() -> None:
    watched = Watched()
    watched.stopwatch.told(SpeechStarted(7, 0))
    watched.stopwatch.told(revised(Stage.PARTIAL))
    assert watched.waits("first_text") == (0, 0)


def test_a_recording_leaves_its_figures(make_hub: Any, engines: Engines) -> None:
    hub = make_hub()
    listener = Listener()
    driver = hub.open(Wishes(), Source(), listener)
    driver.feed(speech(2.0))
    driver.stop("client")
    assert driver.finished.wait(PATIENCE_S)
    found = figures(hub._metrics)
    assert found['xingji_recordings_total{reason="client"}'] == 1
    assert found['xingji_jobs_total{job="transcribe",outcome="answered"}'] == 1
    assert found["xingji_first_text_seconds_count"] == found["xingji_second_pass_seconds_count"] == 1
    assert found["xingji_partial_lag_seconds_count"] >= 1
    assert found["xingji_settled_seconds_sum"] >= found["xingji_second_pass_seconds_sum"]
    join_recordings()
    assert figures(hub._metrics)["xingji_recordings_active"] == 0


def test_nothing_that_was_said_is_shown() -> None:
    watched = Watched()
    watched.stopwatch.told(SpeechStarted(7, 0))
    watched.stopwatch.arrived(1)
    watched.stopwatch.told(revised(Stage.PARTIAL, "绝密"))
    text = watched.metrics.text().decode()
    assert "绝密" not in text
    assert all(map(math.isfinite, figures(watched.metrics).values()))


def test_jobs_of_every_kind_have_a_name() -> None:
    jobs: list[Job] = [Detect(NOTHING, 0, True, True, 0, 3200), Decode(0, NOTHING, 0, True, 9600, True)]
    metrics = Metrics()
    for job in jobs:
        metrics.ran(job, 0.0, 1)
    assert 'job="decode"' in metrics.text().decode()


def test_edits_are_counted_by_what_spoke_for_or_against_them() -> None:
    metrics = Metrics()
    edit = Edit(0, 1, "天")
    told = SentenceReadings({}, (RejectedEdit(edit, "unlikely"),) * 2, edits=(AcceptedEdit(edit, "填", "vote"),))
    metrics.told([told, SentenceReadings({})])
    text = metrics.text().decode()
    assert 'xingji_edits_total{outcome="rejected",reason="unlikely"} 2.0' in text
    assert 'xingji_edits_total{outcome="accepted",reason="vote"} 1.0' in text
