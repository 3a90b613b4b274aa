"""Clients for Node.js: socket.io-client, the current one and an old one, with every kind of frame that JavaScript has,
and OpenAI's."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import SPEECH, Server, utterance

FOLDER = Path(__file__).parent / "node"
CLIENTS = {"socket.io-client": "4.8.4", "socket.io-client-4.1": "4.1.3"}
OPENAI = {"openai": "7.55.0"}
WAYS = {"Buffer", "ArrayBuffer", "Int16Array", "Uint8Array", "object", "list"}
SAID = utterance("question")


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed; these clients need Node.js 20 or later")
    if not (FOLDER / "node_modules").is_dir():
        pytest.skip("the clients are not installed; run npm ci in tests/e2e/node")
    return found


def run(node: str, *arguments: str) -> dict[str, Any]:
    command = [node, *arguments, str(SPEECH / f"{SAID.name}.wav")]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("transports", ["websocket", "polling", "polling,websocket"])
@pytest.mark.parametrize("client", CLIENTS)
def test_text_while_speaking_and_the_right_text_after(node: str, server: Server, client: str, transports: str) -> None:
    installed = json.loads((FOLDER / "node_modules" / client / "package.json").read_text("utf-8"))
    assert (installed["name"], installed["version"]) == ("socket.io-client", CLIENTS[client])
    told = run(node, "record.mjs", client, server.url, transports)
    assert told["start"]["ok"] and told["stop"] == {"ok": True, "recording_id": told["start"]["recording_id"]}
    assert set(told["acks"]) == WAYS
    for way, acks in told["acks"].items():
        for ok, received_ms, sent_ms in acks:
            assert ok and received_ms == int(sent_ms), way
    events = told["events"]
    assert events[0] == "connected" and events[-1] == "final_result" and "error" not in events
    assert events.index("transcription") < events.index("recording_stopped"), "text before the stop"
    assert told["partials"]
    final = told["final"]
    assert final["recording_id"] == told["start"]["recording_id"] and final["duration_ms"] == SAID.milliseconds
    assert SAID.exact and final["llm_merged"] == final["sensevoice"] == SAID.written
    assert told["transport"] == transports.split(",")[-1]


def test_openai(node: str, server: Server) -> None:
    told = run(node, "openai.mjs", server.url)
    assert told["models"] == ["sensevoice"]
    assert told["json"]["text"] == SAID.written and told["text"] == SAID.written + "\n"
    verbose = told["verbose"]
    assert (verbose["text"], verbose["language"]) == (SAID.written, "chinese")
    assert "".join(segment["text"] for segment in verbose["segments"]) == SAID.written and verbose["words"]
    assert {segment["speaker"] for segment in told["diarized"]["segments"]} == {"A"}
    assert "".join(told["deltas"]) == told["done"]["text"] == SAID.written
    assert told["done"]["type"] == "transcript.text.done"
    error = told["error"]
    assert error.pop("request").startswith("req_")
    assert error == {"name": "NotFoundError", "status": 404, "code": "model_not_found"}


def test_versions_are_exact_and_no_registry_is_named() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text("utf-8"))["devDependencies"]
    assert {name: version.rpartition("@")[2] for name, version in wanted.items()} == CLIENTS | OPENAI
    locked = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))["packages"]
    assert all("resolved" not in package and ("integrity" in package or not path) for path, package in locked.items())
