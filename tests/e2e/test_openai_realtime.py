"""OpenAI's realtime transcription by OpenAI's own clients, and by `websockets` for what those never do."""

import asyncio
import base64
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import soxr
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.e2e.tls import Terminator
from tests.support import ANSWER_S, SPEECH, Server, utterance
from xingji.audio.g711 import ALAW, MULAW
from xingji.wire.realtime import LARGEST

SAID, TWO, NAME = utterance("question"), utterance("two_sentences"), utterance("name_lintao")
NODE = Path(__file__).parent / "node"
NOTICED_S = 10.0
TRANSCRIPTION = "conversation.item.input_audio_transcription."
UNMARKED = str.maketrans("", "", "，。？！、")
QUERY = {"intent": "transcription"}

Event = dict[str, Any]

# openai's client opens its connection in a way that websockets would rather not see any more.
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("openai_realtime"), XINGJI_MAX_SESSIONS="2") as running:
        yield running


def encoded(pcm: bytes, format: str = "audio/pcm", rate: int = 24_000) -> bytes:
    """16 kHz samples as a client would have them."""
    rate = rate if format == "audio/pcm" else 8_000
    samples = soxr.resample(np.frombuffer(pcm, np.int16), 16_000, rate)
    if format == "audio/pcm":
        return samples.astype("<i2").tobytes()
    levels = (MULAW if format == "audio/pcmu" else ALAW).astype(np.int32)
    order = np.argsort(levels)
    middles = (levels[order][1:] + levels[order][:-1]) / 2
    return order[np.searchsorted(middles, samples)].astype(np.uint8).tobytes()


def pieces(audio: bytes, size: int = 4800) -> Iterator[str]:
    for at in range(0, len(audio), size):
        yield base64.b64encode(audio[at : at + size]).decode()


def client(server: Server, key: str = "none", **more: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=server.url + "/v1", max_retries=0, **more)


def beta_client(server: Server, **more: Any) -> openai.OpenAI:
    return client(server, websocket_base_url=server.url.replace("http:", "ws:") + "/v1", **more)


def until(connection: Any, over: Callable[[list[Event]], bool]) -> list[Event]:
    """What an openai connection is told, as JSON. Its types have a place for all of it, and nothing is missing."""
    told: list[Event] = []
    while not over(told):
        message = connection.recv_bytes()
        told.append(json.loads(message))
        if "session" not in told[-1]:  # whose types allow less than we do
            event = connection.parse_event(message)
            assert type(event).model_validate(told[-1]).type == told[-1]["type"]
    return told


def count(told: list[Event], kind: str) -> int:
    return sum(event["type"].endswith(kind) for event in told)


def all_told(told: list[Event]) -> bool:
    """What a clear after the commit marks."""
    return count(told, ".cleared") == 1


def active(server: Server) -> int:
    return int(server.get("/api/health").json()["sessions"]["active"])


def check_items(told: list[Event], beta: bool) -> list[str]:
    """Each item's events are there and in order; its transcripts, in the order of the items."""
    announced = ["conversation.item.created"] if beta else ["conversation.item.added", "conversation.item.done"]
    before, transcripts = None, []
    for committed in (event for event in told if event["type"] == "input_audio_buffer.committed"):
        id = committed["item_id"]
        own = [e for e in told if e.get("item_id") == id or e.get("item", {}).get("id") == id]
        kinds = [event["type"] for event in own if not event["type"].endswith(".delta")]
        start = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"]
        assert [kind for kind in kinds if kind not in start] == [
            "input_audio_buffer.committed", *announced, TRANSCRIPTION + "completed",
        ]  # fmt: skip
        assert kinds[:2] == start or not set(kinds) & set(start)
        assert committed["previous_item_id"] == before
        before, final = id, own[-1]
        said = "".join(event["delta"] for event in own if event["type"].endswith(".delta"))
        assert final["type"].endswith(".completed") and final["usage"]["type"] == "duration"
        assert final["usage"]["seconds"] > 0
        if final["transcript"].startswith(said):
            assert final["transcript"] == said, "the last delta has the rest"
        transcripts.append(final["transcript"])
    return transcripts


# -- OpenAI's Python client ---------------------------------------------------------------------


