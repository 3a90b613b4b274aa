"""The conversation that ``docs/protocols/openai_realtime.md`` describes, for ``tools.record_protocols``."""

import base64
import json
import time
from typing import Any

import numpy as np
import requests
import soxr
from websockets.sync.client import ClientConnection, connect

from tests.support import ANSWER_S, utterance

RATE = 24_000
PIECE = RATE // 10 * 2  # bytes of 100 ms
SAID = "name_lintao"

Found = dict[str, Any]


def openai_realtime(url: str) -> Found:
    """``/v1/realtime``, with the server's sentences, the client's own, and as the beta has it."""
    found = _server_vad(url) | _manual(url) | _beta(url) | _secrets(url.replace("ws:", "http:"))
    written = json.dumps(found, ensure_ascii=False)
    for name, shown in {
        "session_created": "fedcba9876543210fedcba9876543210",
        "beta_updated": "00112233445566778899aabbccddeeff",
        "secret": "0123456789abcdef0123456789abcdef",
    }.items():
        written = written.replace(found[name]["session"]["id"].removeprefix("sess_"), shown)
    found = json.loads(written)
    for name in ("session_created", "session_updated", "beta_updated"):
        found[name]["session"]["expires_at"] = 1_800_003_600
    found["secret"] |= {"value": "ek_0123456789abcdef0123456789abcdef", "expires_at": 1_800_000_060}
    return found


def _server_vad(url: str) -> Found:
    transcription = {"model": "gpt-4o-transcribe", "language": "zh", "keywords": ["林滔"]}
    turns = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
    input = {"format": {"type": "audio/pcm", "rate": RATE}, "transcription": transcription, "turn_detection": turns}
    found: Found = {
        "session_update": {"type": "session.update", "session": {"type": "transcription", "audio": {"input": input}}},
        "append": {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(24)).decode()},
    }
    with connect(url + "/v1/realtime?intent=transcription") as client:
        found["session_created"] = _told(client)
        client.send(json.dumps(found["session_update"]))
        found["session_updated"] = _told(client)
        _play(client)
        client.send('{"type":"input_audio_buffer.commit"}')
        told = [_told(client)]
        while not told[-1]["type"].endswith(".completed"):
            told.append(_told(client))
    for name in ("speech_started", "delta", "speech_stopped", "committed", "added", "done", "completed"):
        found[name] = next(body for body in told if body["type"].endswith("." + name))
    return found


def _manual(url: str) -> Found:
    found: Found = {name: {"type": f"input_audio_buffer.{name}"} for name in ("commit", "clear")}
    with connect(url + "/v1/realtime?intent=transcription") as client:
        _told(client)
        client.send(json.dumps(found["clear"]))
        found["cleared"] = _told(client)
        client.send(json.dumps(found["commit"] | {"event_id": "mine_7"}))
        found["error"] = _told(client)
    return _renamed(found, "cleared", "error")


def _beta(url: str) -> Found:
    transcription = {"model": "whisper-1", "language": "zh"}
    session = {"input_audio_format": "g711_ulaw", "input_audio_transcription": transcription, "turn_detection": None}
    found: Found = {"beta_update": {"type": "transcription_session.update", "session": session}}
    with connect(url + "/v1/realtime", additional_headers={"OpenAI-Beta": "realtime=v1"}) as client:
        _told(client)
        client.send(json.dumps(found["beta_update"]))
        found["beta_updated"] = _told(client)
    return found


def _secrets(url: str) -> Found:
    asked = {"session": {"type": "transcription", "audio": {"input": {"transcription": {"language": "zh"}}}}}
    answer = requests.post(url + "/v1/realtime/client_secrets", json=asked, timeout=ANSWER_S)
    return {"secret_request": asked, "secret": answer.json()}


def _renamed(found: Found, *names: str) -> Found:
    """As if they belonged to the first conversation."""
    for number, name in enumerate(names, 90):
        found[name]["event_id"] = f"event_fedcba9876543210fedcba9876543210_{number}"
    return found


def _told(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=ANSWER_S))


def _play(client: ClientConnection) -> None:
    """At the speed of speech."""
    pcm = soxr.resample(np.frombuffer(utterance(SAID).pcm, np.int16), 16_000, RATE).astype("<i2").tobytes()
    for at in range(0, len(pcm), PIECE):
        audio = base64.b64encode(pcm[at : at + PIECE]).decode()
        client.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        time.sleep(PIECE / 2 / RATE)
