"""Admission, hotwords that reach live recordings, results kept for a while, and an orderly end."""

import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.runtime.conftest import MakeHub
from tests.runtime.fakes import PATIENCE_S, Engines, Listener, Source, in_thread, silence, speech
from xingji.core.errors import XingjiError
from xingji.core.messages import Completed, Correct, Decode, Detect, Job, Lost, Result, SentenceSettled, Transcribe
from xingji.core.types import SAMPLE_RATE, Hotword, Hypothesis, Stage
from xingji.runtime.driver import Driver, Failed, Stopped
from xingji.runtime.headroom import FEW, LATE_S, Headroom
from xingji.runtime.hotword_tables import HotwordTables
from xingji.runtime.hub import Hub, Kept, Limits
from xingji.runtime.metrics import Metrics
from xingji.wire import Pace, Wishes

KEPT = Kept(Completed((), (), (), 0), None)


def opened(hub: Hub, **wishes: Any) -> tuple[Driver, Listener]:
    listener = Listener()
    return hub.open(Wishes(**wishes), Source(), listener), listener


def say(driver: Driver, seconds: float = 1.0) -> None:
    driver.feed(np.concatenate([speech(seconds), silence(0.6)]))


def refused(hub: Hub) -> tuple[str, object]:
    with pytest.raises(XingjiError) as caught:
        hub.open(Wishes(), Source(), Listener())
    return caught.value.code, caught.value.detail["retry_after_ms"]


# -- admission ------------------------------------------------------------------------


def test_no_recording_before_the_models_are_there(make_hub: MakeHub, engines: Engines) -> None:
    hub = make_hub()
    engines.ready = False
    assert refused(hub) == ("not_ready", 1000)
    assert hub.active == 0
    engines.ready = True
    opened(hub)
    assert hub.active == 1


def test_a_full_server_says_so_and_takes_the_next_when_one_has_ended(make_hub: MakeHub) -> None:
    hub = make_hub(limits=Limits(sessions=2))
    (first, _), _ = opened(hub), opened(hub)
    assert (hub.active, hub.capacity) == (2, 2)
    assert refused(hub) == ("busy", 5000)
    first.cancel()
    for thread in threading.enumerate():
        if thread.name == f"recording-{first.stream}":
            thread.join(PATIENCE_S)
    assert hub.active == 1
    opened(hub)
    assert refused(hub) == ("busy", 5000)


def test_without_a_number_it_is_full_while_the_workers_are_behind(make_hub: MakeHub, engines: Engines) -> None:
    hub = make_hub(limits=Limits(sessions=0))
    for _ in range(3):
        opened(hub)
    assert (hub.active, hub.capacity) == (3, None)
    engines.is_behind = True
    assert refused(hub) == ("busy", 5000)
    assert hub.active == 3, "those that run are left alone"
    engines.is_behind = False
    opened(hub)


def test_a_number_is_kept_to_whether_the_workers_are_behind_or_not(make_hub: MakeHub, engines: Engines) -> None:
    engines.is_behind = True
    hub = make_hub(limits=Limits(sessions=1))
    opened(hub)
    assert refused(hub) == ("busy", 5000)


COSTS = {"stream": [{"detect": 0.01, "decode": 0.19}], "segment": [{"transcribe": 0.1}]}


def test_a_live_recording_that_the_workers_do_not_hold_is_refused(make_hub: MakeHub, engines: Engines) -> None:
    engines.costs = COSTS
    metrics = Metrics()
    hub = make_hub(headroom=Headroom(0.6), metrics=metrics)  # three fifths of a worker, a fifth each
    for _ in range(3):
        opened(hub)
    assert (hub.live, hub.live_capacity, hub.capacity) == (3, 3, 100)
    assert refused(hub) == ("busy", 5000)
    opened(hub, stream=False)  # a file waits for people
    assert hub.active == 4
    assert b'xingji_shed_total{what="recording"} 1.0' in metrics.text()


def test_while_texts_come_late_no_recording_begins(make_hub: MakeHub) -> None:
    headroom = Headroom(0.85)
    hub = make_hub(headroom=headroom)
    opened(hub)
    for _ in range(FEW):
        headroom.waited(LATE_S + 0.1)
    assert refused(hub) == ("busy", 5000)
    opened(hub, stream=False)


def test_every_stream_has_its_own_number(make_hub: MakeHub) -> None:
    hub = make_hub()
    assert [opened(hub)[0].stream for _ in range(3)] == [0, 1, 2]


