"""Files over REST: every promised container gives the right text, every bad one a stable code."""

import io
import re
import struct
import wave
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import soxr

from tests.audio.conftest import encode as encode_signal
from tests.support import RATE, Recorder, Server, utterance
from xingji.core.scoring import cer

SAID = "two_sentences"

FORMATS = {  # name: container, codec, rate
    "wav": ("wav", "pcm_s16le", 16_000),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "ogg": ("ogg", "libopus", 48_000),
    "flac": ("flac", "flac", 16_000),
    "m4a": ("ipod", "aac", 44_100),
    "aac": ("adts", "aac", 44_100),
    "wma": ("asf", "wmav2", 44_100),
    "webm": ("webm", "libopus", 48_000),
}


def encode(pcm: bytes, container: str, codec: str, rate: int) -> bytes:
    signal = soxr.resample(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, RATE, rate)
    return encode_signal(signal, rate, container, codec, {"b": "64000"})


def upload(server: Server, data: bytes, name: str = "录音.bin", **form: str) -> Any:
    return server.post("/api/asr/transcribe", files={"file": (name, data)}, data=form)


@pytest.mark.parametrize("name", FORMATS)
def test_each_promised_format_gives_the_right_text(server: Server, name: str) -> None:
    said = utterance(SAID)
    answer = upload(server, encode(said.pcm, *FORMATS[name]), f"会议 1/{name}", generate_timestamps="true")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    data = body["data"]
    assert body["success"] and body["mode"] == "file_upload" and data["model"] == "SenseVoice"
    if said.exact:
        assert data["text"] == said.written
    assert cer([(said.written, data["text"])]) <= 0.05
    assert data["length"] == len(data["text"])
    assert abs(data["duration_ms"] - said.milliseconds) < 100 and body["duration_ms"] == data["duration_ms"]
    assert "".join(item["text"] for item in data["timestamps"]) == data["text"]
    assert len(data["timestamps"]) == len(said.sentences)
    for sentence, item in zip(said.sentences, data["timestamps"], strict=True):
        assert item["start_ms"] <= sentence["begin_ms"] + 150 and item["end_ms"] >= sentence["end_ms"] - 150


def test_subtitles_and_plain_text(server: Server) -> None:
    """The same words in every form; errors stay JSON."""
    wav = encode(utterance(SAID).pcm, *FORMATS["wav"])
    data = upload(server, wav).json()["data"]
    spoken = [word["text"] for word in data["words"]]
    assert len(spoken) > 10 and all(word["start_ms"] < word["end_ms"] for word in data["words"])
    assert all(left["end_ms"] <= right["start_ms"] for left, right in pairwise(data["words"]))
    assert upload(server, wav, generate_timestamps="false").json()["data"]["words"] == []

    answers = {form: upload(server, wav, response_format=form) for form in ("srt", "vtt", "text")}
    kinds = {form: answer.headers["Content-Type"] for form, answer in answers.items()}
    assert kinds == {
        "srt": "application/x-subrip; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8",
        "text": "text/plain; charset=utf-8",
    }
    texts = {form: answer.content.decode() for form, answer in answers.items()}
    assert texts["text"] == data["text"]
    assert texts["vtt"].startswith("WEBVTT\n\n00:00:0") and texts["srt"].startswith("1\n00:00:0")
    for form, arrow in (("srt", r"\d,\d{3} --> "), ("vtt", r"\d\.\d{3} --> ")):
        blocks = texts[form].removeprefix("WEBVTT\n\n").rstrip("\n").split("\n\n")
        assert len(blocks) >= 2 and all(re.search(arrow, block) for block in blocks)
        lines = [line for block in blocks for line in block.splitlines() if " --> " not in line and not line.isdigit()]
        assert "".join(lines) == data["text"]
    refused = server.post("/api/asr/transcribe", files={"file": ("x", b"")}, data={"response_format": "srt"})
    assert refused.status_code == 400 and refused.json()["code"] == "empty_file"