def play(connection: Any, audio: bytes, pause_s: float = 0.01) -> None:
    for piece in pieces(audio):
        connection.input_audio_buffer.append(audio=piece)
        time.sleep(pause_s)


def test_the_server_finds_the_sentences(server: Server) -> None:
    with client(server).realtime.connect(extra_query=QUERY) as one:
        created = one.recv()
        assert created.type == "session.created"
        assert created.session.type == "transcription" and abs(created.session.expires_at - time.time() - 3600) < 60
        turns = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
        transcription = {"model": "gpt-4o-transcribe", "language": "zh"}
        asked = {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": transcription}
        one.session.update(session={"type": "transcription", "audio": {"input": {**asked, "turn_detection": turns}}})
        play(one, encoded(TWO.pcm + bytes(32_000)))
        one.input_audio_buffer.commit()
        one.input_audio_buffer.clear()
        told = until(one, all_told)
    assert told[0]["session"]["audio"]["input"] == {**asked, "turn_detection": turns, "noise_reduction": None}
    assert "".join(check_items(told, beta=False)).translate(UNMARKED) == TWO.written.translate(UNMARKED)
    started = [event for event in told if event["type"].endswith("speech_started")]
    stopped = [event for event in told if event["type"].endswith("speech_stopped")]
    assert len(started) == len(stopped) >= len(TWO.sentences)
    assert abs(started[0]["audio_start_ms"] - TWO.sentences[0]["begin_ms"]) < 800
    assert abs(stopped[-1]["audio_end_ms"] - TWO.sentences[-1]["end_ms"]) < 800


def test_text_while_it_is_spoken(server: Server) -> None:
    with client(server).realtime.connect(extra_query=QUERY) as one:
        play(one, encoded(NAME.pcm + bytes(32_000)), 0.1)
        told = until(one, lambda told: count(told, ".completed") == 1)
    kinds = [event["type"].rpartition(".")[2] for event in told]
    assert kinds.index("delta") < kinds.index("speech_stopped")
    assert NAME.exact and check_items(told, beta=False) == [NAME.written]


@pytest.mark.parametrize(
    "format",
    [
        {"type": "audio/pcm", "rate": 24_000},
        {"type": "audio/pcm", "rate": 16_000},
        {"type": "audio/pcmu"},
        {"type": "audio/pcma"},
    ],
    ids=lambda format: f"{format['type'][6:]}{format.get('rate', '')}",
)
def test_the_client_commits(server: Server, format: Any) -> None:
    audio = encoded(SAID.pcm, format["type"], format.get("rate", 8_000))
    with client(server).realtime.connect(model="gpt-4o-transcribe") as one:
        one.session.update(
            session={"type": "transcription", "audio": {"input": {"format": format, "turn_detection": None}}}
        )
        for _ in range(2):
            play(one, audio)
            one.input_audio_buffer.commit()
        one.input_audio_buffer.append(audio=next(pieces(audio)))
        one.input_audio_buffer.clear()
        one.input_audio_buffer.commit()
        told = until(one, lambda told: count(told, ".completed") == 2 and count(told, "error") == 1)
    assert told[1]["session"]["audio"]["input"]["format"] == format
    text = check_items(told, beta=False)
    assert text[0] == text[1] and text[0].translate(UNMARKED) == SAID.written.translate(UNMARKED)
    seconds = next(event["usage"]["seconds"] for event in told if event["type"].endswith(".completed"))
    assert abs(seconds * 1000 - SAID.milliseconds) < 5
    assert next(event for event in told if event["type"] == "error")["error"]["code"] == (
        "input_audio_buffer_commit_empty"
    )


@pytest.mark.parametrize("vad", [True, False], ids=["server", "client"])
def test_the_beta(server: Server, vad: bool) -> None:
    with beta_client(server).beta.realtime.connect(model="gpt-4o-transcribe", extra_query=QUERY) as one:
        assert one.recv().type == "transcription_session.created"
        turns = {"type": "server_vad", "silence_duration_ms": 500} if vad else None
        session: Any = {"input_audio_format": "pcm16", "turn_detection": turns}
        one.transcription_session.update(session=session | {"input_audio_transcription": {"model": "whisper-1"}})
        updated = one.recv().to_dict()
        assert updated["type"] == "transcription_session.updated"
        assert updated["session"]["input_audio_transcription"] == {"model": "whisper-1"}
        play(one, encoded(TWO.pcm))
        one.input_audio_buffer.commit()
        one.input_audio_buffer.clear()
        told = until(one, lambda told: all_told(told) and count(told, ".completed") > 0)
    text = check_items(told, beta=True)
    assert "".join(text).translate(UNMARKED) == TWO.written.translate(UNMARKED)
    assert len(text) >= 2 if vad else len(text) == 1


def test_keywords(server: Server) -> None:
    with client(server).realtime.connect(extra_query=QUERY) as one:
        transcription: Any = {"model": "gpt-transcribe", "keywords": ["林滔"], "languages": ["zh"]}
        one.session.update(
            session={
                "type": "transcription",
                "audio": {"input": {"transcription": transcription, "turn_detection": None}},
            }
        )
        play(one, encoded(NAME.pcm))
        one.input_audio_buffer.commit()
        told = until(one, lambda told: count(told, ".completed") == 1)
    assert NAME.exact and told[-1]["transcript"] == NAME.written.replace("林涛", "林滔")


def test_many_at_once_with_the_asynchronous_client(server: Server) -> None:
    """Two places, two clients: the next commit of each waits for its own last one."""
    audio = list(pieces(encoded(SAID.pcm), 48_000))

    async def talk() -> list[str]:
        async with openai.AsyncOpenAI(api_key="none", base_url=server.url + "/v1") as them:  # noqa: SIM117
            async with them.realtime.connect(model="gpt-realtime") as one:
                session: Any = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
                await one.session.update(session=session)
                for _ in range(3):
                    for piece in audio:
                        await one.input_audio_buffer.append(audio=piece)
                    await one.input_audio_buffer.commit()
                texts: list[str] = []
                while len(texts) < 3:
                    event = await one.recv()
                    assert event.type != "error", event
                    if event.type == TRANSCRIPTION + "completed":
                        texts.append(event.transcript)
                return texts

    async def both() -> list[list[str]]:
        return list(await asyncio.gather(talk(), talk()))

    assert {text for texts in asyncio.run(both()) for text in texts} == {SAID.written}
    server.wait(lambda: active(server) == 0, NOTICED_S)


# -- TLS in front -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["vad", "manual"])
def test_node(server: Server, tmp_path: Path, mode: str) -> None:
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "openai").is_dir():
        pytest.skip("node or its packages are missing; run npm ci in tests/e2e/node")
    with Terminator(tmp_path, server.port) as tls:
        url, wav = f"https://127.0.0.1:{tls.port}/v1", str(SPEECH / f"{TWO.name}.wav")
        trusting = os.environ | {"NODE_EXTRA_CA_CERTS": str(tls.certificate)}
        command = [node, "realtime.mjs", url, wav, mode]
        done = subprocess.run(command, cwd=NODE, env=trusting, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    text = check_items(said["told"], beta=False)
    assert "".join(text).translate(UNMARKED) == TWO.written.translate(UNMARKED)
    assert said["errors"] == ([] if mode == "vad" else ["input_audio_buffer_commit_empty"])


def test_the_beta_client_as_it_dials_by_itself(server: Server, tmp_path: Path) -> None:
    with Terminator(tmp_path, server.port) as tls:
        trusting = ssl.create_default_context(cafile=tls.certificate)
        them = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{tls.port}/v1")
        options: Any = {"ssl": trusting}
        with them.beta.realtime.connect(
            model="gpt-4o-transcribe", extra_query=QUERY, websocket_connection_options=options
        ) as one:
            session: Any = {"turn_detection": None}
            one.transcription_session.update(session=session)
            play(one, encoded(SAID.pcm))
            one.input_audio_buffer.commit()
            told = until(one, lambda told: count(told, ".completed") == 1)
    assert check_items(told, beta=True) == [SAID.written]


# -- keys and client secrets ------------------------------------------------------------------------------


def raw(server: Server, query: str = "?intent=transcription", **more: Any) -> ClientConnection:
    return connect(server.url.replace("http:", "ws:") + "/v1/realtime" + query, **more)


def act(kind: str, **more: Any) -> str:
    return json.dumps({"type": kind, "event_id": "mine", **more})


def answer(connection: ClientConnection) -> Event:
    return dict(json.loads(connection.recv(timeout=ANSWER_S)))


def test_keys_and_secrets(models: Path, tmp_path: Path) -> None:
    with Server(tmp_path, XINGJI_API_KEYS="right") as guarded, client(guarded, "right") as them:
        for key in ("wrong", "ek_0123"):
            with pytest.raises(InvalidStatus) as refused, raw(guarded, additional_headers={"Authorization": key}):
                pass
            assert refused.value.response.status_code == 401
            assert json.loads(refused.value.response.body or b"{}")["error"]["code"] == "invalid_api_key"
            with client(guarded, key) as stranger, pytest.raises(openai.AuthenticationError):
                stranger.realtime.client_secrets.create()
        transcription: Any = {"model": "gpt-4o-transcribe", "language": "zh"}
        made = them.realtime.client_secrets.create(session=session_with(transcription))
        assert made.value.startswith("ek_") and 0 < made.expires_at - time.time() <= 60
        assert made.session.type == "transcription" and made.session.audio.input.transcription.language == "zh"
        with pytest.raises(openai.BadRequestError) as wrong:
            them.realtime.client_secrets.create(session={"type": "realtime"})
        assert (wrong.value.code, wrong.value.param) == ("session_type_unsupported", "session.type")
        with pytest.raises(openai.BadRequestError) as wrong:
            them.realtime.client_secrets.create(session=session_with({"model": "x"}))
        assert wrong.value.code == "model_not_found"
        old = them.beta.realtime.transcription_sessions.create(input_audio_format="g711_ulaw")
        assert old.input_audio_format == "g711_ulaw" and old.client_secret.value.startswith("ek_")
        for secret, language in ((made.value, "zh"), (old.client_secret.value, None)):
            offered = ["realtime", f"openai-insecure-api-key.{secret}"]  # as a browser does
            with raw(guarded, subprotocols=offered) as one:
                assert one.subprotocol == "realtime"
                input = answer(one)["session"]["audio"]["input"]
                assert (input["transcription"] or {}).get("language") == language
                assert input["format"]["type"] == ("audio/pcm" if language else "audio/pcmu")
        with them.realtime.connect(extra_query=QUERY) as right:
            assert right.recv().type == "session.created"
        elsewhere = guarded.get("/api/asr/hotwords", headers={"Authorization": f"Bearer {made.value}"})
        assert elsewhere.status_code == 401, "a secret opens nothing else"


def session_with(transcription: Any) -> Any:
    return {"type": "transcription", "audio": {"input": {"transcription": transcription}}}


def test_secrets_where_there_are_no_keys(server: Server) -> None:
    with client(server) as them:
        made = them.realtime.client_secrets.create()
        with them.with_options(api_key=made.value).realtime.connect(extra_query=QUERY) as one:
            assert one.recv().type == "session.created"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"session": 3}', b'{"session": {"audio": []}}'])