# -- wishes -----------------------------------------------------------------------------


def test_while_live_texts_come_late_corrections_are_left_out_first(make_hub: MakeHub) -> None:
    headroom, metrics = Headroom(0), Metrics()
    driver, listener = opened(make_hub(llm=True, headroom=headroom, metrics=metrics))
    for _ in range(FEW):
        headroom.waited(LATE_S + 0.1)
    say(driver)
    driver.stop("client")
    completed = listener.end()
    assert {lost for reading in completed.readings for lost in reading.lost} == {(Stage.CORRECTED, "overloaded")}
    shed = f'xingji_shed_total{{what="correction"}} {float(len(completed.sentences))}'
    assert shed in metrics.text().decode()


@pytest.mark.parametrize(
    ("wishes", "llm", "asked"),
    [
        ({}, True, {Detect, Decode, Transcribe, Correct}),
        ({"llm": True}, True, {Detect, Decode, Transcribe, Correct}),
        ({"llm": False}, True, {Detect, Decode, Transcribe}),
        ({}, False, {Detect, Decode, Transcribe}),
        ({"llm": True}, False, {Detect, Decode, Transcribe}),
        ({"second_pass": False, "llm": False}, True, {Detect, Decode}),
        ({"stream": False, "llm": False}, True, {Detect, Transcribe}),
        ({"stream": False, "second_pass": False}, False, {Detect, Transcribe}),  # somebody must read it
    ],
    ids=lambda value: repr(value) if not isinstance(value, set) else str(len(value)),
)
def test_only_the_passes_that_were_wished_for_are_asked(
    make_hub: MakeHub, engines: Engines, wishes: dict[str, Any], llm: bool, asked: set[type[Any]]
) -> None:
    seen: set[type[Any]] = set()
    result = engines.result

    def noting(stream: int, job: Job) -> Result:
        seen.add(type(job))
        return result(stream, job)

    engines.result = noting  # type: ignore[method-assign]
    driver, listener = opened(make_hub(llm=llm), **wishes)
    say(driver)
    driver.stop("client")
    listener.end()
    assert seen == asked


def test_wishes_reach_the_engines(make_hub: MakeHub, engines: Engines) -> None:
    engines.held = {Detect, Decode, Transcribe}
    wishes = {"language": "yue", "itn": False, "punctuation": False, "pace": Pace(4321, 80_000)}
    driver, _ = opened(make_hub(), **wishes)
    say(driver)
    driver.stop("client")
    jobs = [engines.answer() for _ in range(4)]
    assert [(job.end_silence, job.longest) for job in jobs if isinstance(job, Detect)][:1] == [(4321, 80_000)]
    assert [job.punctuation for job in jobs if isinstance(job, Decode)][:1] == [False]
    assert [(job.language, job.itn) for job in jobs if isinstance(job, Transcribe)] == [("yue", False)]


def test_a_sentence_is_no_longer_than_wished(make_hub: MakeHub) -> None:
    driver, listener = opened(make_hub(), pace=Pace(longest=4 * SAMPLE_RATE))
    driver.feed(speech(5.0))
    driver.stop("client")
    first, second = listener.end().sentences
    assert first.end == second.start <= 4 * SAMPLE_RATE


# -- hotwords ---------------------------------------------------------------------------


def heard(hub: Hub, engines: Engines, driver: Driver, listener: Listener, text: str) -> str:
    """What one more sentence becomes in the second pass when the recogniser reads ``text``, without its mark."""
    say(driver)
    while not isinstance(engines.answer(Hypothesis(text)), Transcribe):
        pass
    settled = listener.wait_for(SentenceSettled)
    return str(settled.sentence.text).removesuffix("。")


def word(text: str, alias: str) -> Hotword:
    return Hotword(text, aliases=(alias,))


def test_a_new_table_reaches_recordings_that_are_under_way(make_hub: MakeHub, engines: Engines) -> None:
    engines.held = {Transcribe}
    hub = make_hub()
    hub.use_hotwords((word("星纪", "星际"),))
    driver, listener = opened(hub)
    assert heard(hub, engines, driver, listener, "星际和大客") == "星纪和大客"
    hub.use_hotwords((word("DAC", "大客"),))
    assert heard(hub, engines, driver, listener, "星际和大客") == "星际和DAC"


