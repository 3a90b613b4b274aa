"""Raw WebSockets by real clients over real sockets, with eventlet's server, threads and gunicorn."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support import FRAME, GUNICORN, SPEECH, Server, utterance

SAID = utterance("question")
OTHER = utterance("clock")
NOTICED_S = 10.0
TIMEOUT_S = 3.0
LIMIT = 1 << 20
END = json.dumps({"type": "speech_end"})
NODE = Path(__file__).parent / "node"

SETTINGS = {
    "XINGJI_MAX_FRAME_BYTES": str(LIMIT),
    "XINGJI_CONNECTION_TIMEOUT_S": str(TIMEOUT_S),
    "XINGJI_PING_INTERVAL_S": "1",
    "XINGJI_LIVE_LOAD": "0",  # a busy machine refuses nobody here
}


def started(folder: Path, way: str, **settings: str) -> Server:
    if way == "gunicorn":
        return Server(folder, GUNICORN, **SETTINGS, **settings)
    return Server(folder, XINGJI_ASYNC_MODE=way, **SETTINGS, **settings)


@pytest.fixture(scope="module", params=["eventlet", "threading", "gunicorn"])
def server(models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("websockets"), request.param) as running:
        yield running


def address(server: Server, path: str = "/ws/asr") -> str:
    return server.url.replace("http:", "ws:") + path


def play(client: ClientConnection, pcm: bytes, frame: int = FRAME, pause_s: float = 0.0) -> None:
    for at in range(0, len(pcm), frame):
        client.send(pcm[at : at + frame])
        time.sleep(pause_s)


def told(client: ClientConnection, seconds: float = 60.0) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(client.recv(timeout=seconds))
    return message


def correct(text: str, said: Any = SAID) -> bool:
    return text == said.written if said.exact else bool(text)


def active(server: Server) -> int:
    return int(server.get("/api/health").json()["sessions"]["active"])


def held(server: Server) -> tuple[int, int]:
    """Open files and threads of the gateway; of gunicorn's worker, which is its only child with the port."""
    pids = [server.process.pid]
    for child in Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split():
        if b"gunicorn" in Path(f"/proc/{child}/cmdline").read_bytes():
            pids = [int(child)]
    process = Path(f"/proc/{pids[0]}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


# -- text ---------------------------------------------------------------------------------


def test_sentences_that_the_client_has_cut(server: Server) -> None:
    with connect(address(server)) as client:
        for number, said in enumerate((SAID, OTHER, SAID), 1):
            play(client, said.pcm)
            client.send(END if number < 3 else json.dumps({"end_signal": True}))
        for number, said in enumerate((SAID, OTHER, SAID), 1):
            result = told(client)
            assert correct(result.pop("text"), said)
            expected = {"type": "result", "is_final": True, "id": number, "duration_ms": said.milliseconds}
            assert result == expected


@pytest.mark.parametrize("frame", [1001, 20_000, 1 << 19], ids=str)
def test_the_size_of_frames_means_nothing(server: Server, frame: int) -> None:
    with connect(address(server), compression=None) as client:
        play(client, SAID.pcm, frame)
        client.send(END)
        assert correct(told(client)["text"])


def test_a_message_in_fragments(server: Server) -> None:
    with connect(address(server)) as client:
        client.send(SAID.pcm[at : at + FRAME] for at in range(0, len(SAID.pcm), FRAME))
        client.send(iter(('{"type":', '"speech_end"}')))
        assert correct(told(client)["text"])


def test_floats_of_a_page_at_its_own_rate(server: Server) -> None:
    import numpy as np
    import soxr

    pcm = np.frombuffer(SAID.pcm, np.int16).astype(np.float32) / 32768
    floats = soxr.resample(pcm, 16_000, 48_000).astype("<f4").tobytes()
    with connect(address(server, "/ws/asr?format=f32le&sample_rate=48000")) as client:
        play(client, floats, 4 * 4800)
        client.send(END)
        result = told(client)
        assert correct(result["text"]) and abs(result["duration_ms"] - SAID.milliseconds) <= 1


def test_text_while_it_is_spoken(server: Server) -> None:
    with connect(address(server, "/ws/asr?mode=stream")) as client:
        play(client, SAID.pcm, pause_s=0.05)
        client.send(json.dumps({"end_signal": True}))
        partials = []
        while not (result := told(client))["is_final"]:
            partials.append(result["text"])
        assert partials and all(partials) and result["id"] == 1
        assert correct(result["text"])
        play(client, OTHER.pcm + bytes(64_000))  # ended by silence
        while not (result := told(client))["is_final"]:
            pass
        assert correct(result["text"], OTHER) and result["id"] == 2


def test_silence_is_no_speech_and_no_error(server: Server) -> None:
    with connect(address(server)) as client:
        play(client, bytes(64_000))
        client.send(END)
        assert told(client)["text"] == ""


def test_two_clients_do_not_mix(server: Server) -> None:
    with connect(address(server)) as one, connect(address(server)) as two:
        for at in range(0, max(len(SAID.pcm), len(OTHER.pcm)), FRAME):
            for client, pcm in ((one, SAID.pcm), (two, OTHER.pcm)):
                if at < len(pcm):
                    client.send(pcm[at : at + FRAME])
        one.send(END)
        two.send(END)
        assert correct(told(one)["text"]) and correct(told(two)["text"], OTHER)


@pytest.mark.parametrize("query", ["", "?mode=stream"])
def test_node(server: Server, query: str) -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "ws").is_dir():
        pytest.skip("node or its packages are missing; run npm ci in tests/e2e/node")
    command = [node, "websocket.mjs", address(server, "/ws/asr" + query), str(SPEECH / f"{SAID.name}.wav"), "", END]
    done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert correct(said["told"][-1]["text"]) and said["extensions"] == ""
    assert bool(query) == (len(said["told"]) > 1)


