"""NLS over a WebSocket by Alibaba's own client where it is given, by raw sockets and `websockets` otherwise.

The vendor publishes its client as github.com/aliyun/alibabacloud-nls-python-sdk; it needs ``aliyun-python-sdk-core``.
It is not part of this project. To run it here, name the folder that has its package ``nls``::

    XINGJI_NLS_SDK=/tmp/alibabacloud-nls-python-sdk python -m pytest tests/e2e/test_nls_websocket.py
"""

import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage

from tests.e2e.test_compressed import STREAMS
from tests.support import FRAME, SPEECH, Server, silence, utterance
from xingji.core.scoring import cer

SAID = utterance("two_sentences")
NAME = utterance("name_lintao")
ALL = {
    "enable_intermediate_result": True,
    "enable_punctuation_prediction": True,
    "enable_inverse_text_normalization": True,
}
SDK = os.environ.get("XINGJI_NLS_SDK", "")
SCRIPT = Path(__file__).parent / "nls_client.py"
NOTICED_S = 10.0
PATHS = ("/ws/v1", "/ws/v1/asr", "/ws/v1/asr/funasr")
# What the client of 2023 sends: its own key and version, and behind them a fixed pair.
KEY, FIXED_KEY = "q0Fv8vYhIvTHVY9lRg3fPA==", "x3JJHMbDL1EzLkh9GBhXDw=="
ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