def test_own_words_come_on_top_and_stay_when_the_table_changes(make_hub: MakeHub, engines: Engines) -> None:
    engines.held = {Transcribe}
    hub = make_hub()
    hub.use_hotwords((word("星纪", "星际"),))
    driver, listener = opened(hub, hotwords=(word("DAC", "大客"),))
    other, other_listener = opened(hub)
    assert heard(hub, engines, driver, listener, "星际和大客") == "星纪和DAC"
    assert heard(hub, engines, other, other_listener, "星际和大客") == "星纪和大客"
    hub.use_hotwords(())
    assert heard(hub, engines, driver, listener, "星际和大客") == "星际和DAC"
    hub.use_own_hotwords(driver, (word("张伟", "章伟"),))
    assert heard(hub, engines, driver, listener, "章伟和大客") == "张伟和大客"
    hub.use_hotwords((word("星纪", "星际"),))
    assert heard(hub, engines, driver, listener, "章伟和星际") == "张伟和星纪"


def test_a_named_table_comes_between_the_recordings_own_words_and_the_servers(
    make_hub: MakeHub, engines: Engines, tables: HotwordTables
) -> None:
    engines.held = {Transcribe}
    hub = make_hub()
    hub.use_hotwords((word("服务", "甲"), word("服务二", "乙"), word("服务三", "丙")))
    tables.create([{"text": "命名二", "aliases": ["乙"]}, {"text": "命名三", "aliases": ["丙"]}], "names")
    driver, listener = opened(hub, hotword_table="names", hotwords=(word("自带三", "丙"),))
    assert heard(hub, engines, driver, listener, "甲乙丙") == "服务命名二自带三"
    hub.use_own_hotwords(driver, ())
    assert heard(hub, engines, driver, listener, "甲乙丙") == "服务命名二命名三"
    tables.delete("names")
    hub.use_hotwords(())
    assert heard(hub, engines, driver, listener, "甲乙丙") == "甲命名二命名三", "kept until the recording is over"


def test_a_recording_takes_a_named_table_as_it_is_when_it_starts(
    make_hub: MakeHub, engines: Engines, tables: HotwordTables
) -> None:
    engines.held = {Transcribe}
    hub = make_hub()
    tables.create([{"text": "星纪", "aliases": ["星际"]}], "names")
    before, before_listener = opened(hub, hotword_table="names")
    tables.replace("names", [{"text": "新机", "aliases": ["星际"]}])
    after, after_listener = opened(hub, hotword_table="names")
    assert heard(hub, engines, before, before_listener, "星际") == "星纪"
    assert heard(hub, engines, after, after_listener, "星际") == "新机"


def test_a_table_that_is_not_there_starts_no_recording(make_hub: MakeHub) -> None:
    hub = make_hub()
    with pytest.raises(XingjiError) as caught:
        opened(hub, hotword_table="unknown")
    assert (caught.value.code, caught.value.field) == ("bad_config", "hotword_table")
    assert hub.active == 0


def test_the_streaming_step_is_the_servers(make_hub: MakeHub, engines: Engines) -> None:
    engines.held = {Decode}
    driver, _ = opened(make_hub(chunk=3_840))
    say(driver)
    driver.stop("client")
    job = engines.answer()
    assert isinstance(job, Decode)
    assert job.chunk == 3_840 and (job.last or len(job.samples) % 3_840 == 0)


@pytest.mark.parametrize(
    ("wishes", "preview"), [({}, True), ({"stream": False}, False), ({"partials": False}, False)], ids=str
)
def test_where_nobody_streams_the_second_pass_shows_text_meanwhile(
    make_hub: MakeHub, engines: Engines, wishes: dict[str, Any], preview: bool
) -> None:
    hub = make_hub(streams=False)
    profile = hub._profile(Wishes(second_pass=False, **wishes), None)
    assert (profile.stream, profile.preview, profile.second_pass) == (False, preview, True)
    assert not make_hub()._profile(Wishes(), None).preview


def test_a_preview_gives_way_and_is_the_first_thing_to_be_left_out(make_hub: MakeHub, engines: Engines) -> None:
    job = Transcribe(0, speech(1.0), "auto", True, preview=True)
    answers: list[Result] = []
    metrics = Metrics()
    hub = make_hub(metrics=metrics, streams=False)
    hub.submit(0, job, answers.append)
    assert engines.patient == {True} and answers == [Hypothesis("二。")]
    engines.is_behind = True
    hub.submit(0, job, answers.append)
    hub.submit(0, replace(job, preview=False), answers.append)
    assert answers[1:] == [Lost("overloaded"), Hypothesis("二。")]
    assert 'xingji_shed_total{what="partial"} 1.0' in metrics.text().decode()


