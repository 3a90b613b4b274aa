"""DashScope's protocol by Alibaba's own Python client, and by `websockets` for what that never does.

Programs with an older client can be had in as well: name Python interpreters that have one::

    XINGJI_DASHSCOPE_PYTHONS=/tmp/old/bin/python python -m pytest tests/e2e/test_dashscope.py
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support import FRAME, SPEECH, Server, utterance

SAID = utterance("two_sentences")
FILE = str(SPEECH / f"{SAID.name}.wav")
NAME = utterance("name_lintao")
SCRIPT = Path(__file__).parent / "dashscope_client.py"
NOTICED_S = 10.0
PYTHONS = [sys.executable, *filter(None, os.environ.get("XINGJI_DASHSCOPE_PYTHONS", "").split(os.pathsep))]
PATH = "/api-ws/v1/inference"


@pytest.fixture(scope="module", params=["eventlet", "threading", "gunicorn"])
def server(models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    more = {} if request.param == "gunicorn" else {"XINGJI_ASYNC_MODE": request.param}
    command = (sys.executable, *(("-m", "gunicorn", "asr_api_server:app") if not more else ("asr_api_server.py",)))
    with Server(tmp_path_factory.mktemp("dashscope"), command, XINGJI_MAX_SESSIONS="2", **more) as running:
        yield running


@pytest.fixture(params=range(len(PYTHONS)))
def python(request: pytest.FixtureRequest) -> str:
    return str(PYTHONS[request.param])


def client(server: Server, scenario: str, python: str = sys.executable, **options: Any) -> dict[str, Any]:
    """What Alibaba's client was told."""
    pytest.importorskip("dashscope", reason="pip install dashscope==2.0.2")
    command = [python, str(SCRIPT), scenario, server.url, json.dumps({"file": FILE, **options})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def active(server: Server) -> int:
    return int(server.get("/api/health").json()["sessions"]["active"])


def opened(server: Server, path: str = PATH, **headers: str) -> ClientConnection:
    return connect(server.url.replace("http:", "ws:") + path, additional_headers=headers)


def act(action: str, id: str = "t-1", **parameters: Any) -> str:
    payload = {
        "task_group": "audio", "task": "asr", "function": "recognition", "model": "paraformer-realtime-v2",
        "parameters": {"format": "pcm", "sample_rate": 16000, **parameters}, "input": {},
    }  # fmt: skip
    return json.dumps({"header": {"action": action, "task_id": id, "streaming": "duplex"}, "payload": payload})


def answer(client: ClientConnection) -> tuple[str, dict[str, Any]]:
    said = json.loads(client.recv(timeout=60))
    return said["header"]["event"], said


def until_over(client: ClientConnection) -> list[dict[str, Any]]:
    told = []
    while not told or told[-1]["header"]["event"] not in ("task-finished", "task-failed"):
        told.append(json.loads(client.recv(timeout=60)))
    return told


def finals(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = [t["payload"]["output"]["sentence"] for t in told if t["header"]["event"] == "result-generated"]
    return [sentence for sentence in results if sentence["sentence_end"]]


def speak(client: ClientConnection, pcm: bytes = SAID.pcm, frame: int = FRAME) -> None:
    for at in range(0, len(pcm), frame):
        client.send(pcm[at : at + frame])


def text_of(sentences: list[dict[str, Any]]) -> str:
    return "".join(sentence["text"] for sentence in sentences)


# -- Alibaba's client --------------------------------------------------------------------------------


def test_a_file_at_once(server: Server, python: str) -> None:
    told = client(server, "call", python, parameters={"format": "wav"})
    assert told["status"] == 200 and told["usage"] == {"duration": told["usage"]["duration"]}
    assert text_of(told["sentences"]) == SAID.written
    assert [s["sentence_id"] for s in told["sentences"]] == list(range(1, len(SAID.sentences) + 1))
    for sentence, truth in zip(told["sentences"], SAID.sentences, strict=True):
        assert abs(sentence["begin_time"] - truth["begin_ms"]) < 500
        assert abs(sentence["end_time"] - truth["end_ms"]) < 500


def test_a_stream_with_callbacks(server: Server, python: str) -> None:
    told = client(server, "stream", python, parameters={"format": "wav"})
    assert told["ends"] == ["complete", "close"] and told["error"] is None
    partial = [s for s in told["sentences"] if s["end_time"] is None]
    ended = [s for s in told["sentences"] if s["end_time"] is not None]
    assert partial and text_of(ended) == SAID.written
    ids = [s["sentence_id"] for s in told["sentences"]]
    assert ids == sorted(ids) and set(ids) == {s["sentence_id"] for s in ended}
    seconds = [usage["duration"] for usage in told["usages"]]
    assert seconds == sorted(seconds) and len(seconds) == len(ended)


def test_one_connection_for_several_tasks(server: Server) -> None:
    told = client(server, "reuse", tasks=3)
    assert len(told["tasks"]) == 3
    for events in (*told["tasks"], told["file"]):
        assert events[-1]["header"]["event"] == "task-finished"
        last = finals(events)
        assert text_of(last) == SAID.written and [s["sentence_id"] for s in last] == [1, 2]


@pytest.mark.parametrize(
    "parameters, code",
    [
        ({"model": "no-such-model"}, "ModelNotFound"),
        ({"format": "midi"}, "UNSUPPORTED_FORMAT"),
        ({"sample_rate": 96000}, "InvalidParameter"),
        ({"vocabulary_id": "vocab-none-1"}, "InvalidParameter"),
    ],
)
def test_errors_reach_the_program(server: Server, parameters: dict[str, Any], code: str) -> None:
    told = client(server, "call", parameters={"format": "wav", **parameters})
    assert (told["status"], told["code"]) == (44, code)
    assert told["message"]


def test_vocabularies(server: Server, python: str) -> None:
    said = {"file": str(SPEECH / f"{NAME.name}.wav"), "parameters": {"format": "wav"}}
    told = client(
        server,
        "vocabulary",
        python,
        words=[{"text": "林滔", "weight": 5}],
        others=[{"text": "林韬", "weight": 4}],
        **said,
    )
    assert told["id"].startswith("vocab-test-") and [v["vocabulary_id"] for v in told["listed"]] == [told["id"]]
    assert told["created"]["vocabulary"] == [{"text": "林滔", "weight": 5}]
    assert text_of(told["using"]["sentences"]) == NAME.written.replace("林涛", "林滔")
    assert told["changed"]["vocabulary"] == [{"text": "林韬", "weight": 4}]
    assert "InvalidParameter" in told["error"] and told["after"]["code"] == "InvalidParameter"
    assert not list(server.tables.glob("vocab-*"))


@pytest.mark.parametrize("vad", [True, False], ids=["server", "manual"])
def test_qwen_realtime(server: Server, vad: bool, python: str) -> None:
    told = client(server, "omni", python, vad=vad)
    if told.get("missing"):
        pytest.skip("this client has no OmniRealtimeConversation")
    events = told["events"]
    kinds = [event["type"].rpartition(".")[2] for event in events]
    assert kinds[:2] == ["created", "updated"] and kinds[-1] == "finished" and "error" not in kinds
    done = [event for event in events if event["type"].endswith("transcription.completed")]
    text = "".join(event["transcript"] for event in done)
    unmarked = str.maketrans("", "", "，。？！")  # at 400 ms there may be more sentences
    assert text.translate(unmarked) == SAID.written.translate(unmarked)
    assert kinds.count("committed") == len(done) == (1 if not vad else kinds.count("speech_started"))
    if vad:
        assert len(done) >= 2 and any(event.get("stash") for event in events)


# -- what the client never does ------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PATH, PATH + "/"])
def test_raw_pcm_in_odd_frames(server: Server, path: str) -> None:
    with opened(server, path, Authorization="bearer whatever") as client:
        client.send(act("run-task", heartbeat=True))
        assert answer(client)[0] == "task-started"
        speak(client, frame=1001)
        client.send(act("finish-task"))
        told = until_over(client)
        assert text_of(finals(told)) == SAID.written
        assert told[-1]["payload"]["usage"]["duration"] == -(-SAID.milliseconds // 1000)


def test_without_punctuation_and_numbers_in_words(server: Server) -> None:
    with opened(server) as client:
        off = {"punctuation_prediction_enabled": False, "inverse_text_normalization_enabled": False}
        client.send(act("run-task", **off))
        speak(client)
        client.send(act("finish-task"))
        text = text_of(finals(until_over(client)))
        assert text and not set(text) & set("，。？！")


def test_nothing_at_all(server: Server) -> None:
    with opened(server) as client:
        client.send(act("run-task"))
        client.send(act("finish-task"))
        assert [t["header"]["event"] for t in until_over(client)] == ["task-started", "task-finished"]
        client.send(act("run-task", "t-2"))
        client.send(bytes(32000))
        client.send(act("finish-task", "t-2"))
        assert [t["header"]["event"] for t in until_over(client)] == ["task-started", "task-finished"]


def test_a_header_without_audio(server: Server) -> None:
    with opened(server) as client:
        client.send(act("run-task", format="wav"))
        client.send((SPEECH / f"{SAID.name}.wav").read_bytes()[:44])
        client.send(act("finish-task"))
        assert until_over(client)[-1]["header"]["error_code"] == "NO_VALID_AUDIO_ERROR"


@pytest.mark.parametrize("wrong", ["{", act("finish-task"), act("run-task", "t-2")])
def test_a_mistake_ends_the_connection(server: Server, wrong: str) -> None:
    with opened(server) as client:
        if "run-task" in wrong:
            client.send(act("run-task"))
            assert answer(client)[0] == "task-started"
        client.send(wrong)
        event, told = answer(client)
        assert (event, told["header"]["error_code"], told["payload"]) == ("task-failed", "InvalidParameter", {})
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    server.wait(lambda: active(server) == 0, NOTICED_S)


def test_slots(server: Server) -> None:
    """Two of them: a third task waits for one, and gives up where none comes."""
    with opened(server) as one, opened(server) as two, opened(server) as three:
        for number, client in enumerate((one, two)):
            client.send(act("run-task", f"t-{number}"))
            assert answer(client)[0] == "task-started"
        begun = time.monotonic()
        three.send(act("run-task", "t-3"))
        event, told = answer(three)
        assert (event, told["header"]["error_code"]) == ("task-failed", "Throttling.RateQuota")
        assert 3.0 < time.monotonic() - begun < 9.0
        with opened(server) as four:
            four.send(act("run-task", "t-4"))
            threading.Timer(1.0, one.close).start()
            assert answer(four)[0] == "task-started"
    server.wait(lambda: active(server) == 0, NOTICED_S)


def test_dropped_connections_leave_nothing(server: Server) -> None:
    for number in range(50):
        client = websocket.create_connection(server.url.replace("http:", "ws:") + PATH, timeout=60)
        client.send(act("run-task"))
        assert json.loads(client.recv())["header"]["event"] == "task-started"
        if number % 2:
            client.send_binary(SAID.pcm[:32000])
        if number % 3:
            client.shutdown()  # without a word
        else:
            client.close()
    server.wait(lambda: active(server) == 0, NOTICED_S)
    assert text_of(client_call(server)) == SAID.written


def client_call(server: Server) -> list[dict[str, Any]]:
    with opened(server) as client:
        client.send(act("run-task"))
        speak(client)
        client.send(act("finish-task"))
        return finals(until_over(client))


def test_tokens(models: Path, tmp_path: Path) -> None:
    with Server(tmp_path, XINGJI_API_KEYS="right") as server:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            with pytest.raises(InvalidStatus) as refused, opened(server, **headers):
                pass
            assert refused.value.response.status_code == 401
            assert json.loads(refused.value.response.body or b"{}")["code"] == "InvalidApiKey"
        with opened(server, Authorization="bearer right"):
            pass
        told = client(server, "call", parameters={"format": "wav"}, key="wrong")
        assert told["status"] == 401
        told = client(server, "call", parameters={"format": "wav"}, key="right")
        assert text_of(told["sentences"]) == SAID.written