def test_options_of_an_upload(server: Server) -> None:
    said = utterance("name_lintao")
    wav = encode(said.pcm, *FORMATS["wav"])
    plain = upload(server, wav, generate_timestamps="false").json()["data"]
    assert plain["timestamps"] == []
    biased = upload(server, wav, hotwords="林滔,语音").json()["data"]
    assert biased["text"] == plain["text"].replace("林涛", "林滔") != plain["text"]
    layers = upload(server, wav, compare="true").json()["data"]
    assert layers["sensevoice"]["text"] == layers["llm_merged"]["text"] == plain["text"]
    assert layers["paraformer"]["length"] == len(layers["paraformer"]["text"]) > 0


def test_progress_goes_to_the_socket_that_was_named(server: Server) -> None:
    with Recorder(server.url) as client:
        session = client.expect("connected")["session_id"]
        upload(server, encode(utterance(SAID).pcm, *FORMATS["wav"]), session_id=session)
        client.expect("processing_progress")
        server.wait(lambda: [told["progress"] for told in client.named("processing_progress")][-1:] == [100], 10)
        progress = [body["progress"] for body in client.named("processing_progress")]
        assert progress == sorted(progress)


def wav(samples: bytes = b"\0\0" * 1600, rate: int = RATE, claim: int | None = None) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples)
    data = bytearray(buffer.getvalue())
    if claim is not None:
        data[40:44] = struct.pack("<I", claim)
    return bytes(data)


BAD_FILES = {
    "empty": (b"", 400, "empty_file"),
    "a renamed PDF": (b"%PDF-1.7\n" + b"1 0 obj <<>> endobj\n" * 50, 400, "unsupported_format"),
    "text": ("你好".encode() * 500, 400, "unsupported_format"),
    "a 1 Hz wav": (wav(bytes(1_900_000), rate=1), 400, "unsupported_format"),
    "half an mp4": (encode(utterance(SAID).pcm, *FORMATS["m4a"])[:20_000], 422, "decode_failed"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_get_a_stable_code(server: Server, kind: str) -> None:
    data, status, code = BAD_FILES[kind]
    answer = upload(server, data, "renamed.wav")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    refused(answer)


def test_a_header_that_claims_ten_hours_is_not_believed(server: Server) -> None:
    answer = upload(server, wav(claim=10 * 3600 * RATE * 2))
    assert answer.status_code == 200 and answer.json()["data"]["duration_ms"] == 100


BAD_REQUESTS = {
    "no file field": ({"data": {"x": "1"}}, 400, "no_file"),
    "a json body": ({"json": {"file": "x"}}, 400, "no_file"),
    "an empty file name": ({"files": {"file": ("", b"abc")}}, 400, "empty_filename"),
    "a bad flag": ({"files": {"file": wav()}, "data": {"generate_timestamps": "maybe"}}, 400, "bad_parameter"),
    "a bad language": ({"files": {"file": wav()}, "data": {"language": "xx"}}, 400, "bad_parameter"),
    "bad hotwords": ({"files": {"file": wav()}, "data": {"hotwords": "字" * 65}}, 400, "bad_parameter"),
    "an unknown response format": ({"files": {"file": wav()}, "data": {"response_format": "x"}}, 400, "bad_parameter"),
}


@pytest.mark.parametrize("kind", BAD_REQUESTS)
def test_bad_requests_get_a_stable_code(server: Server, kind: str) -> None:
    request, status, code = BAD_REQUESTS[kind]
    answer = server.post("/api/asr/transcribe", **request)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    refused(answer)


def refused(answer: Any) -> None:
    body = answer.json()
    assert body["success"] is False and body["error"] and body["message_en"] and isinstance(body["retryable"], bool)
    assert "Traceback" not in answer.text and "/tmp" not in answer.text


def test_an_upload_above_the_limit_is_refused(server: Server, models: Any, tmp_path: Any) -> None:
    with Server(tmp_path, XINGJI_MAX_UPLOAD_BYTES="1000", XINGJI_MAX_UPLOAD_S="2") as small:
        answer = upload(small, bytes(3 << 20))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        answer = upload(small, wav(bytes(2 * 10 * RATE)))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
