"""OpenAI's REST interface by its own Python client, by curl, and by sockets that are closed too early.

Programs with an older client can be had in as well: name Python interpreters that have one::

    XINGJI_OPENAI_PYTHONS=/tmp/old/bin/python python -m pytest tests/e2e/test_openai.py
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import SPEECH, Server, silence, utterance
from xingji.audio import wav_header

SAID = utterance("two_sentences")
FILE = str(SPEECH / f"{SAID.name}.wav")
NAME = utterance("name_lintao")
SCRIPT = Path(__file__).parent / "openai_client.py"
PYTHONS = [sys.executable, *filter(None, os.environ.get("XINGJI_OPENAI_PYTHONS", "").split(os.pathsep))]
PATH = "/v1/audio/transcriptions"
NOTICED_S = 20.0
LONG = 60  # times that the two sentences are said: about twelve minutes


@pytest.fixture(params=range(len(PYTHONS)))
def python(request: pytest.FixtureRequest) -> str:
    return str(PYTHONS[request.param])


def client(server: Server, scenario: str, python: str = sys.executable, **options: Any) -> dict[str, Any]:
    """What OpenAI's client was told."""
    command = [python, str(SCRIPT), scenario, server.url, json.dumps({"file": FILE, **options})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


# -- OpenAI's client ------------------------------------------------------------------------------


def test_models(server: Server, python: str) -> None:
    told = client(server, "models", python, model="gpt-4o-transcribe")
    assert told["listed"] == ["sensevoice"] and told["one"]["id"] == "gpt-4o-transcribe"


def test_every_format(server: Server, python: str) -> None:
    told = client(server, "formats", python)
    assert SAID.exact
    assert told["json"]["text"] == SAID.written and told["json"]["usage"] == {"type": "duration", "seconds": 12}
    assert told["text"] == SAID.written + "\n"
    assert re.match(r"1\n00:00:00,\d{3} --> 00:00:06,\d{3}\n订单号", told["srt"])
    assert re.match(r"WEBVTT\n\n00:00:00\.\d{3} --> 00:00:06\.\d{3}\n订单号", told["vtt"])
    verbose = told["verbose_json"]
    assert (verbose["text"], verbose["language"]) == (SAID.written, "chinese")
    assert verbose["duration"] == pytest.approx(SAID.milliseconds / 1000, abs=0.01)
    assert [segment["text"] for segment in verbose["segments"]] == [s["written"] for s in SAID.sentences]
    for segment, sentence in zip(verbose["segments"], SAID.sentences, strict=True):
        assert segment["start"] * 1000 <= sentence["begin_ms"] + 150
        assert segment["end"] * 1000 >= sentence["end_ms"] - 150
    assert "".join(word["word"] for word in verbose["words"]) == re.sub("[，。？]", "", SAID.written)
    assert all(word["start"] < word["end"] for word in verbose["words"])
    assert told["diarized_json"]["text"] == SAID.written
    if told["version"] >= "2":  # an older one keeps the text alone
        speakers = [(segment["speaker"], segment["text"]) for segment in told["diarized_json"]["segments"]]
        assert speakers == [("A", sentence["written"]) for sentence in SAID.sentences]


def test_a_stream(server: Server, python: str) -> None:
    *deltas, done = client(server, "stream", python)["events"]
    assert [event["delta"] for event in deltas] == [sentence["written"] for sentence in SAID.sentences]
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done" and done["text"] == SAID.written


def test_a_stream_with_speakers(server: Server) -> None:
    events = client(server, "stream", fields={"response_format": "diarized_json"})["events"]
    kinds = [event["type"].rpartition(".")[2] for event in events]
    assert kinds == ["delta", "segment", "delta", "segment", "done"]
    assert [event["id"] for event in events if "speaker" in event] == ["seg_0", "seg_1"]


def test_raw_answers(server: Server, python: str) -> None:
    told = client(server, "raw", python)
    assert told["headers"]["x-request-id"].startswith("req_") and told["told"]["text"] == SAID.written


def test_several_at_a_time(server: Server, python: str) -> None:
    assert client(server, "together", python)["texts"] == [SAID.written] * 3


@pytest.mark.parametrize(
    "fields",
    [
        {"keywords": ["林滔", "语音"]},
        {"prompt": "术语：林滔、语音。"},
        {"extra_body": {"hotwords": "林滔 80 语音 20"}},
        {"model": "sensevoice", "language": "zh", "keywords": ["林滔"], "temperature": 0, "chunking_strategy": "auto"},
    ],
    ids=["keywords", "prompt", "hotwords", "everything"],
)
def test_hotwords(server: Server, fields: dict[str, Any]) -> None:
    file = str(SPEECH / f"{NAME.name}.wav")
    assert client(server, "create", file=file, fields=fields)["told"]["text"] == NAME.written.replace("林涛", "林滔")


def test_the_streaming_recogniser_alone(server: Server) -> None:
    told = client(server, "create", fields={"model": "paraformer-streaming"})["told"]
    assert told["text"] and told["text"] != SAID.written, "it writes numbers in words"


WRONG: list[tuple[dict[str, Any], str, int, str, str]] = [
    ({"model": "gpt-4"}, "NotFoundError", 404, "model_not_found", "model"),
    ({"model": "qwen3-asr-1.7b"}, "NotFoundError", 404, "model_not_found", "model"),
    ({"language": "fr"}, "BadRequestError", 400, "invalid_value", "language"),
    ({"response_format": "xml"}, "BadRequestError", 400, "invalid_value", "response_format"),
    ({"timestamp_granularities": ["word"]}, "BadRequestError", 400, "invalid_value", "timestamp_granularities"),
    ({"temperature": 2}, "BadRequestError", 400, "invalid_value", "temperature"),
    ({"model": "gpt-4", "stream": True}, "NotFoundError", 404, "model_not_found", "model"),
]


def test_errors(server: Server, python: str) -> None:
    raised = client(server, "errors", python, wrong=[fields for fields, *_ in WRONG])["raised"]
    for told, (_, kind, status, code, param) in zip(raised, WRONG, strict=True):
        assert (told["kind"], told["status"], told["code"], told["param"]) == (kind, status, code, param)
        assert told["request"].startswith("req_") and told["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("audio", [b"", b"%PDF-1.7\n" * 100], ids=["empty", "no audio"])
def test_what_is_no_audio(server: Server, tmp_path: Path, audio: bytes, stream: bool) -> None:
    (tmp_path / "a.wav").write_bytes(audio)
    (told,) = client(server, "errors", file=str(tmp_path / "a.wav"), wrong=[{"stream": stream}])["raised"]
    assert (told["kind"], told["code"], told["param"]) == ("BadRequestError", "invalid_audio", "file")


@pytest.mark.parametrize("stream", ["false", "true"])
def test_silence_has_no_text(server: Server, stream: str) -> None:
    audio = wav_header(16_000, 64_000) + silence(2)
    answer = server.post(PATH, files={"file": ("a.wav", audio)}, data={"model": "whisper-1", "stream": stream})
    text = '{"type":"transcript.text.done","text":""}'
    assert answer.json()["text"] == "" if stream == "false" else text in answer.text


# -- every way of serving -------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["eventlet", "threading", "gunicorn"])
def own(models: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """With temporary files in a folder of its own."""
    more = {} if request.param == "gunicorn" else {"XINGJI_ASYNC_MODE": request.param}
    command = (sys.executable, *(("-m", "gunicorn", "asr_api_server:app") if not more else ("asr_api_server.py",)))
    folder = tmp_path_factory.mktemp("openai")
    (folder / "tmp").mkdir()
    more |= {"TMPDIR": str(folder / "tmp"), "XINGJI_API_KEYS": "right", "XINGJI_MAX_UPLOAD_BYTES": str(32 << 20)}
    with Server(folder, command, **more) as running:
        yield running


KEY = {"Authorization": "Bearer right"}


def test_keys(own: Server) -> None:
    (told,) = client(own, "errors", key="wrong", wrong=[{}])["raised"]
    assert (told["kind"], told["status"], told["code"]) == ("AuthenticationError", 401, "invalid_api_key")
    assert client(own, "create", key="right")["told"]["text"] == SAID.written


def test_curl(own: Server) -> None:
    """In pieces as well, and with the file before and behind the other fields."""
    curl = shutil.which("curl")
    assert curl, "the test needs curl"
    command = [curl, "-sS", "-N", "-H", "Authorization: Bearer right", own.url + PATH]
    file, fields = ["-F", f"file=@{FILE}"], ["-F", "model=whisper-1", "-F", "language=zh-CN"]
    for more in (file + fields, fields + file, ["-H", "Transfer-Encoding: chunked", *file, *fields]):
        said = subprocess.run(command + more, capture_output=True, check=True, timeout=60).stdout
        assert json.loads(said)["text"] == SAID.written
    streamed = [*command, *file, *fields, "-F", "stream=true"]
    lines = subprocess.run(streamed, capture_output=True, check=True, timeout=60).stdout.decode().splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert events[-1]["text"] == "".join(event["delta"] for event in events[:-1]) == SAID.written
    assert lines[-2:] == ["data: [DONE]", ""]


def test_too_large(own: Server) -> None:
    files = {"file": ("a.wav", bytes(34 << 20))}
    answer = own.post(PATH, files=files, data={"model": "whisper-1"}, headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "file_too_large")


def leavings(server: Server) -> list[str]:
    """Recordings, files and processes that are there because of an upload."""
    folder = server.log.parent / "tmp"
    found = [str(path) for path in folder.glob("xingji-upload-*")]
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{folder}/xingji-upload-".encode() in words:
                found.append(process.name)
    active = server.get("/api/health").json()["sessions"]["active"]
    return found + ["a recording"] * active


def threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def opened(server: Server) -> socket.socket:
    """A stream of a long file, whose first sentence is there."""
    pcm = SAID.pcm * LONG
    request = requests.Request(
        "POST",
        server.url + PATH,
        files={"file": ("long.wav", wav_header(16_000, len(pcm)) + pcm)},
        data={"model": "whisper-1", "stream": "true"},
        headers={"Host": "localhost", **KEY},
    ).prepare()
    assert isinstance(request.body, bytes)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    line = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    line.sendall(f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + request.body)
    answer = b""
    while SAID.sentences[0]["written"].encode() not in answer:
        answer += (part := line.recv(4096))
        assert part, answer
    assert answer.startswith(b"HTTP/1.1 200 ")
    return line


def test_a_client_that_leaves_takes_everything_with_it(own: Server) -> None:
    """The others are served meanwhile."""
    opened(own).close()  # whatever is made once is there now
    own.wait(lambda: not leavings(own), NOTICED_S)
    before = threads(own)
    lines = [opened(own) for _ in range(3)]
    there = leavings(own)
    assert there.count("a recording") == 3, "each is still at work"
    assert len(there) == 9, "with a file and a decoder each"
    for line in lines:
        line.close()
    own.wait(lambda: not leavings(own) and threads(own) <= before, NOTICED_S)
    log = own.log.read_text("utf-8")
    assert "Traceback" not in log and "ERROR" not in log