@pytest.fixture(scope="module", params=["eventlet", "threading", "gunicorn"])
def each(models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    more = {} if request.param == "gunicorn" else {"XINGJI_ASYNC_MODE": request.param}
    command = (sys.executable, *(("-m", "gunicorn", "asr_api_server:app") if not more else ("asr_api_server.py",)))
    with Server(tmp_path_factory.mktemp("nls"), command, XINGJI_MAX_SESSIONS="2", **more) as running:
        yield running


def opened(server: Server, path: str = "/ws/v1", **headers: str) -> ClientConnection:
    return connect(server.url.replace("http:", "ws:") + path, additional_headers=headers)


def direct(name: str, id: str = "1" * 32, **payload: Any) -> str:
    namespace = "SpeechRecognizer" if name.endswith("Recognition") else "SpeechTranscriber"
    header = {"message_id": "0" * 32, "task_id": id, "namespace": namespace, "name": name, "appkey": "any"}
    return json.dumps({"header": header, "payload": payload, "context": {}})


def speak(client: ClientConnection, audio: bytes = SAID.pcm, frame: int = FRAME) -> None:
    for at in range(0, len(audio), frame):
        client.send(audio[at : at + frame])


def told(client: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(client.recv(timeout=60)))


def until_over(client: ClientConnection) -> list[dict[str, Any]]:
    messages = [told(client)]
    while not messages[-1]["header"]["name"].endswith(("Completed", "Failed")):
        messages.append(told(client))
    return messages


def transcribed(client: ClientConnection, audio: bytes = SAID.pcm, id: str = "1" * 32, **payload: Any) -> str:
    """The text of a whole task."""
    client.send(direct("StartTranscription", id, **(ALL | payload)))
    assert told(client)["header"]["name"] == "TranscriptionStarted"
    speak(client, audio)
    client.send(direct("StopTranscription", id))
    messages = until_over(client)
    assert messages[-1]["header"]["status"] == 20_000_000, messages[-1]
    assert {message["header"]["task_id"] for message in messages} == {id}
    return "".join(end["result"] for end in named("SentenceEnd", messages))


def named(name: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message["payload"] for message in messages if message["header"]["name"] == name]


def right(text: str) -> bool:
    """But for marks: where the recogniser hears it all at once it may leave one out."""
    return cer([(SAID.written, text)]) <= 0.05


def failed(client: ClientConnection) -> tuple[int, int]:
    """The status of a failure, and the code with which the connection ends."""
    messages = [told(client)]
    while messages[-1]["header"]["name"] != "TaskFailed":
        messages.append(told(client))
    with pytest.raises(ConnectionClosed) as over:
        client.recv(timeout=30)
    assert over.value.rcvd is not None
    return int(messages[-1]["header"]["status"]), over.value.rcvd.code


def active(server: Server) -> int:
    return int(server.get("/api/health").json()["sessions"]["active"])


# -- the vendor's client -------------------------------------------------------------------------------


def sdk(server: Server, scenario: str, **options: Any) -> list[tuple[str, Any]]:
    """What its callbacks were told, one after another."""
    if not SDK:
        pytest.skip("XINGJI_NLS_SDK names no folder with Alibaba's client nls")
    options = {"file": str(SPEECH / f"{SAID.name}.wav"), **options}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), scenario, server.url.replace("http:", "ws:")]
    environment = os.environ | {"PYTHONPATH": SDK}
    done = subprocess.run(
        [*command, json.dumps(options)], capture_output=True, text=True, timeout=240, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return [(name, message) for name, message in json.loads(done.stdout.splitlines()[-1])]


def test_the_vendors_transcriber(each: Server) -> None:
    heard = sdk(each, "transcriber", parameters={"max_sentence_silence": 600}, control={"enable_words": True})
    names = [name for name, _ in heard]
    assert names[0] == "start" and names[-2:] == ["completed", "close"] and "error" not in names
    assert names.count("begin") == names.count("end") == len(SAID.sentences) and "changed" in names
    ends = [message["payload"] for name, message in heard if name == "end"]
    assert "".join(end["result"] for end in ends) == SAID.written or not SAID.exact
    for end, truth in zip(ends, SAID.sentences, strict=True):
        assert abs(end["begin_time"] - truth["begin_ms"]) < 500 and abs(end["time"] - truth["end_ms"]) < 500
        assert end["words"]


def test_the_vendors_recognizer(each: Server) -> None:
    heard = sdk(each, "recognizer", times=2)
    names = [name for name, _ in heard]
    assert names.count("start") == names.count("completed") == 2 and "error" not in names and "changed" in names
    for name, message in heard:
        assert name != "completed" or right(message["payload"]["result"])


def test_the_vendors_client_is_told_of_errors(each: Server) -> None:
    heard = sdk(each, "transcriber", parameters={"vocabulary_id": "none"})
    ((name, message), *_) = heard
    assert (name, message["header"]["status"]) == ("error", 40_000_003)


# -- what it sends, on a raw socket --------------------------------------------------------------------


def raw(server: Server) -> tuple[socket.socket, str]:
    """Shake hands with the vendor's client's headers, in its order; the socket and the answer's head."""
    host = f"127.0.0.1:{server.port}"
    lines = [
        "GET /ws/v1 HTTP/1.1", "Upgrade: websocket", f"Host: {host}", f"Origin: http://{host}",
        f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {FIXED_KEY}", "Sec-WebSocket-Version: 13", "X-NLS-Token: any", "", "",
    ]  # fmt: skip
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    plain.sendall("\r\n".join(lines).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += plain.recv(1)
    return plain, head.decode()


def test_the_first_of_two_keys_is_answered(each: Server) -> None:
    plain, head = raw(each)
    with plain:
        status, *headers = head.split("\r\n")
        assert status.split()[1] == "101"
        found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in headers) if name}
        expected = base64.b64encode(hashlib.sha1((KEY + ACCEPT_GUID).encode()).digest()).decode()
        assert found["sec-websocket-accept"] == expected
        assert (found["upgrade"].lower(), found["connection"].lower()) == ("websocket", "upgrade")
        assert "sec-websocket-protocol" not in found and "sec-websocket-extensions" not in found
        client = Connection(ConnectionType.CLIENT)
        plain.sendall(client.send(TextMessage(direct("StartRecognition", **ALL))))
        for at in range(0, len(SAID.pcm), 640):
            plain.sendall(client.send(BytesMessage(SAID.pcm[at : at + 640])))
        plain.sendall(client.send(TextMessage(direct("StopRecognition"))))
        messages: list[dict[str, Any]] = []
        while not messages or messages[-1]["header"]["name"] != "RecognitionCompleted":
            client.receive_data(plain.recv(1 << 16))
            messages += [json.loads(event.data) for event in client.events() if isinstance(event, TextMessage)]
        assert messages[0]["header"]["name"] == "RecognitionStarted"
        assert right(messages[-1]["payload"]["result"])


