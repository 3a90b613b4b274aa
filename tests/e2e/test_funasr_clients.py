"""FunASR's protocol by its own clients where they are given, by `websockets` and Node's `ws` otherwise.

FunASR publishes its client as one file, ``runtime/python/websocket/funasr_wss_client.py`` of
github.com/modelscope/FunASR. It is not part of this project. To run it here, name one or more copies, of
different years if you like::

    XINGJI_FUNASR_CLIENTS=/tmp/funasr_wss_client.py python -m pytest tests/e2e/test_funasr_clients.py
"""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.test_compressed import STREAMS
from tests.support import SPEECH, Server, read_wav, utterance
from xingji.core.scoring import cer

SAID = utterance("two_sentences")
NAME = utterance("name_lintao")
START: dict[str, Any] = {"mode": "2pass", "chunk_size": [5, 10, 5], "wav_name": "a", "is_speaking": True}
END = {"is_speaking": False}
CLIENTS = [Path(path) for path in os.environ.get("XINGJI_FUNASR_CLIENTS", "").split(os.pathsep) if path]
NODE = Path(__file__).parent / "node"
NOTICED_S = 10.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="module", params=["eventlet", "threading", "gunicorn"])
def server(models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """With FunASR's port as ``ports[1]``."""
    more = {} if request.param == "gunicorn" else {"XINGJI_ASYNC_MODE": request.param}
    command = (sys.executable, *(("-m", "gunicorn", "asr_api_server:app") if not more else ("asr_api_server.py",)))
    own, folder = free_port(), tmp_path_factory.mktemp("funasr")
    more |= {"XINGJI_FUNASR_PORT": str(own), "XINGJI_LIVE_LOAD": "0"}  # a busy machine refuses nobody here
    with Server(folder, command, **more) as running:
        running.ports = (running.port, own)  # type: ignore[attr-defined]
        yield running


@pytest.fixture(params=[0, 1], ids=["main port", "own port"])
def port(server: Server, request: pytest.FixtureRequest) -> int:
    return int(server.ports[request.param])  # type: ignore[attr-defined]


def speak(client: ClientConnection, pcm: bytes, frame: int = 1920, pause_s: float = 0.0) -> None:
    for at in range(0, len(pcm), frame):
        client.send(pcm[at : at + frame])
        time.sleep(pause_s)


def answers(client: ClientConnection, until: str = "is_final") -> list[dict[str, Any]]:
    told = []
    while not told or not told[-1].get(until):
        told.append(json.loads(client.recv(timeout=60)))
    return told


def offline(told: list[dict[str, Any]]) -> str:
    return "".join(t["text"] for t in told if t["mode"].endswith("offline"))


def test_2pass(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/", subprotocols=["binary"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "binary"
        client.send(json.dumps(START))
        speak(client, SAID.pcm, pause_s=0.06)  # as fast as one speaks: the second pass cannot be first
        client.send(json.dumps(END | {"is_end": True}))
        told = answers(client, "is_end")
        assert [t["is_final"] for t in told] == [False] * (len(told) - 2) + [True, True]
        assert any(t["mode"] == "2pass-online" and t["text"] for t in told)
        assert offline(told) == SAID.written or not SAID.exact
        times = [(s["start"], s["end"]) for t in told for s in t.get("stamp_sents", [])]
        assert times == sorted(times) and len(times) == len(SAID.sentences)
        # and again, as lists of files do, with hotwords
        client.send(json.dumps(START | {"mode": "offline", "wav_name": "b", "hotwords": '{"林滔": 90}'}))
        speak(client, NAME.pcm, 1 << 20)
        client.send(json.dumps(END))
        (only,) = answers(client)
        assert (only["mode"], only["wav_name"]) == ("offline", "b")
        assert only["text"] == NAME.written.replace("林涛", "林滔") or not NAME.exact


def test_online_increments_add_up(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}") as client:
        assert client.subprotocol is None
        client.send(json.dumps(START | {"mode": "online"}))
        speak(client, SAID.pcm)
        client.send(json.dumps(END))
        text = "".join(t["text"] for t in answers(client))
        assert text and not set(text) & set("，。？！")


def test_a_whole_wav_file_as_browsers_send_it(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}") as client:
        client.send(json.dumps(START | {"mode": "offline", "wav_format": "PCM", "itn": False}))
        speak(client, (SPEECH / f"{SAID.name}.wav").read_bytes(), 960)
        client.send(json.dumps(END))
        (only,) = answers(client)
        assert only["text"] and only["is_final"]


@pytest.mark.parametrize("mode", ["offline", "online", "2pass"])
@pytest.mark.parametrize(("kind", "called"), [("webm", "webm"), ("mp3", "mp3"), ("mp3", "others"), ("webm", "PCM")])
def test_compressed_audio(server: Server, mode: str, kind: str, called: str) -> None:
    url = server.url.replace("http:", "ws:")
    with connect(url) as client:
        for _ in range(2):  # the second input begins anew
            client.send(json.dumps(START | {"mode": mode, "wav_format": called}))
            speak(client, STREAMS[kind](), 1001, pause_s=0.002)
            client.send(json.dumps(END))
            told = answers(client)
            assert not any("error" in t for t in told)
            if mode == "online":  # in 2pass the second pass may be first where audio comes at once
                assert any(t["text"] for t in told)
            else:
                assert cer([(SAID.written, offline(told))]) <= 0.05
        client.send(json.dumps(START | {"mode": mode, "wav_format": "mp3"}))
        speak(client, b"%PDF-1.7\n" * 400)
        client.send(json.dumps(END | {"is_end": True}))
        told = answers(client, "is_end")
        assert [t.get("error", "").partition(":")[0] for t in told if t["is_final"]] == ["unsupported_format"]
        assert told[-1]["is_final"] is False


def test_websocket_client(server: Server, port: int) -> None:
    client = websocket.create_connection(f"ws://127.0.0.1:{port}/", timeout=60)
    client.send(json.dumps(START))
    client.send_binary(SAID.pcm)
    client.send(json.dumps(END))
    told = [json.loads(client.recv())]
    while not told[-1]["is_final"]:
        told.append(json.loads(client.recv()))
    client.close()
    assert offline(told) == SAID.written or not SAID.exact


def test_node(port: int) -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "ws").is_dir():
        pytest.skip("node or its packages are missing; run npm ci in tests/e2e/node")
    wav = str(SPEECH / f"{SAID.name}.wav")
    command = [node, "websocket.mjs", f"ws://127.0.0.1:{port}/", wav, json.dumps(START), json.dumps(END)]
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert offline(json.loads(done.stdout)["told"]) == SAID.written or not SAID.exact


@pytest.mark.parametrize("mode", ["2pass", "offline", "online"])
def test_the_published_client(server: Server, port: int, mode: str, tmp_path: Path) -> None:
    if not CLIENTS:
        pytest.skip("XINGJI_FUNASR_CLIENTS names no copy of funasr_wss_client.py")
    (mp3 := tmp_path / f"{SAID.name}.mp3").write_bytes(STREAMS["mp3"]())
    for client, audio in itertools.product(CLIENTS, (SPEECH / f"{SAID.name}.wav", mp3)):
        options = ["--host", "127.0.0.1", "--port", str(port), "--ssl", "0", "--mode", mode, "--audio_in", str(audio)]
        command = [sys.executable, "-W", "ignore", str(client), *options, "--output_dir", str(tmp_path / client.stem)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        if mode != "online" and SAID.exact:
            assert SAID.written in done.stdout


def test_the_page_stays_and_the_own_port_has_none(server: Server) -> None:
    assert "<html" in server.get("/").text and server.get("/ws/funasr").status_code == 426
    with socket.create_connection(("127.0.0.1", server.ports[1]), timeout=20) as plain:  # type: ignore[attr-defined]
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert plain.recv(4096).startswith(b"HTTP/1.1 426")


# -- what should not be sent -----------------------------------------------------------------------


def test_wrong_messages(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}") as client:
        client.send(json.dumps(START | {"mode": "3pass"}))
        assert answers(client)[0]["error"].startswith("bad_config: ")
        client.send(json.dumps(END))  # of what was refused
        client.send(json.dumps(START))
        speak(client, SAID.pcm[:20_000])
        client.send("{")
        client.send(json.dumps({"mode": "offline", "hotwords": "{"}))
        speak(client, SAID.pcm[20_000:])
        client.send(json.dumps(END))
        told = answers(client)
        assert [t["error"].partition(":")[0] for t in told if "error" in t] == ["bad_json"]
        assert offline(told) == SAID.written or not SAID.exact
        for _ in range(3):
            client.send("[]")
        with pytest.raises(ConnectionClosed) as over:
            for _ in range(4):
                answers(client, "error")
        assert over.value.rcvd is not None and over.value.rcvd.code == 1003


def test_a_client_that_is_gone_leaves_nothing(server: Server, port: int) -> None:
    def threads() -> int:
        return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))

    before = threads()
    for _ in range(10):
        with connect(f"ws://127.0.0.1:{port}") as client:
            client.send(json.dumps(START))
            speak(client, SAID.pcm[:20_000])
            client.socket.shutdown(socket.SHUT_WR)
    server.wait(lambda: server.get("/api/health").json()["sessions"]["active"] == 0, NOTICED_S)
    server.wait(lambda: threads() <= before + 2, NOTICED_S)


