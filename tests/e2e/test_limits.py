"""How many may record at a time, and how long a connection may idle: short limits, real sockets, both servers."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support import ROOT, SPEECH, Recorder, Server, utterance
from xingji.runtime.pool import BEHIND_S

PCM = utterance("question").pcm
TIMEOUT_S = 1.0
NOTICED_S = 10.0


@pytest.fixture(scope="module", params=["eventlet", "threading"])
def server(models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    settings = {
        "XINGJI_ASYNC_MODE": request.param,
        "XINGJI_MAX_SESSIONS": "0",
        "XINGJI_CONNECTION_TIMEOUT_S": str(TIMEOUT_S),
        "XINGJI_PING_INTERVAL_S": "1",
        "XINGJI_PING_TIMEOUT_S": "5",
    }
    with Server(tmp_path_factory.mktemp("limits"), **settings) as running:
        yield running


@contextmanager
def stopped(server: Server, role: str) -> Iterator[None]:
    """An inference worker that stands still meanwhile."""
    pid = server.worker_pids()[role]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def closed(server: Server, client: Recorder) -> None:
    """The connection has been ended, and its client had been told."""
    server.wait(lambda: not client.client.connected, NOTICED_S)
    error = client.expect("error")
    assert (error["code"], error["fatal"], error["retryable"]) == ("connection_timeout", True, True)
    assert client.events[-1][0] == "error" and len(client.named("error")) == 1


def held(server: Server) -> tuple[int, int]:
    """Open files and threads of the gateway."""
    process = Path(f"/proc/{server.process.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


@pytest.mark.parametrize("transports", [("websocket",), ("polling",), ("polling", "websocket")], ids="-".join)
def test_an_idle_connection_is_told_and_closed(server: Server, transports: tuple[str, ...]) -> None:
    with Recorder(server.url, transports) as client:
        assert client.expect("connected")["limits"]["connection_timeout_s"] == TIMEOUT_S
        closed(server, client)  # heartbeats went on all the while


@pytest.mark.parametrize("words", [(), ("40/nowhere,",)], ids=["silent", "not let in"])
def test_who_does_not_join_is_shown_the_door(server: Server, words: tuple[str, ...]) -> None:
    address = server.url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
    with connect(address, proxy=None) as stranger:
        for word in words:
            stranger.send(word)
        with pytest.raises(ConnectionClosed):
            while said := stranger.recv(NOTICED_S):
                if said == "2":
                    stranger.send("3")


def test_idle_connections_leave_nothing_behind(server: Server) -> None:
    with Recorder(server.url) as first:  # with it engineio's own thread begins, which stays
        closed(server, first)
    before = held(server)
    with ExitStack() as stack:
        for client in [stack.enter_context(Recorder(server.url)) for _ in range(10)]:
            closed(server, client)
        server.wait(lambda: all(now <= then for now, then in zip(held(server), before, strict=True)), NOTICED_S)


def test_a_browser_comes_back_by_itself(server: Server) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; this client needs Node.js 20 or later")
    client = (ROOT / "web" / "vendor" / "socket.io.esm.min.js").as_uri()
    script = f"""
        import {{ io }} from '{client}';
        const ids = [];
        const socket = io('{server.url}', {{ transports: ['websocket'] }});
        socket.on('error', (error) => console.log(error.code));
        socket.on('connect', () => ids.push(socket.id) === 2 && socket.disconnect());
    """
    command = [node, "--experimental-websocket", "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["connection_timeout"]


def test_events_and_recordings_keep_a_connection(server: Server) -> None:
    with Recorder(server.url) as talking, Recorder(server.url) as recording:
        recording.start()
        end = time.monotonic() + 3 * TIMEOUT_S
        events = ["ping_latency", "resume_recording", "an unknown one", "update_hotwords"]
        while time.monotonic() < end:
            events.append(events.pop(0))
            talking.client.emit(events[-1], {})
            time.sleep(TIMEOUT_S / 4)
        assert talking.client.connected and recording.client.connected
        recording.play(PCM, pace=0)
        assert recording.stop()["sensevoice"]
        closed(server, recording)


def test_an_upload_keeps_the_connection_that_hears_of_its_progress(server: Server) -> None:
    with Recorder(server.url) as client:
        answers = []

        def upload() -> None:
            form = {"session_id": client.expect("connected")["session_id"]}
            file = {"file": (SPEECH / "question.wav").read_bytes()}
            answers.append(server.post("/api/asr/transcribe", files=file, data=form).status_code)

        with stopped(server, "segment"):
            uploading = threading.Thread(target=upload)
            uploading.start()
            time.sleep(3 * TIMEOUT_S)
            assert client.client.connected
        uploading.join()
        assert answers == [200]
        # The answer comes on another connection and may be here first.
        server.wait(lambda: [told["progress"] for told in client.named("processing_progress")][-1:] == [100], 10)
        closed(server, client)


def test_without_a_number_new_recordings_wait_until_the_workers_keep_up(server: Server) -> None:
    assert server.get("/api/health").json()["sessions"]["capacity"] is None
    with Recorder(server.url) as one, Recorder(server.url) as two:
        one.start()
        two.start()
        with stopped(server, "stream"):
            one.play(PCM, pace=0)
            two.play(PCM, pace=0)
            time.sleep(BEHIND_S["stream"] + 0.5)
            with Recorder(server.url) as three:
                ack = three.client.call("start_recording", timeout=10)
                assert (ack["ok"], ack["code"]) == (False, "busy") and ack["retry_after_ms"] > 0
                error = three.expect("error")
                assert (error["code"], error["fatal"]) == ("busy", False)
                file = {"file": (SPEECH / "question.wav").read_bytes()}
                assert server.post("/api/asr/transcribe", files=file).status_code == 429
        texts = {client.stop()["sensevoice"] for client in (one, two)}
        assert len(texts) == 1 and "" not in texts
        with Recorder(server.url) as three:
            three.start()
            three.play(PCM, pace=0)
            assert {three.stop()["sensevoice"]} == texts


def test_a_port_that_is_taken_is_not_shared(server: Server, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, ROOT / "asr_api_server.py"],
        env=os.environ | {"XINGJI_PORT": str(server.port), "XINGJI_MODELS": "minipack"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=NOTICED_S,
    )
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    line = second.stderr.splitlines()[-1]
    assert str(server.port) in line and "XINGJI_PORT" in line
