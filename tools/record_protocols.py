"""Record the JSON examples of ``docs/protocols`` from a real server and put them into the documents.

Run ``python -m tools.record_protocols``. Works as ``tools.record_examples`` does for our own events: an example is a
``json`` block below a comment ``<!-- example: NAME -->``. Each document has a function here that holds the
conversation it describes.
"""

import base64
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support import ANSWER_S, FRAME, RATE, ROOT, Server, model_directory, silence, utterance
from tools.record_examples import refreshed
from tools.record_openai_realtime import openai_realtime

FOLDER = ROOT / "docs" / "protocols"
SAID, TWO = "name_lintao", "two_sentences"

Found = dict[str, Any]


def simple(url: str) -> Found:
    """``/ws/asr``."""
    found: Found = {"speech_end": {"type": "speech_end"}, "end_signal": {"end_signal": True}}
    with connect(url + "/ws/asr?hotwords=林滔") as client:
        _play(client, utterance(SAID).pcm)
        found["result"] = _ask(client, found["speech_end"])
        _play(client, silence(1.0))
        found["result_without_speech"] = _ask(client, found["end_signal"])
        found["error"] = _ask(client, "{")
    with connect(url + "/ws/asr?mode=stream") as client:
        _play(client, utterance(SAID).pcm, paced=True)
        _send(client, found["end_signal"])
        told = _until(client, "is_final")
        found["stream_partial"] = told[0]
        found["stream_final"] = told[-1]
    with connect(url + "/ws/asr?events=1") as client:
        found["ready"] = json.loads(client.recv(timeout=ANSWER_S))
        found["ping"], found["config"] = {"type": "ping"}, {"type": "config", "language": "zh", "hotwords": ["林滔"]}
        found["pong"] = _ask(client, found["ping"])
        _send(client, found["config"])
        _play(client, utterance(SAID).pcm, paced=True)
        found["partial"] = json.loads(client.recv(timeout=ANSWER_S))
    try:
        with connect(url + "/ws/asr?sample_rate=1"):
            pass
    except InvalidStatus as refused:
        found["refused"] = json.loads(refused.response.body)
    return found


def funasr(url: str) -> Found:
    """FunASR's runtime protocol, on ``/``."""
    end = {"is_speaking": False, "is_end": True}
    found: Found = {
        "options": {
            "mode": "2pass",
            "chunk_size": [5, 10, 5],
            "chunk_interval": 10,
            "audio_fs": 16000,
            "wav_name": "memo-1",
            "wav_format": "pcm",
            "is_speaking": True,
            "hotwords": '{"林滔": 80}',
            "itn": True,
        },
        "end": end,
    }
    with connect(url + "/") as client:
        _send(client, found["options"])
        _play(client, utterance(TWO).pcm, paced=True)
        _send(client, end)
        told = _until(client, "is_end")
        found["online"] = told[0]
        sentences = [body for body in told if body["mode"] == "2pass-offline"]
        found["offline_sentence"], found["offline_last"] = sentences[0], sentences[-1]
        found["acknowledgement"] = told[-1]
        _send(client, found["options"] | {"mode": "offline"})
        _play(client, utterance(SAID).pcm)
        _send(client, {"is_speaking": False})
        found["offline"] = _until(client, "is_final")[-1]
        found["error"] = _ask(client, found["options"] | {"mode": "3pass"})
    return found


def dashscope(url: str) -> Found:
    """DashScope's recognition, its vocabularies, and Qwen's realtime recognition."""
    found = _task(url) | _vocabulary(url.replace("ws:", "http:")) | _qwen(url)
    written = json.dumps(found, ensure_ascii=False)
    for real, shown in {
        found["created"]["output"]["vocabulary_id"]: "vocab-demo-0123456789abcdef0123456789abcdef",
        found["session_created"]["session"]["id"].removeprefix("sess_"): "fedcba9876543210fedcba9876543210",
        **{found[name]["request_id"]: "0e8c5a5e-0000-4000-8000-000000000001" for name in ("created", "not_found")},
        **{found["queried"]["output"][name]: "2026-01-02 03:04:05" for name in ("gmt_create", "gmt_modified")},
    }.items():
        written = written.replace(real, shown)
    return dict(json.loads(written))