def test_a_full_server_closes_after_saying_so(models: Path, tmp_path: Path) -> None:
    with Server(tmp_path, XINGJI_MAX_SESSIONS="1") as small:
        url = small.url.replace("http:", "ws:")
        with connect(url) as one, connect(url) as two:
            one.send(SAID.pcm)
            small.wait(lambda: small.get("/api/health").json()["sessions"]["active"] == 1, NOTICED_S)
            two.send(SAID.pcm)
            assert answers(two)[0]["error"].startswith("busy: ")
            with pytest.raises(ConnectionClosed) as over:
                answers(two)
            assert over.value.rcvd is not None and over.value.rcvd.code == 1013
            one.send(json.dumps(END))
            assert offline(answers(one)) == SAID.written or not SAID.exact


def test_a_port_that_is_taken_is_told_and_stops_nothing(models: Path, tmp_path: Path) -> None:
    for mode in ("eventlet", "threading"):
        folder = tmp_path / mode
        folder.mkdir()
        taken = socket.create_server(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with Server(folder, XINGJI_ASYNC_MODE=mode, XINGJI_FUNASR_PORT=str(port)) as running:
            with connect(running.url.replace("http:", "ws:")) as client:
                assert client.ping().wait(10)
            assert running.log.read_text("utf-8").count("port not available") == 1
            assert running.get("/api/health").json()["ports"] == {}
            taken.close()

            def served(port: int = port) -> bool:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                except OSError:
                    return False
                return True

            running.wait(served, 30)  # as soon as it is free
            assert running.get("/api/health").json()["ports"] == {"funasr": port}
            with connect(f"ws://127.0.0.1:{port}") as client:
                client.send(read_wav(SPEECH / "clock.wav"))
                client.send(json.dumps(END))
                assert answers(client)
