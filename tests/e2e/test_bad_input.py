"""Wrong events, wrong types, wrong sizes: a stable code in two languages, nothing lost, the server unharmed."""

import math
import struct
from typing import Any

import pytest
import socketio

from tests.support import Recorder, Server, utterance

PCM = utterance("question").pcm


def check(error: dict[str, Any], code: str) -> None:
    assert error["code"] == code
    assert error["message"] and error["message_en"] and error["fatal"] is False and isinstance(error["retryable"], bool)
    assert "Traceback" not in str(error) and "/" not in error["message"]


def survives(client: Recorder, server: Server) -> None:
    """The same connection still records, and gets the same text as ever."""
    client.start()
    client.play(PCM, pace=0)
    final = client.stop()
    assert final["sensevoice"] and final["duration_ms"] == len(PCM) // 32
    assert server.get("/api/health").json()["status"] == "ok"


OUTSIDE = {
    "audio": ("audio_data", b"\0\0" * 1600, "no_session"),
    "stop": ("stop_recording", None, "no_session"),
    "cancel": ("cancel_recording", None, "no_session"),
    "hotwords": ("update_hotwords", {"hotwords": ["a"]}, "no_session"),
    "unknown event": ("transcribe_now", {"x": 1}, "unknown_event"),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_events_outside_a_recording(server: Server, kind: str) -> None:
    event, payload, code = OUTSIDE[kind]
    with Recorder(server.url) as client:
        ack = client.client.call(event, payload, timeout=10)
        assert (ack["ok"], ack["code"]) == (False, code)
        check(client.expect("error"), code)
        survives(client, server)


def test_audio_without_a_recording_is_told_once_per_burst(server: Server) -> None:
    with Recorder(server.url) as client:
        client.play(PCM, pace=0)
        client.expect("error")
        assert client.client.call("stop_recording", timeout=10)["code"] == "no_session"
        client.expect("error", 2)
        assert [error["code"] for error in client.named("error")] == ["no_session"] * 2  # audio, then stop


def test_start_twice_keeps_the_running_recording(server: Server) -> None:
    with Recorder(server.url) as client:
        first = client.start()["recording_id"]
        client.play(PCM[:64_000], pace=0)
        ack = client.client.call("start_recording", timeout=10)
        assert (ack["ok"], ack["code"]) == (False, "already_recording")
        client.play(PCM[64_000:], pace=0)
        final = client.stop()
        assert final["recording_id"] == first and final["duration_ms"] == len(PCM) // 32


def test_stop_twice_is_one_stop(server: Server) -> None:
    with Recorder(server.url) as client:
        client.start()
        client.play(PCM, pace=0)
        client.client.emit("stop_recording")
        again = client.client.call("stop_recording", timeout=10)
        client.expect("final_result")
        assert again.get("duplicate") or again["code"] == "no_session"  # the first may be over already
        assert len(client.named("final_result")) == 1


def test_resume_is_answered_honestly(server: Server) -> None:
    with Recorder(server.url) as client:
        features = client.expect("connected")["features"]
        assert "resume" not in features and {"webm", "ogg", "mp3", "auto"} <= set(features)
        client.client.emit("resume_recording", {"original_session_id": "x"})
        assert client.expect("resume_result")["code"] == "not_supported"


OPTIONS = {
    "a string": ("fast", "options"),
    "a list": ([1], "options"),
    "rate as text": ({"sample_rate": "16000"}, "sample_rate"),
    "rate too low": ({"sample_rate": 1}, "sample_rate"),
    "rate true": ({"sample_rate": True}, "sample_rate"),
    "an unknown format": ({"format": "mp9"}, "format"),
    "an unknown language": ({"language": "tlh"}, "language"),
    "llm as text": ({"llm": "yes"}, "llm"),
    "silence too short": ({"max_sentence_silence_ms": 10}, "max_sentence_silence_ms"),
    "hotwords of numbers": ({"hotwords": [1, 2]}, "hotwords[0]"),
    "an id too long": ({"client_recording_id": "x" * 65}, "client_recording_id"),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_bad_options_start_nothing(server: Server, kind: str) -> None:
    options, field = OPTIONS[kind]
    with Recorder(server.url) as client:
        ack = client.client.call("start_recording", options, timeout=10)
        assert (ack["ok"], ack["code"]) == (False, "bad_config")
        error = client.expect("error")
        check(error, "bad_config")
        assert error["field"] == field
        assert client.named("recording_started") == []


def test_unknown_options_and_further_arguments_are_ignored(server: Server) -> None:
    with Recorder(server.url) as client:
        ack = client.client.call(
            "start_recording", ({"wings": 2, "client_recording_id": "我的"}, "more", 3), timeout=10
        )
        assert ack["ok"]
        assert client.expect("recording_started")["client_recording_id"] == "我的"
        assert client.stop()["error"] is None


FRAMES: dict[str, Any] = {
    "text": "hello",
    "a number": 7,
    "nothing": None,
    "true": True,
    "a list of text": ["a"],
    "numbers beyond int16": [70_000],
    "fractions": [0.5],
    "an object": {"sound": b"\0\0"},
    "not base64": {"audio": "@@@"},
    "a negative number": {"audio": b"\0\0", "seq": -1},
    "a wrong number": {"audio": b"\0\0", "seq": "1"},
}


@pytest.mark.parametrize("kind", FRAMES)
def test_bad_frames_lose_nothing_around_them(server: Server, kind: str) -> None:
    with Recorder(server.url) as client:
        client.start()
        client.play(PCM[:64_000], pace=0)
        ack = client.client.call("audio_data", FRAMES[kind], timeout=10)
        assert (ack["ok"], ack["code"]) == (False, "bad_audio")
        check(client.expect("error"), "bad_audio")
        client.play(PCM[64_000:], pace=0)
        final = client.stop()
        assert final["duration_ms"] == len(PCM) // 32 and final["sensevoice"]


def test_every_way_to_send_a_frame(server: Server) -> None:
    import base64

    numbers = list(struct.unpack("<1600h", PCM[:3200]))
    with Recorder(server.url) as client:
        client.start()
        for payload in (PCM[:3200], {"audio": PCM[:3200]}, {"audio": base64.b64encode(PCM[:3200]).decode()}, numbers):
            ack = client.client.call("audio_data", payload, timeout=10)
            assert ack["ok"] and ack["lag_ms"] >= 0
        assert client.stop()["duration_ms"] == 400


def test_one_byte_frames_and_one_of_eight_megabytes(server: Server) -> None:
    with Recorder(server.url) as client:
        client.start()
        for byte in PCM[:3201]:
            client.client.emit("audio_data", bytes([byte]))
        big = PCM[3201:] + bytes((8 << 20) - 1 - len(PCM[3201:]))
        client.client.emit("audio_data", big)
        final = client.stop()
        assert final["duration_ms"] == (3201 + len(big)) // 32
        whole = len(client.named("error"))
        assert whole <= 1  # at most the news that recognition lags
    with Recorder(server.url) as client:
        client.start()
        client.play(PCM[:3200], pace=0)
        client.client.emit("audio_data", PCM[3200:])
        assert client.stop()["sensevoice"] == final["sensevoice"]


def test_a_frame_above_the_limit_ends_the_connection_only(server: Server) -> None:
    gone = []
    with Recorder(server.url) as client:
        client.client.on("disconnect", lambda *_: gone.append(True))
        client.start()
        client.client.emit("audio_data", bytes(11 << 20))
        server.wait(lambda: bool(gone), 20)
    with Recorder(server.url) as client:
        survives(client, server)


def test_float_samples_by_mistake_get_a_hint(server: Server) -> None:
    tone = struct.pack("<16000f", *(0.3 * math.sin(n / 5) for n in range(16_000)))
    with Recorder(server.url) as client:
        client.start()
        client.play(tone, pace=0)
        error = client.expect("error")
        check(error, "bad_audio")
        assert error["hint"] == "f32le" and len(client.named("error")) == 1
        assert client.stop()["duration_ms"] == 2000
        client.start(format="f32le")
        client.play(tone, pace=0)
        assert client.stop()["duration_ms"] == 1000


def test_gaps_are_told_and_duplicates_ignored(server: Server) -> None:
    with Recorder(server.url) as client:
        client.start()
        for seq in (0, 1, 1, 3, 2, *range(40, 80)):
            client.client.emit("audio_data", {"audio": bytes(3200), "seq": seq})
        final = client.stop()
        errors = client.named("error")
        assert [(e["code"], e["expected"], e["got"]) for e in errors] == [("audio_gap", 4, 40)]
        assert final["duration_ms"] == 4400


@pytest.mark.parametrize("method", ["get", "post"])
def test_unknown_routes_and_methods_answer_json(server: Server, method: str) -> None:
    unknown = getattr(server, method)("/api/nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    wrong = server.get("/api/asr/transcribe") if method == "get" else server.post("/api/health")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


def test_tokens_keep_strangers_out(models: Any, tmp_path: Any) -> None:
    with Server(tmp_path, XINGJI_API_KEYS="secret,other") as server:
        assert server.get("/api/asr/models").status_code == 401
        assert server.get("/api/asr/models?token=secret").status_code == 200
        assert server.get("/api/asr/models", headers={"Authorization": "Bearer other"}).status_code == 200
        assert server.get("/api/health").status_code == 200
        with pytest.raises(socketio.exceptions.ConnectionError):
            Recorder(server.url)
        with Recorder(server.url, auth={"token": "secret"}) as client:
            assert client.expect("connected")


def test_a_full_server_says_busy(models: Any, tmp_path: Any) -> None:
    with Server(tmp_path, XINGJI_MAX_SESSIONS="1") as server, Recorder(server.url) as one, Recorder(server.url) as two:
        one.start()
        ack = two.client.call("start_recording", timeout=10)
        assert (ack["ok"], ack["code"]) == (False, "busy") and ack["retry_after_ms"] > 0
        check(two.expect("error"), "busy")
        answer = server.post("/api/asr/transcribe", files={"file": ("a.wav", open_wav())})
        assert answer.status_code == 429 and answer.headers["Retry-After"]
        one.stop()
        server.wait(lambda: server.get("/api/health").json()["sessions"]["active"] == 0, 10)
        survives(two, server)


def open_wav() -> bytes:
    from tests.e2e.test_upload import wav

    return wav()
