"""Qwen3-ASR over HTTP, against a real server in every mood."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.qwen3_asr_stub import MODES, AsrStub
from xingji.core.messages import Lost, NoSpeech, Transcribe
from xingji.core.types import SAMPLE_RATE, Hypothesis
from xingji.engines.endpoint import REST_S
from xingji.engines.qwen3_asr import Qwen3Asr, reading
from xingji.engines.qwen3_parse import LANGUAGES, SHORTEST, parse, without_loops

MODEL = "Qwen/Qwen3-ASR-1.7B"
SAID = "今天天气很好。"
READ = Hypothesis(SAID, language="zh")
SOUND = np.arange(-8000, 8000, dtype=np.int16)


def job(language: str = "auto", samples: Any = SOUND, bias: tuple[str, ...] = ()) -> Transcribe:
    return Transcribe(0, samples, language, True, "qwen3-asr-1.7b", bias)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stub() -> Iterator[AsrStub]:
    with AsrStub(SAID) as server:
        yield server


@pytest.fixture
def asr(stub: AsrStub) -> Iterator[Qwen3Asr]:
    made = Qwen3Asr(stub.url, MODEL, api_key="sk-secret", timeout_s=0.6)
    yield made
    made.close()


MOODS: dict[str, tuple[Hypothesis | NoSpeech | Lost, int]] = {  # mode → answer, requests made
    "normal": (READ, 1),
    "none": (NoSpeech(), 1),
    "none_alone": (NoSpeech(), 1),
    "empty": (Hypothesis(""), 1),
    "no_tag": (Hypothesis(SAID), 1),
    "no_tag_but_language": (READ, 1),
    "lower_case": (READ, 1),
    "spaces": (READ, 1),
    "lines": (READ, 1),
    "two_languages": (READ, 1),
    "tag_again": (Hypothesis(SAID + " OK", language="zh"), 1),
    "special_tokens": (READ, 1),
    "loop": (Hypothesis(SAID + "啊", language="zh"), 1),
    "loop_of_words": (Hypothesis(SAID + "谢谢大家，", language="zh"), 1),
    "loop_cut_short": (Hypothesis(SAID + "谢谢大家，", language="zh"), 1),
    "cut_short": (Lost("rejected"), 1),
    "null_content": (Lost("rejected"), 1),
    "not_a_completion": (Lost("rejected"), 1),
    "not_json": (Lost("rejected"), 1),
    "no_choices": (Lost("rejected"), 1),
    "endless": (Lost("http_error"), 2),
    "strict_keys": (READ, 1),
    "unauthorized": (Lost("http_error"), 1),
    "rate_limited": (Lost("http_error"), 2),
    "loading": (Lost("http_error"), 2),
    "loading_once": (READ, 2),
    "wrong_model": (Lost("wrong_model"), 1),
    "hang_up": (Lost("http_error"), 2),
    "truncated": (Lost("http_error"), 2),
    "timeout": (Lost("timeout"), 1),
    "slow_drip": (Lost("timeout"), 1),
}


def test_every_mood_of_the_stub_is_held() -> None:
    assert set(MOODS) == set(MODES)


@pytest.mark.parametrize("mode", MOODS)
def test_mood(mode: str, stub: AsrStub, asr: Qwen3Asr) -> None:
    stub.mode = mode
    expected, requests = MOODS[mode]
    assert asr.transcribe(job()) == expected
    assert len(stub.heard) == requests


def test_nobody_listens(stub: AsrStub) -> None:
    asr = Qwen3Asr("http://127.0.0.1:9", MODEL, timeout_s=0.6)
    assert asr.transcribe(job()) == Lost("http_error")
    assert asr.check() is False and asr.status().problem == "unreachable" and asr.status().reachable is False
    asr.close()


def test_what_goes_over_the_wire(stub: AsrStub, asr: Qwen3Asr) -> None:
    asr.transcribe(job())
    (request,) = stub.requests
    (user,) = request["messages"]
    assert request["path"] == "/v1/chat/completions" and stub.headers[0]["authorization"] == "Bearer sk-secret"
    assert (request["model"], request["temperature"], request["max_tokens"]) == (MODEL, 0, 96)
    assert [part["type"] for part in user["content"]] == ["audio_url"], "a text beside the audio means nothing to it"
    assert set(request) == {"path", "model", "messages", "temperature", "max_tokens"}
    np.testing.assert_array_equal(stub.heard[0], SOUND)


@pytest.mark.parametrize("length", [0, 1, 160, SHORTEST - 1, SHORTEST, SHORTEST + 1, 30 * SAMPLE_RATE])
def test_short_audio_is_padded_with_silence(length: int, stub: AsrStub, asr: Qwen3Asr) -> None:
    asr.transcribe(job(samples=np.full(length, 7, np.int16)))
    (heard,) = stub.heard
    assert len(heard) == max(length, SHORTEST) and (heard[:length] == 7).all() and not heard[length:].any()


def test_hotwords_are_the_system_message(stub: AsrStub, asr: Qwen3Asr) -> None:
    words = ("星纪", 'a"b', "data:audio/wav;base64,AAAA")
    asr.transcribe(job(bias=words))
    system, user = stub.requests[0]["messages"]
    assert system == {"role": "system", "content": '星纪 a"b AAAA'} and user["role"] == "user"
    np.testing.assert_array_equal(stub.heard[0], SOUND)


@pytest.mark.parametrize(("code", "name"), LANGUAGES.items())
def test_a_language_is_forced_by_beginning_the_answer(code: str, name: str, stub: AsrStub, asr: Qwen3Asr) -> None:
    assert asr.transcribe(job(code)) == Hypothesis(SAID, language=code)
    (request,) = stub.requests
    assert request["messages"][-1] == {"role": "assistant", "content": f"language {name}<asr_text>"}
    assert (request["add_generation_prompt"], request["continue_final_message"]) == (False, True)


def test_a_server_that_refuses_that_is_not_asked_so_again(stub: AsrStub, asr: Qwen3Asr) -> None:
    stub.mode = "strict_keys"
    assert asr.transcribe(job("zh")) == asr.transcribe(job("zh")) == READ
    assert ["continue_final_message" in request for request in stub.requests] == [True, False, False]


def test_a_chat_model_is_told_what_to_do(stub: AsrStub) -> None:
    asr = Qwen3Asr(stub.url, "Qwen/Qwen2-Audio-7B-Instruct", instruction="请逐字转写。")
    for said in (
        "今天天气很好。",
        "这段音频的原始内容是：'今天天气很好。'",
        "The original content of this audio is: “今天天气很好”",
    ):
        stub.text, stub.mode = said, "no_tag"
        answer = asr.transcribe(job("zh", bias=("星纪",)))
        assert isinstance(answer, Hypothesis) and answer.text.rstrip("。") == "今天天气很好"
    system, user = stub.requests[0]["messages"]
    assert user["content"][1] == {"type": "text", "text": "请逐字转写。"} and system["content"] == "星纪"
    assert "continue_final_message" not in stub.requests[0]
    asr.close()


# -- while the server is away -------------------------------------------------------------


def test_a_broken_server_is_left_alone_and_found_again() -> None:
    clock = Clock()
    with AsrStub(SAID, mode="unauthorized") as stub:
        asr = Qwen3Asr(stub.url, MODEL, clock=clock)
        reasons = [answer.reason for answer in (asr.transcribe(job()) for _ in range(7)) if isinstance(answer, Lost)]
        assert reasons == ["http_error"] * 5 + ["circuit_open"] * 2 and len(stub.heard) == 5
        assert asr.status().resting and asr.status().problem == "failing"
        stub.mode = "normal"
        clock.now += REST_S
        assert asr.transcribe(job()) == READ and not asr.status().resting
        asr.close()


@pytest.mark.parametrize(("mode", "problem"), [("loading", "loading"), ("normal", "wrong_model")])
def test_a_check_that_finds_it_away_spares_every_segment_the_wait(mode: str, problem: str, stub: AsrStub) -> None:
    clock = Clock()
    served, stub.mode = stub.served, mode
    stub.served = ("Qwen/Qwen3-8B",)
    asr = Qwen3Asr(stub.url, MODEL, clock=clock)
    assert asr.check() is False and asr.status().problem == problem
    assert asr.transcribe(job()) == Lost("circuit_open") and not stub.heard
    stub.mode, stub.served = "normal", served
    assert asr.check() is True and asr.status().problem is None
    assert asr.transcribe(job()) == READ and asr.status().resting is False
    assert stub.looked[:2] == ["/health", "/v1/models"] or stub.looked[0] == "/health"
    asr.close()


def test_the_status_tells_no_secret(asr: Qwen3Asr, stub: AsrStub) -> None:
    assert "sk-secret" not in repr(asr.status()) and asr.status().external is False
    with pytest.raises(ValueError, match="http"):
        Qwen3Asr("ftp://x", MODEL)
    with pytest.raises(ValueError, match="empty"):
        Qwen3Asr("", MODEL)
    with pytest.raises(ValueError, match="ASCII"):
        Qwen3Asr("http://x", MODEL, api_key="密")


# -- what it says -------------------------------------------------------------------------


def completion(content: object, finish: str = "stop") -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": finish}]}).encode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("language Chinese<asr_text>你好。", ("chinese", "你好。")),
        ("language English, Chinese<asr_text>hi 你好", ("english", "hi 你好")),
        ("language None<asr_text>", ("none", "")),
        ("LANGUAGE none < ASR_TEXT > ", ("none", "")),
        ("<asr_text>你好", ("", "你好")),
        ("language<asr_text>你好", ("", "你好")),
        ("你好", ("", "你好")),
        ("Language models are fun.", ("", "Language models are fun.")),
        ("language Chinese is hard", ("", "language Chinese is hard")),
        ("language Chinese\n你好", ("chinese", "你好")),
        ("language Cantonese<asr_text>我<asr_text>哋", ("cantonese", "我哋")),
        ("", ("", "")),
    ],
)
def test_parsing(raw: str, expected: tuple[str, str]) -> None:
    assert parse(raw) == expected


@pytest.mark.parametrize(
    ("content", "asked", "expected"),
    [
        ("language Mandarin<asr_text>好", "auto", Hypothesis("好", language="zh")),
        ("language German<asr_text>Guten Tag", "auto", Hypothesis("Guten Tag")),
        ("Guten Tag", "en", Hypothesis("Guten Tag", language="en")),
        ("language None<asr_text>好", "auto", Hypothesis("好")),
        ("language Chinese<asr_text>。", "auto", Hypothesis("")),
        ("。", "zh", Hypothesis("")),
        (["a"], "zh", Lost("rejected")),
        ("好" * 20_000, "zh", Lost("rejected")),
    ],
)
def test_reading(content: object, asked: str, expected: object) -> None:
    assert reading(completion(content), asked) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("哈" * 21, "哈"),
        ("哈" * 20, "哈" * 20),
        ("对对对，" * 30, "对对对，"),
        ("a" + "bc" * 25 + "b", "abc"),
        ("bc" * 25 + "d", "bcd"),
        ("0" * 50 + "然后" + "x" * 50, "0然后x"),
    ],
)
def test_loops_are_cut(text: str, expected: str) -> None:
    assert without_loops(text) == expected


@given(st.text(alphabet="language Chins<asr_tx>|你好\n,", max_size=60))
def test_no_answer_breaks_the_reading(content: str) -> None:
    assert isinstance(reading(completion(content), "auto"), Hypothesis | NoSpeech)
    _, text = parse(content)
    assert text == " ".join(text.split()) and "<asr_text>" not in text


@given(st.binary(max_size=40))
def test_no_bytes_break_the_reading(payload: bytes) -> None:
    assert reading(payload, "auto") == Lost("rejected")