def test_what_is_no_request_for_a_secret(server: Server, body: bytes) -> None:
    said = server.post("/v1/realtime/client_secrets", data=body)
    assert said.status_code == 400 and said.headers["x-request-id"].startswith("req_")
    error = said.json()["error"]
    assert error["type"] == "invalid_request_error" and error["code"] in ("invalid_json", "invalid_value")


# -- what their clients never do -------------------------------------------------------------------------


def test_asked_without_upgrading(server: Server) -> None:
    assert server.get("/v1/realtime").status_code == 426


def test_wrong_messages_in_mid_sentence(server: Server) -> None:
    wrong: dict[str | bytes, str] = {
        "{": "invalid_json",
        "[]": "invalid_json",
        bytes(100): "invalid_message",
        act("dance"): "unknown_event",
        act("response.create"): "session_type_unsupported",
        act("conversation.item.delete", item_id="x"): "unsupported_event",
        act("input_audio_buffer.append", audio="?"): "invalid_audio",
        act("session.update", session={"type": "realtime"}): "session_type_unsupported",
        act("session.update", session={"audio": {"input": {"transcription": {"model": "x"}}}}): "model_not_found",
        act("session.update", session={"audio": {"input": {"turn_detection": {"threshold": 7}}}}): "invalid_value",
    }
    audio = list(pieces(encoded(SAID.pcm)))
    with raw(server) as one:
        assert answer(one)["type"] == "session.created"
        one.send(act("session.update", session={"audio": {"input": {"turn_detection": None}}}))
        assert answer(one)["type"] == "session.updated"
        for number, piece in enumerate(audio):
            one.send(act("input_audio_buffer.append", audio=piece))
            if number < len(wrong):
                message, code = list(wrong.items())[number]
                one.send(message)
                error = answer(one)["error"]
                mine = "mine" if isinstance(message, str) and "mine" in message else None
                assert (error["code"], error["event_id"]) == (code, mine)
                assert "Traceback" not in error["message"] and "/" not in error["message"]
        one.send(act("input_audio_buffer.commit"))
        while not (told := answer(one))["type"].endswith(".completed"):
            assert told["type"] != "error"
        assert told["transcript"] == SAID.written


