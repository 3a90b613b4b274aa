"""A server with API keys, asked by real clients; and its log afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import socketio
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support import SPEECH, Recorder, Server, utterance
from xingji.doors.cautions import OPEN_TO_ALL

SECRET = "secret-of-one-client"
OTHER = "secret-of-another"
BEARER = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture(scope="module", params=["eventlet", "threading"])
def guarded(request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose log, at its most talkative, says neither of its keys after all that is done with it here."""
    more = {"XINGJI_ASYNC_MODE": request.param, "XINGJI_LOG_LEVEL": "DEBUG"}
    with Server(tmp_path_factory.mktemp("guarded"), XINGJI_API_KEYS=f"{SECRET},{OTHER}", **more) as running:
        yield running
    log = running.log.read_text("utf-8")
    assert "ready" in log and SECRET not in log and OTHER not in log


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_socketio_connects_with_a_key_only(guarded: Server, transport: str) -> None:
    for wrong in (
        {},
        {"auth": {"token": "x"}},
        {"auth": {"token": 7}},
        {"auth": SECRET},
        {"auth": {"token": "\ud800"}},
    ):
        client = socketio.Client(reconnection=False)
        told: list[object] = []
        client.on("connect_error", told.append)
        with pytest.raises(socketio.exceptions.ConnectionError):
            client.connect(guarded.url, transports=[transport], **wrong)
        if client.eio.ws is not None:
            client.eio.ws.shutdown()
        (said,) = told
        assert isinstance(said, dict) and said["message"] == "unauthorized"
        assert said["data"]["code"] == "unauthorized" and "API key" in said["data"]["message_en"]
    for right in ({"auth": {"token": SECRET}}, {"headers": {"Authorization": f"Bearer {OTHER}"}}):
        with Recorder(guarded.url, (transport,), **right) as recorder:
            recorder.start()
            recorder.play(utterance("question").pcm, pace=0)
            assert recorder.stop()["sensevoice"]
    with Recorder(f"{guarded.url}?token={SECRET}", (transport,)) as recorder:
        assert recorder.expect("connected")


def test_polling_without_a_key_gets_no_further_than_its_connection(guarded: Server) -> None:
    """Events of somebody who was refused, or has never asked to be let in, are not heard."""
    polling = f"{guarded.url}/socket.io/?EIO=4&transport=polling"
    for first, heard in (("40", False), ('40{"token":"x"}', False), (None, False), (f'40{{"token":"{SECRET}"}}', True)):
        guarded.wait(lambda: guarded.get("/api/health").json()["sessions"]["active"] == 0, 30)
        sid = json.loads(requests.get(polling, timeout=30).text[1:])["sid"]
        for packet in (first, '420["start_recording",{}]'):
            if packet:
                requests.post(f"{polling}&sid={sid}", data=packet, timeout=30)
        assert guarded.get("/api/health").json()["sessions"]["active"] == heard
        requests.post(f"{polling}&sid={sid}", data="1", timeout=30)


def test_uploads_and_admin_doors(guarded: Server) -> None:
    wav = SPEECH / "question.wav"
    for way in ({"headers": BEARER}, {"params": {"token": OTHER}}, {"headers": {"X-NLS-Token": SECRET}}):
        with wav.open("rb") as file:
            done = guarded.post("/api/asr/transcribe", files={"file": file}, **way)
        assert done.json()["data"]["text"]
        assert guarded.get("/metrics", **way).status_code == 200
        assert guarded.post("/api/asr/hotwords/reload", **way).status_code == 200
    with wav.open("rb") as file:
        refused = guarded.post("/api/asr/transcribe", files={"file": file}, data={"token": SECRET})
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    for method, path in (("PUT", "/api/asr/hotwords"), ("DELETE", "/api/asr/backup-audio/x"), ("GET", "/metrics")):
        assert requests.request(method, guarded.url + path, timeout=30).status_code == 401
    assert "no_api_keys" not in [warning["code"] for warning in guarded.get("/api/health").json()["warnings"]]


def test_a_browser_puts_the_key_among_its_subprotocols(guarded: Server) -> None:
    address = f"ws://127.0.0.1:{guarded.port}/ws/asr"
    key = f"openai-insecure-api-key.{SECRET}"
    with connect(address, subprotocols=[key]) as client:  # type: ignore[list-item]
        assert client.subprotocol == key, "a browser would hang up without"
    with connect(address.replace("/asr", "/funasr"), subprotocols=[key, "binary"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "binary"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, subprotocols=["openai-insecure-api-key.x"])  # type: ignore[list-item]
    assert refused.value.response.status_code == 401


def test_listening_to_others_without_keys_is_said(models: Path, tmp_path: Path) -> None:
    with Server(tmp_path, XINGJI_HOST="0.0.0.0") as running:
        told = {warning["code"]: warning for warning in running.get("/api/health").json()["warnings"]}
        assert told["no_api_keys"]["message"] == OPEN_TO_ALL.zh and told["no_api_keys"]["message_en"] == OPEN_TO_ALL.en
        running.wait(lambda: OPEN_TO_ALL.en in running.log.read_text("utf-8"), 30)
        assert OPEN_TO_ALL.zh in running.log.read_text("utf-8")