# -- the handshake -----------------------------------------------------------------------------


def test_asked_without_upgrading(server: Server) -> None:
    answer = server.get("/ws/asr")
    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert answer.json()["code"] == "upgrade_required" and answer.json()["error"]
    assert server.post("/ws/asr").status_code == 426


def test_bad_options_are_told_before_upgrading(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(address(server, "/ws/asr?sample_rate=1"))
    assert refused.value.response.status_code == 400
    body = json.loads(refused.value.response.body)
    assert (body["code"], body["field"]) == ("bad_parameter", "sample_rate")


def by_hand(server: Server, *headers: str) -> bytes:
    """The answer to a handshake with exactly these headers."""
    lines = ["GET /ws/asr HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Upgrade: websocket", "Connection: keep-alive, "
             "Upgrade", *headers, "", ""]  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        plain.sendall("\r\n".join(lines).encode())
        answer = b""
        with suppress(OSError):
            while b"\r\n\r\n" not in answer and (more := plain.recv(4096)):
                answer += more
        return answer


def test_a_client_that_sends_its_key_twice(server: Server) -> None:
    first = base64.b64encode(b"0123456789abcdef").decode()
    twice = [f"Sec-WebSocket-Key: {first}", "Sec-WebSocket-Version: 13"]
    answer = by_hand(server, *twice, "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==", "Sec-WebSocket-Version: 13")
    assert b" 101 " in answer and b"Sec-WebSocket-Accept: BACScCJPNqyz+UBoqMH89VmURoA=" in answer


NONE = {
    "no key and version": [],
    "no version": ["Sec-WebSocket-Key: x"],
    "no key": ["Sec-WebSocket-Version: 13"],
    "an old version": ["Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 8"],
}


@pytest.mark.parametrize("kind", NONE)
def test_a_handshake_that_is_none(server: Server, kind: str) -> None:
    answer = by_hand(server, *NONE[kind])
    assert answer.startswith(b"HTTP/1.1 426") and b"sec-websocket-version: 13" in answer.lower()


def test_tokens(models: Path, tmp_path: Path) -> None:
    with started(tmp_path, "eventlet", XINGJI_API_KEYS="secret,other") as guarded:
        for more in ({}, {"additional_headers": {"Authorization": "Bearer wrong"}}):
            with pytest.raises(InvalidStatus) as refused:
                connect(address(guarded), **more)  # type: ignore[arg-type]
            assert refused.value.response.status_code == 401
        for path, headers in (
            ("/ws/asr?token=secret", {}),
            ("/ws/asr", {"Authorization": "bearer other"}),
            ("/ws/asr", {"X-NLS-Token": "secret"}),
        ):
            with connect(address(guarded, path), additional_headers=headers) as client:
                assert client.ping().wait(10)


# -- what should not be sent -------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["{", "[]", '{"type": 7}', '{"type": "stop"}', "好" * 10_000])
def test_wrong_messages_in_mid_sentence(server: Server, message: str) -> None:
    with connect(address(server)) as client:
        play(client, SAID.pcm[:64_000])
        client.send(message)
        error = told(client)
        assert error["type"] == "error" and error["code"] in ("bad_json", "unknown_type") and "text" not in error
        play(client, SAID.pcm[64_000:])
        client.send(END)
        assert correct(told(client)["text"])


def closed(client: ClientConnection) -> int | None:
    """The code with which the server ends it; what was told before is passed over."""
    try:
        while True:
            client.recv(timeout=30)
    except ConnectionClosed as over:
        return over.rcvd.code if over.rcvd else None


@pytest.mark.parametrize(
    "message", [bytes(LIMIT + 1), "x" * (LIMIT + 1), bytes(20 << 20)], ids=["binary", "text", "20 MB"]
)
def test_a_message_above_the_limit(server: Server, message: str | bytes) -> None:
    with connect(address(server), compression=None) as client:
        with suppress(ConnectionClosed):
            client.send(message)
        assert closed(client) == 1009
    with connect(address(server)) as client:
        assert client.ping().wait(10)


def test_broken_frames(server: Server) -> None:
    key = base64.b64encode(bytes(16)).decode()
    request = (
        f"GET /ws/asr HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for frame in (b"\xff" * 20, b"\x82\x05hello", b"\x81\x81\0\0\0\0\xff"):  # reserved bits, no mask, no UTF-8
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
            plain.sendall(request.encode())
            answer = plain.recv(4096)
            assert b" 101 " in answer
            plain.sendall(frame)
            rest = b""
            while more := plain.recv(4096):
                rest += more
            assert rest[:1] == b"\x88"  # a close frame, then the end
    server.wait(lambda: active(server) == 0, NOTICED_S)


def test_open_and_drop_leaves_nothing_behind(server: Server) -> None:
    def cycle(number: int) -> None:
        with connect(address(server, "/ws/asr?mode=stream" if number % 2 else "/ws/asr")) as client:
            play(client, SAID.pcm[:FRAME])
            if number % 3:
                client.socket.shutdown(socket.SHUT_WR)  # no goodbye

    cycle(0)
    cycle(1)
    server.wait(lambda: active(server) == 0, NOTICED_S)
    before = held(server)
    for number in range(50):
        cycle(number)
    server.wait(lambda: active(server) == 0, NOTICED_S)
    server.wait(lambda: all(now <= then + 2 for now, then in zip(held(server), before, strict=True)), NOTICED_S)
    assert "Traceback" not in server.log.read_text("utf-8")


# -- clocks ---------------------------------------------------------------------------------------------


def test_an_idle_connection_is_closed_and_a_talking_one_is_not(server: Server) -> None:
    with connect(address(server)) as idle, connect(address(server, "/ws/asr?events=1")) as talking:
        begun = time.monotonic()
        while time.monotonic() - begun < 2 * TIMEOUT_S:
            talking.send('{"type":"ping"}')
            time.sleep(0.5)
        assert closed(idle) == 1000
        assert [told(talking)["type"] for _ in range(3)] == ["ready", "pong", "pong"]


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Inference workers that stand still meanwhile."""
    pids = server.worker_pids().values()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_engines_that_lag_hold_the_client_back_and_lose_nothing(server: Server) -> None:
    pcm = SAID.pcm + bytes(32_000)
    sent = []

    def send(client: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            for _ in range(400):  # 80 MB, 40 minutes
                play(client, pcm)
                sent.append(1)

    with connect(address(server, "/ws/asr?mode=stream"), compression=None, ping_interval=None) as client:
        with stopped(server):
            assert client.ping().wait(10)  # engines that stand still keep nobody from answering
            sending = threading.Thread(target=send, args=(client,), daemon=True)
            sending.start()
            time.sleep(4)
            stuck = len(sent)
            time.sleep(1)
            assert len(sent) == stuck < 200, "TCP holds the client back"
        server.wait(lambda: len(sent) > stuck, 60)
        first = None
        while first is None:
            result = told(client)
            first = result["text"] if result["is_final"] else None
        assert correct(first)
        client.socket.shutdown(socket.SHUT_WR)
    sending.join(30)
    server.wait(lambda: active(server) == 0, 60)


def test_a_server_that_ends_delivers_first(models: Path, tmp_path: Path) -> None:
    for way in ("eventlet", "threading", "gunicorn"):
        folder = tmp_path / way
        folder.mkdir()
        with started(folder, way) as ending, connect(address(ending)) as client, connect(address(ending)) as live:
            play(client, SAID.pcm)
            client.send(END)
            play(live, SAID.pcm)  # no mark
            assert live.ping().wait(10) and client.ping().wait(10)
            ending.process.terminate()
            assert correct(told(client)["text"]) and correct(told(live)["text"])
            assert closed(client) == closed(live) == 1001
            assert ending.process.wait(30) == 0
        assert "Traceback" not in ending.log.read_text("utf-8")
