"""Who transcribes a segment, and what happens where the one that was chosen does not."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from queue import Queue
from typing import Any

import numpy as np
import pytest

from tests.runtime.fakes import PATIENCE_S, Engines
from xingji.backends import places
from xingji.core.errors import XingjiError
from xingji.core.messages import Align, Detect, Job, Lost, NoSpeech, Result, Transcribe
from xingji.core.types import Hypothesis, Span, Word
from xingji.runtime.metrics import Metrics
from xingji.runtime.recognisers import MOST_ADDRESSES, Place, Recognisers, Rules
from xingji.runtime.registry import Arguments, Entry, Registry, RegistryError, read
from xingji.settings import Settings
from xingji.wire import Wishes

BIG, SMALL = "qwen3-asr-1.7b", "qwen3-asr-0.6b"
JOB = Transcribe(0, np.zeros(1600, np.int16), "auto", True, BIG, ("星纪",))
READ = Hypothesis("四。", language="zh")


@dataclass
class Status:
    problem: str | None = None


@dataclass
class Played:
    """A model over HTTP; ``held`` lets its segments wait."""

    place: Place
    answer: Any = READ
    held: threading.Event = field(default_factory=threading.Event)
    asked: list[Transcribe] = field(default_factory=list)
    checked: "Queue[float]" = field(default_factory=Queue)
    closed: threading.Event = field(default_factory=threading.Event)
    busy: int = 0
    most: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def transcribe(self, job: Transcribe) -> Hypothesis | NoSpeech | Lost:
        with self._lock:
            self.asked.append(job)
            self.busy += 1
            self.most = max(self.most, self.busy)
        self.held.wait(PATIENCE_S)
        with self._lock:
            self.busy -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    def check(self) -> bool:
        self.checked.put(time.monotonic())
        return True

    def status(self) -> Status:
        return Status()

    def close(self) -> None:
        self.closed.set()


@dataclass
class World:
    """Recognisers with played servers, the workers beside them, and how they are asked."""

    rules: Rules = field(default_factory=lambda: Rules(threads=2, check_s=PATIENCE_S))
    places: dict[str, Place] = field(default_factory=lambda: {BIG: Place("gpu")})
    registry: Registry = field(default_factory=read)
    metrics: Metrics = field(default_factory=Metrics)
    made: list[Played] = field(default_factory=list)
    workers: Engines = field(default_factory=Engines)
    answer: Any = READ
    waits: bool = False

    def __post_init__(self) -> None:
        self.recognisers = Recognisers(self.registry, self.places, self.make, self.rules, self.metrics)

    def make(self, entry: Entry, place: Place) -> Played:
        self.made.append(Played(place, self.answer))
        if not self.waits:
            self.made[-1].held.set()
        return self.made[-1]

    def ask(self, job: Job = JOB, patience: int = 0) -> "Queue[Result]":
        answers: Queue[Result] = Queue()
        self.recognisers.submit(self.workers, 7, job, answers.put, patience)
        return answers

    def answered(self, job: Job = JOB) -> Result:
        return self.ask(job).get(timeout=PATIENCE_S)

    def close(self) -> None:
        for played in self.made:
            played.held.set()
        self.recognisers.close()
        for played in self.made:
            assert played.closed.wait(PATIENCE_S)


@pytest.fixture
def make() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def made(**settings: Any) -> World:
        worlds.append(World(**settings))
        return worlds[-1]

    yield made
    for world in worlds:
        world.close()


Make = Callable[..., World]

# -- the choice ---------------------------------------------------------------------------


def test_the_default_is_the_workers_own(make: Make) -> None:
    world = make()
    assert world.recognisers.choose(None).key is None and world.recognisers.choose("sensevoice").key is None
    assert world.recognisers.choose(BIG).key == BIG
    assert [played.place.url for played in world.made] == ["http://gpu:8000"], "made when it is first chosen"
    world.recognisers.choose(BIG)
    assert len(world.made) == 1


def test_a_default_that_is_served(make: Make) -> None:
    world = make(registry=read(default_asr=BIG))
    assert (world.recognisers.choose(None).id, world.recognisers.choose("sensevoice").key) == (BIG, None)
    with pytest.raises(RegistryError, match=SMALL):
        make(registry=read(default_asr=SMALL))


def test_clients_of_other_services_have_names_of_their_own(make: Make) -> None:
    choose = make(registry=read(default_asr=BIG)).recognisers.choose
    assert choose("paraformer-realtime-v2").id == choose("fun-asr-realtime-2025-11-07").id == BIG


def test_a_model_that_is_to_be_there_from_the_start(make: Make) -> None:
    registry = read()
    entry = registry.entries[BIG].model_copy(update={"load": "start"})
    world = make(registry=Registry({**registry.entries, BIG: entry}, registry.defaults))
    assert len(world.made) == 1 and world.made[0].checked.get(timeout=PATIENCE_S)


@pytest.mark.parametrize("id", ["whisper", "paraformer", "qwen3-8b", "qwen3-forced-aligner-0.6b", SMALL, "", "a@b"])
def test_what_cannot_be_chosen_is_refused_with_what_can(make: Make, id: str) -> None:
    if not id:
        assert make().recognisers.choose(id).id == "sensevoice"
        return
    with pytest.raises(XingjiError) as caught:
        make().recognisers.choose(id)
    assert (caught.value.code, caught.value.field) == ("unknown_model", "model")
    assert caught.value.detail == {"models": ["sensevoice", BIG]}


def test_a_request_may_name_a_server_that_the_operator_allows(make: Make) -> None:
    world = make(rules=Rules(threads=1, check_s=PATIENCE_S, hosts=("gpu-2", "https://asr.example.com")))
    for host, port in ((None, 9000), ("gpu-3", None), ("gpu", 8000)):
        with pytest.raises(XingjiError) as caught:
            world.recognisers.choose(BIG, host, port)
        assert (caught.value.code, caught.value.field) == ("bad_config", "vllm_host")
    for id, host, port in ((BIG, "gpu-2", 9000), (SMALL, "gpu-2", None), (BIG, "https://asr.example.com", 8443)):
        choice = world.recognisers.choose(id, host, port)
        assert choice.id == id and choice.key is not None and choice.key != id
        assert world.answered(Transcribe(0, JOB.samples, "auto", True, choice.key)) == Hypothesis(
            READ.text, language="zh", source=id
        )
    urls = ["http://gpu-2:9000", "http://gpu-2:8000", "https://asr.example.com:8443"]
    assert [played.place.url for played in world.made] == urls
    assert world.recognisers.choose("sensevoice", "gpu-2").key is None, "the workers are asked nowhere else"


def test_servers_that_requests_name_do_not_add_up(make: Make) -> None:
    world = make(rules=Rules(threads=1, check_s=PATIENCE_S, hosts=("gpu-2",)))
    keys = [world.recognisers.choose(BIG, "gpu-2", port).key for port in range(9000, 9000 + MOST_ADDRESSES + 1)]
    assert world.made[0].closed.wait(PATIENCE_S) and not world.made[1].closed.is_set()
    first = world.answered(Transcribe(0, JOB.samples, "auto", True, keys[0]))
    assert first == Hypothesis("二。", fallback="disabled")
    assert world.recognisers.status() == {}


def test_what_is_listed(make: Make) -> None:
    world = make()
    listed = {one["id"]: one for one in world.recognisers.listing()}
    assert listed[BIG]["available"] and not listed[SMALL]["available"] and listed["vad"]["available"]
    assert [id for id, one in listed.items() if one["default"]] == [
        "vad",
        "paraformer",
        "punc",
        "sensevoice",
        "qwen3-8b",
    ]
    assert "gpu" not in repr(listed), "where it is served is nobody's business"


@pytest.mark.parametrize(
    ("registry", "variables", "expected"),
    [
        ({}, {}, None),
        ({}, {"QWEN3_VLLM_HOST": "a"}, "http://a:8000"),
        ({}, {"QWEN3_VLLM_HOST": "a", "QWEN3_VLLM_PORT": "1"}, "http://a:1"),
        ({}, {"QWEN3_VLLM_PORT": "1"}, None),
        ({}, {"QWEN3_VLLM_HOST": "a", "QWEN3_VLLM_HOST_0_6B": "b", "QWEN3_VLLM_PORT": "1"}, "http://b:1"),
        ({}, {"QWEN3_VLLM_HOST_QWEN3_ASR_0_6B": "b", "QWEN3_VLLM_PORT_QWEN3_ASR_0_6B": "2"}, "http://b:2"),
        ({}, {"QWEN3_VLLM_HOST": "a", "QWEN3_VLLM_PORT_0_6B": "2", "QWEN3_VLLM_PORT": ""}, "http://a:2"),
        ({}, {"QWEN3_VLLM_HOST_1_7B": "c"}, None),
        ({"vllm_host": "r"}, {"QWEN3_VLLM_HOST_0_6B": "b", "QWEN3_VLLM_PORT": "1"}, "http://r:1"),
        ({"vllm_host": "r", "vllm_port": 3}, {"QWEN3_VLLM_HOST_0_6B": "b", "QWEN3_VLLM_PORT_0_6B": "2"}, "http://r:3"),
        ({}, {"QWEN3_VLLM_HOST": "https://asr.example.com/v1"}, "https://asr.example.com/v1"),
        ({}, {"QWEN3_VLLM_HOST": "https://h/v1", "QWEN3_VLLM_PORT": "8443"}, "https://h:8443/v1"),
    ],
)
def test_where_a_model_is_served(
    monkeypatch: pytest.MonkeyPatch, registry: dict[str, Any], variables: dict[str, str], expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    plain = read()
    entry = plain.entries[SMALL].model_copy(update={"extra_kwargs": Arguments(**registry)})
    found = places(Settings(_env_file=None), Registry({**plain.entries, SMALL: entry}, plain.defaults))
    assert (found[SMALL].url if SMALL in found else None) == expected
    assert "sensevoice" not in found and "Qwen/Qwen2-Audio-7B-Instruct" not in found


def test_qwen2_audio_has_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN2_AUDIO_VLLM_HOST", "gpu")
    monkeypatch.setenv("QWEN2_AUDIO_VLLM_PORT", "8001")
    assert places(Settings(_env_file=None), read()) == {"Qwen/Qwen2-Audio-7B-Instruct": Place("gpu", 8001)}


# -- the way there ------------------------------------------------------------------------


def test_a_reading_says_whose_it_is(make: Make) -> None:
    world = make()
    world.recognisers.choose(BIG)
    assert world.answered() == Hypothesis("四。", language="zh", source=BIG)
    assert world.made[0].asked == [JOB]


def test_other_jobs_go_to_the_workers(make: Make) -> None:
    world = make()
    assert world.answered(Transcribe(0, JOB.samples, "auto", True)) == Hypothesis("二。")
    assert world.answered(Detect(JOB.samples, 0, True, False, 800, 1600)) == ()
    assert not world.made


def test_words_that_it_gives_no_times_are_aligned_by_the_workers(make: Make) -> None:
    world = make(workers=Engines(held={Align}))
    world.recognisers.choose(BIG)
    answers = world.ask()
    words = (Word("四", Span(0, 1_600)),)
    job = world.workers.answer(Hypothesis("四。", words=words, timestamp_source="ctc_alignment"))
    assert isinstance(job, Align) and (job.text, job.language) == ("四。", "zh")
    expected = Hypothesis("四。", language="zh", source=BIG, words=words, timestamp_source="ctc_alignment")
    assert answers.get(timeout=PATIENCE_S) == expected


def test_a_preview_is_not_aligned(make: Make) -> None:
    world = make(workers=Engines(held={Align}))
    world.recognisers.choose(BIG)
    assert world.answered(replace(JOB, preview=True)) == Hypothesis("四。", language="zh", source=BIG)


def test_no_speech_is_an_answer(make: Make) -> None:
    world = make(answer=NoSpeech())
    world.recognisers.choose(BIG)
    assert world.answered() == NoSpeech()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Lost("timeout"), "timeout"), (Lost("rejected"), "rejected"), (ZeroDivisionError(), "engine_failed")],
)
def test_what_it_does_not_read_the_workers_read_and_say_so(make: Make, answer: Any, reason: str) -> None:
    world = make(answer=answer)
    world.recognisers.choose(BIG)
    world.workers.held.add(Transcribe)
    answers = world.ask(patience=1)
    job = world.workers.answer()
    assert isinstance(job, Transcribe) and (job.model, job.bias) == (None, ()) and world.workers.patience == {1}
    assert answers.get(timeout=PATIENCE_S) == Hypothesis("二。", fallback=reason)
    assert f'xingji_fallbacks_total{{model="{BIG}",reason="{reason}"}} 1.0' in world.metrics.text().decode()


def test_where_the_workers_fail_as_well_it_is_lost(make: Make) -> None:
    world = make(answer=Lost("timeout"))
    world.recognisers.choose(BIG)
    world.workers.held.add(Transcribe)
    answers = world.ask()
    world.workers.answer(Lost("crashed"))
    assert answers.get(timeout=PATIENCE_S) == Lost("crashed")


def test_so_many_at_a_time_and_people_before_files(make: Make) -> None:
    world = make(waits=True)
    world.recognisers.choose(BIG)
    jobs = [Transcribe(number, JOB.samples, "auto", True, BIG) for number in range(8)]
    played, waiting = world.made[0], [world.ask(job) for job in jobs[:2]]
    while played.busy < 2:
        time.sleep(0.01)
    waiting += [world.ask(job, patience=int(job.segment < 6)) for job in jobs[2:]]
    played.held.set()
    for answers in waiting:
        assert isinstance(answers.get(timeout=PATIENCE_S), Hypothesis)
    assert played.most == 2
    assert {job.segment for job in played.asked[2:4]} == {6, 7}


def test_nobody_who_waits_waits_for_long_but_a_file_does(make: Make) -> None:
    world = make(waits=True, rules=Rules(threads=1, patience_s=0.05, check_s=PATIENCE_S))
    world.recognisers.choose(BIG)
    first, person, file = world.ask(), world.ask(), world.ask(patience=1)
    time.sleep(0.2)
    world.made[0].held.set()
    assert (
        first.get(timeout=PATIENCE_S) == file.get(timeout=PATIENCE_S) == Hypothesis("四。", language="zh", source=BIG)
    )
    assert person.get(timeout=PATIENCE_S) == Hypothesis("二。", fallback="busy")


def test_each_server_is_looked_after_while_it_is_used(make: Make) -> None:
    world = make(rules=Rules(threads=1, check_s=0.02))
    world.recognisers.choose(BIG)
    for _ in range(3):
        world.made[0].checked.get(timeout=PATIENCE_S)
    assert world.recognisers.status() == {BIG: {"problem": None, "waiting": 0}}


# -- recordings ---------------------------------------------------------------------------


def profile(make_hub: Any, world: World, **wishes: Any) -> Any:
    hub = make_hub(recognisers=world.recognisers)
    return hub._profile(Wishes(**wishes), None)


def test_a_profile_names_the_model_and_tells_it_the_hotwords(make: Make, make_hub: Any) -> None:
    from xingji.core.types import Hotword

    words = (Hotword("轻", 10), Hotword("重", 90))
    world = make()
    told = profile(make_hub, world, model=BIG, hotwords=words)
    assert (told.model, told.bias, told.stream) == (BIG, ("重", "轻"), True)
    own = profile(make_hub, world, hotwords=words)
    assert (own.model, own.bias) == (None, ()), "SenseVoice takes none"


def test_a_model_without_realtime_shows_no_text_before_the_second_pass(make: Make, make_hub: Any) -> None:
    registry = read()
    entry = registry.entries[BIG].model_copy(update={"supports_realtime": False})
    world = make(registry=Registry({**registry.entries, BIG: entry}, registry.defaults))
    told = profile(make_hub, world, model=BIG, second_pass=False)
    assert (told.stream, told.second_pass) == (False, True)