def test_words_for_a_recording_that_is_over_are_nothing(make_hub: MakeHub) -> None:
    hub = make_hub()
    driver, listener = opened(hub)
    driver.stop("client")
    listener.end()
    hub.use_own_hotwords(driver, (Hotword("DAC"),))
    hub.use_hotwords((Hotword("DAC"),))
    assert driver.finished.wait(PATIENCE_S)
    assert Failed() not in listener.told


# -- results -------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """``hub``'s clock: its only item is the time."""
    now = [1000.0]
    monkeypatch.setattr("xingji.runtime.hub.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_result_is_awaited_kept_and_gone(make_hub: MakeHub, clock: list[float]) -> None:
    hub = make_hub(limits=Limits(keep_result_s=60.0))
    hub.expect("rec_1")
    clock[0] += 10_000
    assert hub.result("rec_1") is None, "however long it takes"
    hub.keep("rec_1", KEPT)
    clock[0] += 60.0
    assert hub.result("rec_1") is KEPT
    clock[0] += 0.1
    not_found(hub, "rec_1")
    hub.keep("rec_2", KEPT)
    assert [*hub._results] == ["rec_2"], "what is over is not kept in memory"


@pytest.mark.parametrize(
    "gone",
    [lambda hub: None, lambda hub: hub.keep("rec_1", None), lambda hub: hub.forget("rec_1")],
    ids=["never there", "failed", "cancelled"],
)
def test_a_result_that_will_not_come_is_not_found(make_hub: MakeHub, gone: Callable[[Hub], object]) -> None:
    hub = make_hub()
    hub.expect("rec_other")
    gone(hub)
    not_found(hub, "rec_1")
    assert hub.result("rec_other") is None


def not_found(hub: Hub, recording_id: str) -> None:
    with pytest.raises(XingjiError, match="not_found"):
        hub.result(recording_id)


def test_results_come_and_go_from_many_threads(make_hub: MakeHub) -> None:
    hub = make_hub(limits=Limits(keep_result_s=0.0))
    for n in range(1000):  # so that going through them takes a while
        hub.expect(f"rec_{n}")
    errors: list[BaseException] = []

    def churn(name: int) -> None:
        try:
            for n in range(200):
                hub.expect(f"rec_{name}_{n}")
                hub.keep(f"rec_{name}_{n - 1}", KEPT)
                hub.forget(f"rec_{name}_{n - 2}")
        except RuntimeError as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [in_thread(partial(churn, name)) for name in range(4)]
        for thread in threads:
            thread.join(PATIENCE_S)
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


# -- the end ---------------------------------------------------------------------------------


def test_drain_stops_every_recording_and_waits_for_their_results(make_hub: MakeHub, engines: Engines) -> None:
    engines.held = {Transcribe}
    hub = make_hub()
    recordings = [opened(hub) for _ in range(3)]
    for driver, _ in recordings:
        say(driver)
    draining = in_thread(lambda: hub.drain(PATIENCE_S))
    for _, listener in recordings:
        assert listener.wait_for(Stopped).reason == "server_shutdown"
    assert refused(hub) == ("busy", 5000)
    assert draining.is_alive()
    for _ in recordings:
        engines.answer()
    draining.join(PATIENCE_S)
    assert not draining.is_alive()
    assert all([s.text for s in listener.end().sentences] == ["二。"] for _, listener in recordings)


def test_drain_gives_up_in_time(make_hub: MakeHub, engines: Engines) -> None:
    engines.held = {Detect}
    hub = make_hub()
    driver, _ = opened(hub)
    say(driver)
    hub.drain(0.0)
    assert driver.stopped
    assert not driver.finished.is_set()


@pytest.mark.parametrize("live", [True, False])
def test_a_file_gives_way_to_people_who_wait(make_hub: MakeHub, engines: Engines, live: bool) -> None:
    driver = make_hub().open(Wishes(stream=live), Source(), Listener())
    driver.feed(speech(1.0))
    driver.stop("client")
    assert driver.finished.wait(PATIENCE_S)
    assert engines.patient == {not live}
