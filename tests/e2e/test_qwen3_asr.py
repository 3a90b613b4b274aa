"""Qwen3-ASR as the second pass, over real HTTP: live, of files, and while its server is in a bad way."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from websockets.sync.client import connect

from tests.qwen3_asr_stub import AsrStub
from tests.support import SPEECH, Recorder, Server, utterance
from xingji.core.types import Samples

MODEL, TEXT = "qwen3-asr-1.7b", "千问说的是这一句。"
SAID = "question"
CHECK_S = 0.3


@pytest.fixture(scope="module")
def stub() -> Iterator[AsrStub]:
    with AsrStub(TEXT) as running:
        yield running


@pytest.fixture(scope="module")
def asking(models: Path, stub: AsrStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "QWEN3_VLLM_HOST": "127.0.0.1",
        "QWEN3_VLLM_PORT": str(stub.port),
        "QWEN3_ASR_TIMEOUT_S": "1.5",
        "QWEN3_ASR_CHECK_S": str(CHECK_S),
    }
    with Server(tmp_path_factory.mktemp("qwen3"), **settings) as running:
        yield running


@pytest.fixture(autouse=True)
def well(asking: Server, stub: AsrStub) -> None:
    """The stub answers again, and the server has found that out."""
    stub.mode, stub.text = "normal", TEXT
    upload(asking, model=MODEL)  # so that its server is looked after, whichever test runs first
    asking.wait(lambda: not resting(asking), 10)
    if resting(asking):
        time.sleep(2 * CHECK_S)
    stub.heard.clear()
    stub.requests.clear()


def resting(server: Server) -> bool:
    return bool(server.get("/api/health").json()["recognisers"][MODEL]["resting"])


def record(server: Server, **options: object) -> Recorder:
    with Recorder(server.url) as client:
        client.start(**options)
        client.play(utterance(SAID).pcm, pace=0)
        client.stop()
    return client


def upload(server: Server, **fields: str) -> Any:
    answer = server.post(
        "/api/asr/transcribe", files={"file": ("a.wav", (SPEECH / f"{SAID}.wav").read_bytes())}, data=fields
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_a_recording_whose_second_pass_it_makes(asking: Server, stub: AsrStub) -> None:
    client = record(asking, model=MODEL, hotwords=["星纪"], language="zh")
    (started,), (final,) = client.named("recording_started"), client.named("final_result")
    assert started["config"]["model"] == MODEL
    assert final["sensevoice"] == TEXT and final["paraformer"] not in ("", TEXT) and final["error"] is None
    (sentence,) = final["sentences"]
    assert (sentence["source"], sentence["fallback"], sentence["text"]) == (MODEL, None, TEXT)
    assert sentence["readings"] == {"paraformer": final["paraformer"], MODEL: TEXT} and sentence["language"] == "zh"
    stages = [(b["sentence"]["stage"], b["sentence"]["source"]) for b in client.named("segment_result")]
    assert ("second_pass", MODEL) in stages
    (request,) = stub.requests
    assert request["messages"][0] == {"role": "system", "content": "星纪"}
    assert request["messages"][-1]["content"] == "language Chinese<asr_text>"


def test_it_hears_exactly_the_segment(asking: Server, stub: AsrStub) -> None:
    final = record(asking, model=MODEL).named("final_result")[0]
    (heard,), (sentence,) = stub.heard, final["sentences"]
    spoken: Samples = np.frombuffer(utterance(SAID).pcm, "<i2")
    begin, end = sentence["start_ms"] * 16, sentence["end_ms"] * 16
    assert abs(len(heard) - (end - begin)) < 32
    offsets = range(max(0, begin - 32), begin + 32)
    assert any(np.array_equal(spoken[at : at + len(heard)], heard) for at in offsets)


def test_a_file_that_it_transcribes(asking: Server) -> None:
    for field in ("model", "model_id"):
        data = upload(asking, **{field: MODEL})
        assert (data["text"], data["model"], data["fallback"]) == (TEXT, "Qwen3-ASR-1.7B", None)
    plain = upload(asking)
    assert plain["model"] == "SenseVoice" and plain["text"] != TEXT


def test_its_words_have_times_though_it_knows_none(asking: Server, stub: AsrStub) -> None:
    said = utterance(SAID)
    stub.text = said.written
    (sentence,) = record(asking, model=MODEL).named("final_result")[0]["sentences"]
    assert (sentence["text"], sentence["timestamp_source"]) == (said.written, "ctc_alignment")
    letters = [c for c in said.written if c.isalnum()]
    data = upload(asking, model=MODEL)
    for words in (sentence["words"], data["words"]):
        assert [word["text"] for word in words] == letters and all(word["confidence"] is None for word in words)
        assert abs(words[0]["start_ms"] - said.sentences[0]["begin_ms"]) < 150
        assert abs(words[-1]["end_ms"] - said.sentences[0]["end_ms"]) < 250
        assert all(left["end_ms"] <= right["start_ms"] for left, right in pairwise(words))


@pytest.mark.parametrize(
    ("mode", "fallback"),
    [
        ("loading", {"http_error", "circuit_open"}),
        ("timeout", {"timeout"}),
        ("hang_up", {"http_error"}),
        ("truncated", {"http_error"}),
        ("not_a_completion", {"rejected"}),
        ("cut_short", {"rejected"}),
        ("wrong_model", {"wrong_model"}),
    ],
)
def test_sensevoice_stands_in_and_the_sentence_says_so(
    mode: str, fallback: set[str], asking: Server, stub: AsrStub
) -> None:
    stub.mode = mode
    begun = time.monotonic()
    final = record(asking, model=MODEL).named("final_result")[0]
    own = record(asking).named("final_result")[0]
    assert time.monotonic() - begun < 30
    (sentence,) = final["sentences"]
    assert sentence["source"] == "sensevoice" and sentence["fallback"] in fallback and not sentence["missing"]
    assert final["sensevoice"] == own["sensevoice"] != TEXT and final["error"] is None
    assert own["sentences"][0]["fallback"] is None
    data = upload(asking, model=MODEL)
    assert data["model"] == "SenseVoice" and data["fallback"] in fallback | {"circuit_open"} and not data["missing"]


@pytest.mark.parametrize(
    ("mode", "text"),
    [("no_tag", TEXT), ("lower_case", TEXT), ("two_languages", TEXT), ("loop", TEXT + "啊。"), ("none", "")],
)
def test_odd_answers(mode: str, text: str, asking: Server, stub: AsrStub) -> None:
    stub.mode = mode
    data = upload(asking, model=MODEL)
    assert (data["text"], data["fallback"], data["missing"]) == (text, None, [])


def test_what_says_that_nobody_spoke_takes_the_sentence_back(asking: Server, stub: AsrStub) -> None:
    stub.mode = "none"
    final = record(asking, model=MODEL).named("final_result")[0]
    assert final["sentences"] == [] and final["llm_merged"] == "" and final["error"] is None


def test_a_server_that_was_away_is_used_again_without_a_restart(asking: Server, stub: AsrStub) -> None:
    stub.mode = "loading"
    asking.wait(lambda: resting(asking), 10)
    asked = len(stub.heard)
    begun = time.monotonic()
    assert upload(asking, model=MODEL)["fallback"] == "circuit_open"
    assert len(stub.heard) == asked, "no sentence waits for a server that is known to be away"
    health = asking.get("/api/health").json()
    assert health["recognisers"][MODEL]["problem"] == "loading" and health["status"] == "ok"
    listed = {one["id"]: one for one in asking.get("/api/asr/models").json()["data"]["models"]}
    assert (listed[MODEL]["available"], listed[MODEL]["problem"]) == (True, "loading")
    stub.mode = "normal"
    asking.wait(lambda: not resting(asking), 10)
    assert upload(asking, model=MODEL)["text"] == TEXT
    assert time.monotonic() - begun < 30


def test_unknown_models_are_refused(asking: Server) -> None:
    with Recorder(asking.url) as client:
        for wrong in ({"model": "whisper"}, {"model_id": "vad"}, {"model": "Qwen/Qwen2-Audio-7B-Instruct"}):
            ack = client.client.call("start_recording", wrong, timeout=20)
            assert (ack["ok"], ack["code"], ack["field"]) == (False, "unknown_model", "model")
            assert ack["models"] == ["sensevoice", MODEL, "qwen3-asr-0.6b"]
        ack = client.client.call("start_recording", {"model": MODEL, "vllm_host": "127.0.0.1"}, timeout=20)
        assert (ack["code"], ack["field"]) == ("bad_config", "vllm_host"), "no client sends audio anywhere it likes"
        assert client.start()["ok"]
    file = {"file": ("a.wav", (SPEECH / f"{SAID}.wav").read_bytes())}
    answer = asking.post("/api/asr/transcribe", files=file, data={"model": "whisper"})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "unknown_model", "model")


def test_the_server_wide_default(models: Path, stub: AsrStub, tmp_path: Path) -> None:
    own = {"models": {"qwen3-asr-0.6b": {
        "name": "小", "engine": "qwen3", "languages": ["zh"], "models": {"offline": "Qwen/Qwen3-ASR-0.6B"},
        "supports_realtime": False, "extra_kwargs": {"vllm_host": "127.0.0.1", "vllm_port": stub.port},
    }}}  # fmt: skip
    (tmp_path / "own.json").write_text(json.dumps(own), "utf-8")
    settings = {"XINGJI_REGISTRY": str(tmp_path / "own.json"), "DEFAULT_ASR_MODEL": "qwen3-asr-0.6b"}
    with Server(tmp_path, **settings) as server:
        assert (data := upload(server))["text"] == TEXT and data["model"] == "小"
        final = record(server).named("final_result")[0]
        assert final["sensevoice"] == TEXT and final["paraformer"] == "", "it shows no text meanwhile"
        assert upload(server, model="sensevoice")["model"] == "SenseVoice"
        assert server.get("/api/asr/models").json()["data"]["default_model"] == "qwen3-asr-0.6b"


def test_every_other_door_hears_it_too(models: Path, stub: AsrStub, tmp_path: Path) -> None:
    settings = {"DEFAULT_ASR_MODEL": MODEL, "QWEN3_VLLM_HOST": "127.0.0.1", "QWEN3_VLLM_PORT": str(stub.port)}
    pcm = utterance(SAID).pcm
    with Server(tmp_path, **settings) as server:
        address = server.url.replace("http", "ws", 1)
        for door in (gateway, live_gateway, dashscope):
            stub.requests.clear()
            assert door(address, pcm) == [TEXT], door.__name__
            assert len(stub.requests) == 1, "one segment, asked once"
        body, asked = (SPEECH / f"{SAID}.wav").read_bytes(), {"model_id": MODEL}
        nls = requests.post(f"{server.url}/stream/v1/asr", params=asked, data=body, timeout=60).json()
        assert (nls["result"], nls["fallback"]) == (TEXT, None)
        assert MODEL in server.get("/stream/v1/asr/health").json()["loaded_models"]


def gateway(address: str, pcm: bytes) -> list[str]:
    """Whole sentences that the client has cut."""
    with connect(f"{address}/ws/asr", proxy=None) as socket:
        socket.send(pcm)
        socket.send('{"type":"speech_end"}')
        return [json.loads(socket.recv(60))["text"]]


def live_gateway(address: str, pcm: bytes) -> list[str]:
    with connect(f"{address}/ws/asr?mode=stream", proxy=None) as socket:
        socket.send(pcm)
        socket.send('{"end_signal":true}')
        while not (body := json.loads(socket.recv(60)))["is_final"]:
            pass
        return [body["text"]]


def dashscope(address: str, pcm: bytes) -> list[str]:
    header = {"task_id": "a" * 32, "streaming": "duplex"}
    run = {
        "task_group": "audio", "task": "asr", "function": "recognition", "model": "paraformer-realtime-v2",
        "parameters": {"format": "pcm", "sample_rate": 16_000}, "input": {},
    }  # fmt: skip
    with connect(f"{address}/api-ws/v1/inference", proxy=None) as socket:
        socket.send(json.dumps({"header": {**header, "action": "run-task"}, "payload": run}))
        assert json.loads(socket.recv(60))["header"]["event"] == "task-started"
        socket.send(pcm)
        socket.send(json.dumps({"header": {**header, "action": "finish-task"}, "payload": {"input": {}}}))
        said = []
        while (told := json.loads(socket.recv(60)))["header"]["event"] == "result-generated":
            if (sentence := told["payload"]["output"]["sentence"])["sentence_end"]:
                said.append(sentence["text"])
        assert told["header"]["event"] == "task-finished"
        return said