def _task(url: str) -> Found:
    header = {"action": "run-task", "task_id": "3aa33cfaad3243fbb6cbf4d0b70759de", "streaming": "duplex"}
    parameters = {"format": "pcm", "sample_rate": 16000, "language_hints": ["zh", "en"], "heartbeat": False}
    payload = {"task_group": "audio", "task": "asr", "function": "recognition", "model": "paraformer-realtime-v2"}
    found: Found = {
        "run_task": {"header": header, "payload": {**payload, "parameters": parameters, "input": {}}},
        "finish_task": {"header": header | {"action": "finish-task"}, "payload": {"input": {}}},
    }
    with connect(url + "/api-ws/v1/inference") as client:
        found["task_started"] = _ask(client, found["run_task"])
        _play(client, utterance(TWO).pcm, paced=True)
        _send(client, found["finish_task"])
        told: list[Any] = []
        while not told or told[-1]["header"]["event"] != "task-finished":
            told.append(json.loads(client.recv(timeout=ANSWER_S)))
        found["partial"], found["task_finished"] = told[0], told[-1]
        found["sentence"] = next(body for body in told if body["payload"]["usage"] is not None)
        found["task_failed"] = _ask(client, found["finish_task"] | {"header": header | {"action": "pause-task"}})
    return found


def _vocabulary(url: str) -> Found:
    path, kind = url + "/api/v1/services/audio/asr/customization", {"model": "speech-biasing", "parameters": {}}
    words = [{"text": "林滔", "weight": 4, "lang": "zh"}]
    create = {"action": "create_vocabulary", "target_model": "paraformer-realtime-v2", "prefix": "demo"}
    found: Found = {"create_vocabulary": kind | {"input": create | {"vocabulary": words}}}

    def ask(body: Any) -> Any:
        return requests.post(path, json=body, timeout=ANSWER_S).json()

    found["created"] = ask(found["create_vocabulary"])
    id = found["created"]["output"]["vocabulary_id"]
    found["queried"] = ask(kind | {"input": {"action": "query_vocabulary", "vocabulary_id": id}})
    ask(kind | {"input": {"action": "delete_vocabulary", "vocabulary_id": id}})
    found["not_found"] = ask(kind | {"input": {"action": "query_vocabulary", "vocabulary_id": id}})
    return found


def _qwen(url: str) -> Found:
    detection = {"type": "server_vad", "threshold": 0.2, "silence_duration_ms": 800}
    session = {"input_audio_format": "pcm", "sample_rate": 16000, "turn_detection": detection}
    found: Found = {
        "session_update": {"type": "session.update", "session": session},
        "session_finish": {"type": "session.finish"},
    }
    with connect(url + "/api-ws/v1/realtime?model=qwen3-asr-flash-realtime") as client:
        found["session_created"] = json.loads(client.recv(timeout=ANSWER_S))
        found["session_updated"] = _ask(client, found["session_update"])
        found["append"] = {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(24)).decode()}
        pcm = utterance(SAID).pcm
        for at in range(0, len(pcm), FRAME):
            audio = base64.b64encode(pcm[at : at + FRAME]).decode()
            _send(client, {"type": "input_audio_buffer.append", "audio": audio})
            time.sleep(FRAME / 2 / RATE)
        _send(client, found["session_finish"])
        told: list[Any] = []
        while not told or told[-1]["type"] != "session.finished":
            told.append(json.loads(client.recv(timeout=ANSWER_S)))
    for name in ("speech_started", "created", "text", "speech_stopped", "committed", "completed", "finished"):
        found["qwen_" + name] = next(body for body in told if body["type"].endswith("." + name))
    return found


def openai(url: str) -> Found:
    """OpenAI's transcriptions."""
    http, wav = url.replace("ws:", "http:") + "/v1", (ROOT / f"tests/data/speech/{SAID}.wav").read_bytes()

    def ask(**fields: Any) -> requests.Response:
        data = {"model": "whisper-1", **fields}
        return requests.post(
            f"{http}/audio/transcriptions", files={"file": ("a.wav", wav)}, data=data, timeout=ANSWER_S
        )

    found: Found = {"models": requests.get(f"{http}/models", timeout=ANSWER_S).json(), "json": ask().json()}
    times = {"timestamp_granularities[]": ["segment", "word"]}
    found["verbose_json"] = ask(response_format="verbose_json", **times).json()
    found["diarized_json"] = ask(response_format="diarized_json").json()
    found["delta"], found["done"] = _events(ask(stream="true"))
    found["segment"] = _events(ask(stream="true", response_format="diarized_json"))[1]
    found["error"] = ask(model="gpt-4").json()
    return found