# -- one connection, one task after another ------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_each_path_in_odd_frames(each: Server, path: str) -> None:
    with opened(each, path) as client:
        client.send(direct("StartTranscription", **ALL, enable_words=True))
        speak(client, frame=1001)
        client.send(direct("StopTranscription"))
        messages = until_over(client)
        assert named("TranscriptionStarted", messages) == [{"session_id": "1" * 32}]
        ends, begins = named("SentenceEnd", messages), named("SentenceBegin", messages)
        assert "".join(end["result"] for end in ends) == SAID.written or not SAID.exact
        assert [b["index"] for b in begins] == [e["index"] for e in ends] == list(range(1, len(ends) + 1))
        for begin, end in zip(begins, ends, strict=True):
            assert begin["time"] == end["begin_time"] <= end["words"][0]["startTime"]
            assert end["words"][-1]["endTime"] <= end["time"] and 0 < end["confidence"] <= 1
        assert named("TranscriptionResultChanged", messages)


def test_the_connection_is_used_again(each: Server) -> None:
    with opened(each) as client:
        for number in range(3):
            assert transcribed(client, id=f"{number:032}") == SAID.written or not SAID.exact
        client.send(direct("StartRecognition", "r" * 32))
        speak(client, NAME.pcm)
        client.send(direct("StopRecognition", "r" * 32))
        (only,) = named("RecognitionCompleted", until_over(client))
        assert not set(only["result"]) & set("，。？！") and only["duration"] == NAME.milliseconds
    each.wait(lambda: active(each) == 0, NOTICED_S)


def test_nothing_at_all(each: Server) -> None:
    with opened(each) as client:
        assert transcribed(client, b"") == ""
        assert transcribed(client, silence(1.0), "2" * 32) == ""


def test_as_the_vendor_writes_without_wishes(each: Server) -> None:
    with opened(each) as client:
        client.send(direct("StartTranscription"))
        speak(client)
        client.send(direct("StopTranscription"))
        messages = until_over(client)
        text = "".join(end["result"] for end in named("SentenceEnd", messages))
        assert text and not set(text) & set("，。？！0123456789")
        assert named("TranscriptionResultChanged", messages) == []


# -- mistakes, limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ("{", 40_000_002),
        (bytes(640), 40_000_002),
        (direct("StopTranscription"), 40_000_002),
        (direct("StartTranscription", format="midi"), 40_000_003),
        (direct("StartTranscription", sample_rate=96_000), 41_010_101),
        (direct("StartTranscription", vocabulary_id="none"), 40_000_003),
    ],
)
def test_a_mistake_ends_the_connection(each: Server, wrong: str | bytes, status: int) -> None:
    with opened(each) as client:
        client.send(wrong)
        assert failed(client) == (status, 1000)
    each.wait(lambda: active(each) == 0, NOTICED_S)


def test_a_full_server_says_so(each: Server) -> None:
    with opened(each) as one, opened(each) as two, opened(each) as three:
        for client in (one, two):
            client.send(direct("StartTranscription"))
            assert told(client)["header"]["name"] == "TranscriptionStarted"
        three.send(direct("StartTranscription"))
        assert failed(three) == (40_000_005, 1000)
    each.wait(lambda: active(each) == 0, NOTICED_S)


def test_dropped_connections_leave_nothing(each: Server) -> None:
    for number in range(20):
        with opened(each) as client:
            client.send(direct("StartTranscription"))
            assert told(client)["header"]["name"] == "TranscriptionStarted"
            speak(client, SAID.pcm[: 32_000 * (number % 2)])
            if number % 3:
                client.socket.shutdown(socket.SHUT_RDWR)  # without a word
        each.wait(lambda: active(each) < 2, NOTICED_S)
    each.wait(lambda: active(each) == 0, NOTICED_S)
    with opened(each) as client:
        assert transcribed(client) == SAID.written or not SAID.exact


