"""``/stream/v1/asr`` as clients of Alibaba's NLS use it: curl, bare samples, chunked bodies, wrong requests."""

import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from tests.e2e.test_upload import encode
from tests.qwen3_asr_stub import AsrStub
from tests.support import RATE, SPEECH, Server, silence, utterance
from xingji.core.scoring import cer

SAID = "two_sentences"
WAV = (SPEECH / f"{SAID}.wav").read_bytes()
PCM = utterance(SAID).pcm


def ask(server: Server, data: Any = WAV, **query: str) -> tuple[int, dict[str, Any]]:
    answer = server.post("/stream/v1/asr", data=data, params=query)
    said = answer.json()
    assert re.fullmatch("[0-9a-f]{32}", said["task_id"]) and answer.headers["task_id"] == said["task_id"]
    return answer.status_code, said


def right(text: str) -> bool:
    return cer([(utterance(SAID).written, text)]) <= 0.1


def test_curl_as_documented(server: Server) -> None:
    curl = shutil.which("curl")
    assert curl, "the test needs curl"
    url = f"{server.url}/stream/v1/asr?model_id=sensevoice"
    command = [curl, "-sS", "-X", "POST", url, "--data-binary", f"@{SPEECH / SAID}.wav"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert (said["status"], said["message"]) == (20_000_000, "SUCCESS") and right(said["result"])
    assert "".join(part["text"] for part in said["segments"]) == said["result"]
    times = [time for part in said["segments"] for time in (part["start_time"], part["end_time"])]
    assert times == sorted(times) and times[-1] <= said["duration"] == round(len(PCM) / 2 / RATE, 3)
    chunked = [*command, "-H", "Transfer-Encoding: chunked"]
    again = json.loads(subprocess.run(chunked, capture_output=True, check=True, timeout=60).stdout)
    assert again["result"] == said["result"] and again["task_id"] != said["task_id"]


@pytest.mark.parametrize(
    "kind", [None, "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "audio/wav"]
)
def test_the_content_type_does_not_matter(server: Server, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = server.post("/stream/v1/asr", data=WAV, headers=headers)
    assert right(answer.json()["result"])


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_bare_samples(server: Server, rate: int) -> None:
    signal = soxr.resample(np.frombuffer(PCM, "<i2"), RATE, rate)
    status, said = ask(server, signal.astype("<i2").tobytes(), format="pcm", sample_rate=str(rate))
    assert status == 200 and said["duration"] == pytest.approx(len(PCM) / 2 / RATE, abs=0.01)
    assert right(said["result"]) or rate == 8_000


@pytest.mark.parametrize("format", ["pcm", "wav", "mp3", ""])
def test_what_it_is_wins_over_what_it_is_called(server: Server, format: str) -> None:
    assert right(ask(server, format=format)[1]["result"])
    assert right(ask(server, encode(PCM, "ogg", "libopus", 48_000), format=format)[1]["result"])


def test_silence(server: Server) -> None:
    status, said = ask(server, silence(2), format="pcm")
    assert (status, said["status"], said["result"], said["segments"]) == (200, 20_000_000, "", [])


def test_marks_and_digits_may_be_left_out(server: Server) -> None:
    plain = ask(server)[1]["result"]
    bare = ask(server, enable_punctuation_prediction="false")[1]["result"]
    assert any(mark in plain for mark in "，。？") and not any(mark in bare for mark in "，。？")
    spoken = ask(server, enable_inverse_text_normalization="0", word_timestamps="1")[1]
    assert not any(map(str.isdigit, spoken["result"]))
    assert not any(mark in segment["text"][:-1] for segment in spoken["segments"] for mark in "，。？")
    tokens = [token for segment in spoken["segments"] for token in segment["word_tokens"]]
    assert "".join(token["text"] for token in tokens) == "".join(c for c in spoken["result"] if c not in "，。？ ")
    assert all(token["start_time"] < token["end_time"] for token in tokens)


def test_hotwords_by_table_and_in_the_request(server: Server) -> None:
    server.tables.mkdir(exist_ok=True)
    (server.tables / "nls.json").write_text('["语音"]', "utf-8")
    try:
        for vocabulary in ("nls", "语音 20 天气 200"):
            assert ask(server, vocabulary_id=vocabulary)[0] == 200
        assert ask(server, vocabulary_id="unknown")[1]["status"] == 40_000_003
    finally:
        (server.tables / "nls.json").unlink()


@pytest.mark.parametrize(
    ("data", "query", "http_status", "status"),
    [
        (b"", {}, 400, 40_000_002),
        (b"", {"audio_address": "http://127.0.0.1/a.wav"}, 400, 40_000_003),
        (b"%PDF-1.7\n" * 100, {}, 400, 40_000_002),
        (WAV[:20], {}, 400, 40_000_002),
        (WAV, {"model_id": "whisper"}, 400, 40_000_003),
        (WAV, {"model_id": "qwen3-asr-1.7b"}, 400, 40_000_003),
        (WAV, {"sample_rate": "7999"}, 400, 41_010_101),
        (WAV, {"sample_rate": "1e9"}, 400, 41_010_101),
        (WAV, {"disfluency": "maybe"}, 400, 40_000_003),
        (WAV, {"vocabulary_id": "../x"}, 400, 40_000_003),
    ],
)
def test_wrong_requests(server: Server, data: bytes, query: dict[str, str], http_status: int, status: int) -> None:
    code, said = ask(server, data, **query)
    assert (code, said["status"], said["result"]) == (http_status, status, "")
    assert re.match(r"Gateway:[A-Z_]+:[A-Z]", said["message"]) and "/" not in said["message"]


def test_health_and_models(server: Server) -> None:
    health = server.get("/stream/v1/asr/health").json()
    assert (health["status"], health["model_loaded"], health["loaded_models"]) == ("healthy", True, ["sensevoice"])
    models = server.get("/stream/v1/asr/models").json()
    assert models["declared_count"] == len(models["declared_entries"]) == 4
    assert models["runtime"]["default_offline_model_id"] == "sensevoice"


@pytest.fixture(scope="module")
def guarded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, AsrStub]]:
    with AsrStub("千问说的。") as stub:
        settings = {
            "XINGJI_API_KEYS": "secret",
            "XINGJI_MAX_UPLOAD_BYTES": "1",
            "XINGJI_ASYNC_MODE": "threading",
            "QWEN3_VLLM_HOST_1_7B": "127.0.0.1",
            "QWEN3_VLLM_PORT_1_7B": str(stub.port),
        }
        with Server(tmp_path_factory.mktemp("guarded"), **settings) as running:
            yield running, stub


def test_the_token_in_each_of_its_places(guarded: tuple[Server, AsrStub]) -> None:
    server, _ = guarded
    url, said = "/stream/v1/asr", {"status": 40_000_001, "result": ""}
    for wrong in ({}, {"headers": {"X-NLS-Token": "x"}}, {"params": {"token": "x"}}):
        answer = server.post(url, data=WAV, **wrong)
        assert answer.status_code == 403 and answer.json().items() >= said.items()
    for right_one in (
        {"headers": {"X-NLS-Token": "secret"}},
        {"headers": {"Authorization": "Bearer secret"}},
        {"params": {"token": "secret"}},
    ):
        assert server.post(url, data=WAV, **right_one).status_code == 200
    assert server.get(url + "/health").status_code == 200 and server.get(url + "/models").status_code == 403


def test_qwen3_asr_by_curl(guarded: tuple[Server, AsrStub]) -> None:
    server, stub = guarded
    query = {"model_id": "qwen3-asr-1.7b", "token": "secret"}
    said = ask(server, **query)[1]
    assert "千问说的。" in said["result"] and said["fallback"] is None
    stub.mode = "cut_short"
    said = ask(server, **query)[1]
    assert right(said["result"]) and said["fallback"] == "rejected", "SenseVoice stood in, and the answer says so"
    stub.mode = "normal"
    models = server.get("/stream/v1/asr/models", params={"token": "secret"}).json()
    assert models["runtime"]["loaded_model_ids"] == ["sensevoice", "qwen3-asr-1.7b"]


def test_a_body_that_is_too_large_is_refused_in_pieces_as_well(guarded: tuple[Server, AsrStub], server: Server) -> None:
    status, said = ask(guarded[0], bytes(2 << 20), token="secret")
    assert (status, said["status"]) == (413, 40_000_003)
    connection = http.client.HTTPConnection("127.0.0.1", guarded[0].port, timeout=30)
    connection.putrequest("POST", "/stream/v1/asr?token=secret&format=pcm")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    try:
        for _ in range(40):
            connection.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        connection.send(b"0\r\n\r\n")
    except OSError:
        pass  # it has heard enough
    else:
        assert connection.getresponse().status == 413
    connection.close()