def test_the_largest_message(server: Server) -> None:
    with raw(server, compression=None, max_size=None) as one:
        answer(one)
        one.send(act("session.update", session={"audio": {"input": {"turn_detection": None}}}))
        answer(one)
        one.send(act("input_audio_buffer.append", audio="A" * LARGEST))
        one.send(act("input_audio_buffer.append", audio="A" * (LARGEST + 4)))
        assert answer(one)["error"]["code"] == "invalid_audio"
        one.send(act("input_audio_buffer.clear"))
        assert answer(one)["type"] == "input_audio_buffer.cleared"
        with pytest.raises(ConnectionClosed) as closed:
            one.send(act("input_audio_buffer.append", audio="A" * (17 << 20)))
            answer(one)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    server.wait(lambda: active(server) == 0, NOTICED_S)


def test_a_full_server_is_said_and_the_session_goes_on(server: Server) -> None:
    piece = next(pieces(encoded(SAID.pcm)))
    with raw(server) as one, raw(server) as two, raw(server) as three:
        for open_one in (one, two):
            open_one.send(act("input_audio_buffer.append", audio=piece))
        server.wait(lambda: active(server) == 2, NOTICED_S)
        assert answer(three)["type"] == "session.created"
        three.send(act("input_audio_buffer.append", audio=piece))
        error = answer(three)["error"]
        assert (error["type"], error["code"]) == ("server_error", "rate_limit_exceeded")
        one.close()
        three.send(act("session.update", session={"audio": {"input": {"turn_detection": None}}}))
        assert answer(three)["type"] == "session.updated"
        for own in pieces(encoded(SAID.pcm)):
            three.send(act("input_audio_buffer.append", audio=own))
        three.send(act("input_audio_buffer.commit"))
        while not (told := answer(three))["type"].endswith(".completed"):
            assert told["type"] != "error"
        assert told["transcript"] == SAID.written
    server.wait(lambda: active(server) == 0, NOTICED_S)


def held(server: Server) -> tuple[int, int]:
    """Open files and threads of the gateway."""
    process = Path(f"/proc/{server.process.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def test_open_and_drop_leaves_nothing_behind(server: Server) -> None:
    piece = next(pieces(encoded(SAID.pcm)))
    manual = act("session.update", session={"audio": {"input": {"turn_detection": None}}})

    def cycle(number: int) -> None:
        with raw(server) as one:
            if number % 2:
                one.send(manual)
            one.send(act("input_audio_buffer.append", audio=piece))
            if number % 5 == 0:
                one.send(act("input_audio_buffer.commit"))
            if number % 3:
                one.socket.shutdown(socket.SHUT_WR)  # no goodbye

    cycle(0)
    cycle(1)
    server.wait(lambda: active(server) == 0, NOTICED_S)
    before = held(server)
    for number in range(50):
        cycle(number)
    server.wait(lambda: active(server) == 0, NOTICED_S)
    server.wait(lambda: all(now <= then + 2 for now, then in zip(held(server), before, strict=True)), NOTICED_S)
    assert "Traceback" not in server.log.read_text("utf-8")
