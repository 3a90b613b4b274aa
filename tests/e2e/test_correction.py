"""Correction by an LLM over real HTTP: it may only improve, and whatever it does, the result is in time."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.llm_stub import LlmStub
from tests.support import Recorder, Server, utterance

SAID = "name_zhangwei"


@pytest.fixture(scope="module")
def stub() -> Iterator[LlmStub]:
    with LlmStub() as running:
        yield running


@pytest.fixture(scope="module")
def correcting(models: Path, stub: LlmStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"LLM_API_URL": stub.url, "LLM_MODEL": "stub", "LLM_TIMEOUT_S": "1.5", "XINGJI_FINAL_WAIT_S": "2"}
    with Server(tmp_path_factory.mktemp("llm"), **settings) as running:
        yield running


def record(server: Server, **options: object) -> Recorder:
    with Recorder(server.url) as client:
        client.start(**options)
        client.play(utterance(SAID).pcm, pace=0)
        client.stop()
    return client


def test_what_it_may_change_is_changed_and_the_result_says_so(correcting: Server, stub: LlmStub) -> None:
    stub.mode, stub.replacements = "normal", {"。": "！"}
    final = record(correcting).named("final_result")[0]
    assert final["llm_merged"] == final["sensevoice"].replace("。", "！") != final["sensevoice"]
    assert final["llm"] == {"used": True, "model": "stub", "fallback": None, "rejected_edits": 0}
    sentence = final["sentences"][0]
    assert (sentence["stage"], sentence["source"]) == ("corrected", "llm")
    assert sentence["readings"]["sensevoice"] == final["sensevoice"]
    assert {"from": "。", "to": "！", "reason": "writing"} in sentence["edits"]
    assert "".join(item["text"] for item in final["timestamps"]) == final["llm_merged"]
    assert 'xingji_edits_total{outcome="accepted",reason="writing"}' in correcting.get("/metrics").text


def test_what_it_may_not_change_stays(correcting: Server, stub: LlmStub) -> None:
    stub.mode, stub.replacements = "normal", {"24": "25", "会议": "天气", "提交": "提教"}
    final = record(correcting).named("final_result")[0]
    assert final["llm_merged"] == final["sensevoice"]
    assert final["llm"]["rejected_edits"] == 3
    assert {"digits", "unlikely"} <= {edit["reason"] for edit in final["sentences"][0]["rejected"]}


@pytest.mark.parametrize("mode", ["injected", "ten_times", "out_of_guard", "cut_short", "wrong_schema"])
def test_a_model_that_obeys_or_rambles_changes_nothing(correcting: Server, stub: LlmStub, mode: str) -> None:
    stub.mode, stub.replacements = "normal", {}
    record(correcting)  # closes the circuit again
    stub.mode = mode
    final = record(correcting).named("final_result")[0]
    assert final["llm_merged"] == final["sensevoice"] and final["error"] is None
    assert all(edit["reason"] == "vote" for edit in final["sentences"][0]["edits"])


def test_sentences_that_it_invents_change_nothing_and_the_others_stand(correcting: Server, stub: LlmStub) -> None:
    stub.mode, stub.replacements = "numbers_of_no_sentence", {"。": "！"}
    final = record(correcting).named("final_result")[0]
    assert final["llm_merged"] == final["sensevoice"].replace("。", "！")


def test_a_recording_may_do_without(correcting: Server, stub: LlmStub) -> None:
    stub.mode, stub.replacements = "normal", {"。": "！"}
    asked = len(stub.requests)
    final = record(correcting, llm=False).named("final_result")[0]
    assert final["llm_merged"] == final["sensevoice"] and final["llm"]["fallback"] == "disabled"
    assert len(stub.requests) == asked


@pytest.mark.parametrize(
    ("mode", "fallback"),
    [
        ("timeout", {"timeout"}),
        ("slow_drip", {"timeout"}),
        ("hang_up", {"http_error"}),
        ("unavailable", {"http_error"}),
        ("not_json", {"rejected"}),
        ("unclosed_think", {"rejected"}),
    ],
)
def test_a_failing_model_leaves_the_second_pass(
    mode: str, fallback: set[str], correcting: Server, stub: LlmStub
) -> None:
    stub.mode, stub.replacements = "normal", {"。": "！"}
    assert record(correcting).named("final_result")[0]["llm"]["used"]  # which also closes the circuit again
    stub.mode = mode
    begun = time.monotonic()
    client = record(correcting)
    waited = time.monotonic() - begun
    final = client.named("final_result")[0]
    names = [name for name, _ in client.events]
    assert final["sensevoice"] and final["llm_merged"] == final["sensevoice"]
    assert final["llm"]["used"] is False and final["llm"]["fallback"] in fallback
    assert names.index("recording_stopped") < names.index("final_result") and final["error"] is None
    assert waited < 30  # bounded by LLM_TIMEOUT_S and XINGJI_FINAL_WAIT_S, with room for a busy machine
    health = correcting.get("/api/health").json()["llm"]
    assert health["configured"] and health["model"] == "stub" and health["external"] is False