def _events(answer: requests.Response) -> list[Any]:
    lines = answer.content.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def nls(url: str) -> Found:
    """Alibaba's NLS over a WebSocket and over REST."""
    found = _transcription(url) | _recognition(url)
    rest = url.replace("ws:", "http:") + "/stream/v1/asr"
    for name, parameters in (("rest", {}), ("rest_failed", {"sample_rate": "1"})):
        query = {"format": "pcm", "word_timestamps": "true", **parameters}
        found[name] = requests.post(rest, data=utterance(SAID).pcm, params=query, timeout=ANSWER_S).json()
    ids = [message["header"]["message_id"] for message in found.values() if "status" in message.get("header", {})]
    written = json.dumps(found, ensure_ascii=False)
    for number, id in enumerate([*ids, *(found[name]["task_id"] for name in ("rest", "rest_failed"))], 1):
        written = written.replace(id, f"{number:032x}")
    return dict(json.loads(written)) | {"rest": json.loads(written)["rest"] | {"processing_time": 0.412}}


def _directive(name: str, payload: Found | None = None) -> Found:
    header = {
        "message_id": "19585709d1924920a2a3b7fd7c086f6f",
        "task_id": "e71c51d442344ec0998cf73e61c57db3",
        "namespace": "SpeechRecognizer" if name.endswith("Recognition") else "SpeechTranscriber",
        "name": name,
        "appkey": "any",
    }
    return {"header": header} if payload is None else {"header": header, "payload": payload}


def _transcription(url: str) -> Found:
    wishes: Found = {"format": "pcm", "sample_rate": 16000, "enable_intermediate_result": True}
    wishes |= {"enable_punctuation_prediction": True, "enable_inverse_text_normalization": True}
    found: Found = {
        "start": _directive("StartTranscription", wishes | {"max_sentence_silence": 800}),
        "control": _directive("ControlTranscriber", {"enable_words": True}),
        "stop": _directive("StopTranscription"),
    }
    with connect(url + "/ws/v1") as client:
        found["started"] = _ask(client, found["start"])
        _send(client, found["control"])
        _play(client, utterance(TWO).pcm, paced=True)
        _send(client, found["stop"])
        told = _named(client, "TranscriptionCompleted")
        for key, name in {
            "begin": "SentenceBegin",
            "changed": "TranscriptionResultChanged",
            "end": "SentenceEnd",
        }.items():
            found[key] = next(body for body in told if body["header"]["name"] == name)
        found["completed"] = told[-1]
        found["failed"] = _ask(client, _directive("PauseTranscription"))
    return found


def _recognition(url: str) -> Found:
    found: Found = {"recognition_start": _directive("StartRecognition", {"enable_intermediate_result": True})}
    with connect(url + "/ws/v1") as client:
        _send(client, found["recognition_start"])
        _play(client, utterance(SAID).pcm, paced=True)
        _send(client, _directive("StopRecognition"))
        told = _named(client, "RecognitionCompleted")
    return found | {"recognition_changed": told[1], "recognition_completed": told[-1]}


def _named(client: ClientConnection, last: str) -> list[Any]:
    told: list[Any] = []
    while not told or told[-1]["header"]["name"] != last:
        told.append(json.loads(client.recv(timeout=ANSWER_S)))
    return told


RECORDINGS: dict[str, Callable[[str], Found]] = {
    "simple.md": simple,
    "funasr.md": funasr,
    "dashscope.md": dashscope,
    "openai.md": openai,
    "nls.md": nls,
    "openai_realtime.md": openai_realtime,
}


def _send(client: ClientConnection, body: Any) -> None:
    client.send(body if isinstance(body, str) else json.dumps(body, ensure_ascii=False))


def _ask(client: ClientConnection, body: Any) -> Any:
    _send(client, body)
    return json.loads(client.recv(timeout=ANSWER_S))


def _until(client: ClientConnection, name: str) -> list[Any]:
    told: list[Any] = []
    while not told or not told[-1].get(name):
        told.append(json.loads(client.recv(timeout=ANSWER_S)))
    return told


def _play(client: ClientConnection, pcm: bytes, paced: bool = False) -> None:
    for at in range(0, len(pcm), FRAME):
        client.send(pcm[at : at + FRAME])
        time.sleep(FRAME / 2 / RATE if paced else 0)


def main() -> None:
    if model_directory() is None:
        sys.exit("no models: neither xingji/minipack nor XINGJI_MODELS")
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        for name, record in RECORDINGS.items():
            document = FOLDER / name
            recorded = record(server.url.replace("http:", "ws:"))
            document.write_text(refreshed(document.read_text("utf-8"), recorded), "utf-8")


if __name__ == "__main__":
    main()