def test_ten_seconds_of_nothing(server: Server) -> None:
    with opened(server) as idle, opened(server) as silent, opened(server) as done:
        silent.send(direct("StartTranscription", **ALL))
        speak(silent)
        assert transcribed(done)
        messages = until_over(silent)
        assert "".join(end["result"] for end in named("SentenceEnd", messages)) == SAID.written or not SAID.exact
        header = messages[-1]["header"]
        assert (header["status"], header["status_text"]) == (
            40_000_004,
            "Gateway:IDLE_TIMEOUT:Websocket session is idle for too long time",
        )
        assert failed(idle) == (40_000_004, 1000)
        with pytest.raises(ConnectionClosed) as over:
            done.recv(timeout=30)
        assert over.value.rcvd is not None and over.value.rcvd.code == 1000
    server.wait(lambda: active(server) == 0, NOTICED_S)


def test_keys(models: Path, tmp_path: Path) -> None:
    with Server(tmp_path, XINGJI_API_KEYS="right") as server:
        for path, headers in (("/ws/v1", {}), ("/ws/v1?token=wrong", {}), ("/ws/v1", {"X-NLS-Token": "wrong"})):
            with pytest.raises(InvalidStatus) as refused, opened(server, path, **headers):
                pass
            assert refused.value.response.status_code == 403
            assert json.loads(refused.value.response.body or b"{}")["status"] == 40_000_001
        for path, headers in (("/ws/v1?token=right", {}), ("/ws/v1", {"X-NLS-Token": "right"})):
            with opened(server, path, **headers) as client:
                assert transcribed(client, b"") == ""
        if SDK:
            assert [name for name, _ in sdk(server, "transcriber", token="right")][-2:] == ["completed", "close"]


# -- parameters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wav", "opus", "speex", "amr", "mp3", "aac"])
def test_each_format(server: Server, name: str) -> None:
    with opened(server) as client:
        assert cer([(SAID.written, transcribed(client, STREAMS[name](), format=name))]) <= 0.05
        assert cer([(SAID.written, transcribed(client, STREAMS[name](), "2" * 32, format=name))]) <= 0.05


def test_audio_that_is_none(server: Server) -> None:
    with opened(server) as client:
        client.send(direct("StartTranscription", format="mp3"))
        client.send(b"%PDF-1.7\n" * 200)
        assert failed(client) == (40_000_002, 1000)
    server.wait(lambda: active(server) == 0, NOTICED_S)


@pytest.mark.parametrize("vocabulary", ["nls-names", "林滔 80"])
def test_hotwords_at_the_start_and_by_control(server: Server, vocabulary: str) -> None:
    server.tables.mkdir(exist_ok=True)
    table = server.tables / "nls-names.json"
    table.write_text('[{"text": "林滔", "weight": 80}]', "utf-8")
    expected = NAME.written.replace("林涛", "林滔")
    try:
        with opened(server) as client:
            assert transcribed(client, NAME.pcm, vocabulary_id=vocabulary) == expected or not NAME.exact
            client.send(direct("StartTranscription"))
            client.send(direct("ControlTranscriber", **ALL, vocabulary_id=vocabulary))
            speak(client, NAME.pcm)
            client.send(direct("StopTranscription"))
            (end,) = named("SentenceEnd", until_over(client))
            assert end["result"] == expected or not NAME.exact
    finally:
        table.unlink()


def test_meaning_ends_sentences(server: Server) -> None:
    with opened(server) as client:
        client.send(direct("StartTranscription", **ALL, enable_semantic_sentence_detection=True))
        speak(client)
        client.send(direct("StopTranscription"))
        messages = until_over(client)
        ends = named("SentenceEnd", messages)
        assert right("".join(end["result"] for end in ends)) and all(end["result"][-1] in "。？！" for end in ends)
        assert len(named("SentenceBegin", messages)) == len(ends)


def test_the_recogniser_may_end_by_itself(server: Server) -> None:
    with opened(server) as client:
        client.send(direct("StartRecognition", **ALL, enable_voice_detection=True, max_end_silence=700))
        speak(client, SAID.pcm + silence(2.0))
        (only,) = named("RecognitionCompleted", until_over(client))
        assert only["result"] == SAID.sentences[0]["written"] or not SAID.exact
        client.send(direct("StopRecognition"))  # too late, and no mistake
        client.send(direct("StartRecognition", "2" * 32, enable_voice_detection=True, max_start_silence=1000))
        speak(client, silence(0.5))
        assert failed(client) == (41_010_105, 1000)
