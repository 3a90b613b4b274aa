"""The Python client and its command line on a real server: both protocols, and what goes wrong."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from AsrClient import AsrClient, AsrError, Interruption, Sentence, opus, read_file
from tests.support import FRAME, ROOT, SPEECH, Server, silence, utterance
from xingji.core.scoring import cer

SAID = utterance("two_sentences")
PROTOCOLS = ("socketio", "dashscope")


class Heard:
    """Every callback, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *told: self.calls.append((name, told[0] if len(told) == 1 else told))

    def named(self, name: str) -> list[Any]:
        return [told for called, told in self.calls if called == name]

    @property
    def callbacks(self) -> dict[str, Any]:
        names = ("on_partial", "on_final", "on_dropped", "on_state", "on_error", "on_connection", "on_interrupted")
        return {name: getattr(self, name) for name in names}


@pytest.fixture(scope="module")
def guarded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API key, one recording at a time, none longer than twelve seconds."""
    limits = {"XINGJI_API_KEYS": "secret", "XINGJI_MAX_SESSIONS": "1", "XINGJI_MAX_RECORDING_S": "12"}
    with Server(tmp_path_factory.mktemp("guarded"), **limits) as running:
        yield running


def frames(pcm: bytes) -> Iterator[bytes]:
    for at in range(0, len(pcm), FRAME):
        yield pcm[at : at + FRAME]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_file(server: Server, protocol: str, compressed: bool) -> None:
    heard = Heard()
    with AsrClient(server.url, protocol=protocol, **heard.callbacks) as client:
        id = client.start(language="zh", format="ogg" if compressed else "s16le")
        pieces = read_file(SPEECH / f"{SAID.name}.wav")
        for piece in opus(pieces) if compressed else pieces:
            client.send(piece)
        result = client.stop()
        assert client.backlog == 0
    assert cer([(SAID.written, result.text)]) <= 0.05 and (compressed or not SAID.exact or result.text == SAID.written)
    assert result.recording_id == id and not result.interrupted
    assert abs(result.duration_ms - SAID.milliseconds) < (1000 if protocol == "dashscope" else 120)
    finals: list[Sentence] = heard.named("on_final")
    assert [one.id for one in finals] == sorted({one.id for one in finals})
    assert "".join(one.text for one in finals) == result.text == client.state.full_text
    assert finals == list(result.sentences) or protocol == "socketio"  # whose final result knows more of each
    assert {one.id for one in heard.named("on_partial")} <= {one.id for one in finals}
    assert heard.named("on_error") == [] and heard.named("on_connection")[0] == "online"
    phases = [state.phase for state in heard.named("on_state")]
    assert list(dict.fromkeys(phases)) == ["starting", "recording", "finalizing", "done"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_text_comes_while_it_is_spoken_and_hotwords_act(server: Server, protocol: str) -> None:
    said = utterance("name_lintao")
    shown = threading.Event()
    with AsrClient(server.url, protocol=protocol, on_partial=lambda _: shown.set()) as client:
        for _ in range(2):  # one after the other on one client
            shown.clear()
            client.start(hotwords=["林滔"])
            for frame in frames(said.pcm):
                client.send(frame)
            assert shown.wait(30), "text before the stop"
            assert client.stop().text == said.written.replace("林涛", "林滔")
    server.wait(lambda: not list(server.tables.glob("*.json")), 20)  # DashScope's vocabularies went with their tasks


def test_only_so_much_is_on_the_way_and_all_of_it_arrives(server: Server) -> None:
    """Faster than it is recognised, for longer than the server takes in advance."""
    pcm = silence(60) + SAID.pcm
    with AsrClient(server.url) as client:
        client.start()
        most = 0
        for frame in frames(pcm):
            client.send(frame)
            most = max(most, client.backlog)
        result = client.stop()
    assert 0 < most <= 256 * 1024 + FRAME
    assert result.duration_ms == len(pcm) // 32
    assert SAID.sentences[1]["written"] in result.text or not SAID.exact


def test_a_connection_that_breaks(server: Server) -> None:
    """What had arrived is recognised and fetched; what had not is handed over; the same client records on."""
    heard = Heard()
    first = SAID.sentences[0]
    with AsrClient(server.url, **heard.callbacks) as client:
        id = client.start()
        sent = SAID.pcm[: first["end_ms"] * 32 // FRAME * FRAME]
        for frame in frames(sent):
            client.send(frame)
        server.wait(lambda: client.backlog == 0, 20)
        client._wire._client.eio.ws.sock.shutdown(socket.SHUT_RDWR)
        result = client.stop(60)
        assert result.interrupted and result.recording_id == id and result.duration_ms == len(sent) // 32
        assert cer([(first["written"], result.text)]) <= 0.1
        assert heard.named("on_interrupted") == [Interruption(id, len(sent) // 32, ())]
        with pytest.raises(AsrError) as refused:
            client.send(bytes(2))
        assert refused.value.code == "no_session"
        client.start()
        for frame in frames(SAID.pcm):
            client.send(frame)
        assert SAID.written == client.stop().text or not SAID.exact
    assert heard.named("on_connection") == ["online", "offline", "online", "offline"]


def test_dashscope_keeps_nothing_of_a_task_whose_connection_broke(server: Server) -> None:
    heard = Heard()
    with AsrClient(server.url, protocol="dashscope", **heard.callbacks) as client:
        client.start(hotwords=["林滔"])
        client.send(bytes(FRAME))
        client._wire._socket.sock.shutdown(socket.SHUT_RDWR)
        with pytest.raises(AsrError) as lost:
            client.stop(60)
        assert lost.value.code == "connection_lost" and lost.value.retryable
        assert len(heard.named("on_interrupted")) == 1 and client.state.phase == "interrupted"
    server.wait(lambda: not list(server.tables.glob("*.json")), 20)


@pytest.mark.parametrize(("protocol", "code"), [("socketio", "bad_config"), ("dashscope", "InvalidParameter")])
def test_what_the_server_refuses_is_told_in_its_words(server: Server, protocol: str, code: str) -> None:
    with AsrClient(server.url, protocol=protocol) as client:
        with pytest.raises(AsrError) as refused:
            client.start(sample_rate=7)
        assert refused.value.code == code and refused.value.message
        assert "sample_rate" in refused.value.message or refused.value.told["field"] == "sample_rate"
        assert client.state.phase == "idle"
        with pytest.raises(AsrError, match=code):
            client.send(b"")
        client.start()
        with pytest.raises(AsrError, match="already_recording"):
            client.start()
        client.cancel()
        with pytest.raises(AsrError, match="no_session"):
            client.stop()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_keys_and_addresses(guarded: Server, protocol: str) -> None:
    for url, key, code in (
        (guarded.url, None, "unauthorized"),
        (guarded.url, "wrong", "unauthorized"),
        ("http://127.0.0.1:9", None, "unreachable"),
    ):
        with AsrClient(url, protocol=protocol, api_key=key) as client:
            with pytest.raises(AsrError) as refused:
                client.start()
            assert refused.value.code == code
    with AsrClient(guarded.url + "/", protocol=protocol, api_key="secret") as client:
        client.start()
        client.cancel()


def test_a_full_server_and_a_recording_that_the_server_ends(guarded: Server) -> None:
    pcm = SAID.pcm + silence(10)
    with AsrClient(guarded.url, api_key="secret") as client, AsrClient(guarded.url, api_key="secret") as other:
        client.start()
        with pytest.raises(AsrError) as busy:
            other.start()
        assert busy.value.code == "busy" and busy.value.retryable and busy.value.told["retry_after_ms"] > 0
        with pytest.raises(AsrError, match="no_session"):
            for frame in frames(pcm * 20):
                client.send(frame)
        result = client.stop()
        assert client.state.stop_reason == "max_duration" and 12_000 <= result.duration_ms < 13_000
        assert SAID.sentences[0]["written"] in result.text or not SAID.exact


def run(server: Server, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xingji.client", "--url", server.url, *arguments]
    variables = os.environ | {"PYTHONUTF8": "1"} | environment
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120, check=False)


def test_the_command_line(server: Server) -> None:
    wav = str(SPEECH / f"{SAID.name}.wav")
    done = run(server, wav)
    assert done.returncode == 0, done.stderr
    shown = [line.partition("] ")[2] for line in done.stderr.splitlines()]
    assert done.stdout == "".join(shown) + "\n" and (not SAID.exact or done.stdout == SAID.written + "\n")
    srt = run(server, wav, "--format", "srt", "--quiet", "--protocol", "dashscope")
    assert (srt.returncode, srt.stderr) == (0, "")
    blocks = [block.splitlines() for block in srt.stdout.strip().split("\n\n")]
    assert [block[0] for block in blocks] == ["1", "2"] and "".join(block[2] for block in blocks) + "\n" == done.stdout
    name = str(SPEECH / "name_lintao.wav")
    told = json.loads(run(server, name, "--format", "json", "--hotwords", "林滔、章薇", "--opus", "--realtime").stdout)
    assert "林滔" in told["text"] and told["sentences"][0]["stage"] == "second_pass" and not told["interrupted"]
    assert run(server, str(ROOT / "tests" / "data" / "test.mp3"), "--quiet").stdout


def test_the_command_line_says_what_is_wrong(server: Server, guarded: Server, tmp_path: Path) -> None:
    wav = str(SPEECH / "question.wav")
    for done, status, words in (
        (run(server, str(tmp_path / "missing.wav")), 2, "打不开"),
        (run(server, wav, "--format", "docx"), 2, "invalid choice"),
        (run(server, wav, "--language", "xx"), 1, "bad_config（language）"),
        (run(guarded, wav), 1, "unauthorized"),
        (run(server, wav, "--url", "http://127.0.0.1:9"), 3, "unreachable"),
    ):
        assert done.returncode == status and words in done.stderr and done.stdout == "", done
        assert "Traceback" not in done.stderr
    assert run(guarded, wav, "--quiet", ASR_API_KEY="secret").returncode == 0


def test_the_demo(server: Server) -> None:
    command = [sys.executable, "clients/python/app.py", str(SPEECH / "question.wav"), "--url", server.url, "--opus"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert "全文 text：" in done.stdout and utterance("question").written[:6] in done.stdout and done.stderr == ""
