"""The gateway under gunicorn: the same service, one process, and an end that loses nothing."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support import GUNICORN, ROOT, SPEECH, Recorder, Server, utterance


@pytest.fixture(scope="module")
def gunicorn(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gunicorn")
    with Server(folder, (*GUNICORN, "--keep-alive", "2"), XINGJI_LOG_DIR=str(folder / "logs")) as running:
        yield running


@pytest.mark.parametrize("transports", [("websocket",), ("polling", "websocket"), ("polling",)], ids="-".join)
def test_a_recording(transports: tuple[str, ...], gunicorn: Server) -> None:
    said = utterance("question")
    with Recorder(gunicorn.url, transports) as client:
        client.start()
        client.play(said.pcm, pace=0)
        final = client.stop()
        assert client.client.transport() == transports[-1]
        assert "error" not in [name for name, _ in client.events]
    assert final["duration_ms"] == said.milliseconds
    assert final["sensevoice"] == said.written or not said.exact
    assert final["sensevoice"]


def test_a_page_and_an_upload_over_one_connection(gunicorn: Server) -> None:
    with requests.Session() as session, (SPEECH / "question.wav").open("rb") as file:
        for path, name in (("/", "index.html"), ("/static/vendor/socket.io.esm.min.js", "vendor/socket.io.esm.min.js")):
            assert session.get(gunicorn.url + path).content == (ROOT / "web" / name).read_bytes()
        done = session.post(gunicorn.url + "/api/asr/transcribe", files={"file": file}).json()
        assert done["success"] and done["data"]["text"]


def test_a_connection_that_says_nothing_is_closed(gunicorn: Server) -> None:
    with socket.create_connection(("127.0.0.1", gunicorn.port), timeout=60) as idle:
        assert idle.recv(1) == b""


def test_terminating_delivers_what_was_said_and_exits_cleanly(gunicorn: Server) -> None:
    said = utterance("question")
    with Recorder(gunicorn.url) as client, Recorder(gunicorn.url, ("polling",)) as poller:
        for each in (client, poller):
            each.start()
            each.play(said.pcm, pace=0)
            assert each.client.call("ping_latency", 1) == 1
        gunicorn.process.terminate()
        for each in (client, poller):
            final = each.expect("final_result")
            assert final["duration_ms"] == said.milliseconds and final["sensevoice"] and final["error"] is None
            assert each.expect("recording_stopped")["reason"] == "server_shutdown"
        assert gunicorn.process.wait(20) == 0
    printed = gunicorn.log.read_text("utf-8")
    assert "Traceback" not in printed and "greened" not in printed and "shutdown error" not in printed
    kept = (gunicorn.log.parent / "logs" / "xingji.log").read_text("utf-8")
    assert "INFO xingji.doors stopping recordings=2" in kept
    assert said.written not in kept and final["sensevoice"] not in kept


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["-w", "2"], {}, "-w 1"),
        (["--preload"], {}, "--preload"),
        ([], {"XINGJI_MODELS": "/nowhere"}, "download_models.py"),
        ([], {"XINGJI_ASYNC_MODE": "threading"}, "XINGJI_ASYNC_MODE=eventlet"),
    ],
    ids=["two workers", "preload", "no models", "threading"],
)
def test_what_cannot_work_is_refused_in_words(
    arguments: list[str], environment: dict[str, str], complaint: str, models: Path
) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("XINGJI_", "LLM_"))}
    ours = clean | {"XINGJI_PORT": "0", "XINGJI_MODELS": str(models)} | environment
    done = subprocess.run([*GUNICORN, *arguments], cwd=ROOT, env=ours, capture_output=True, timeout=60)
    printed = done.stderr.decode()
    assert done.returncode != 0
    assert complaint in printed and "Traceback" not in printed


def test_a_bind_for_others_is_warned_of_whatever_the_setting_says(models: Path, tmp_path: Path) -> None:
    command = ("sh", "-c", 'exec "$0" -m gunicorn asr_api_server:app -b "0.0.0.0:$XINGJI_PORT"', sys.executable)
    with Server(tmp_path, command) as running:
        assert "no_api_keys" in [warning["code"] for warning in running.get("/api/health").json()["warnings"]]
