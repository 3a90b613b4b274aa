"""``test_asr_api.py`` passes a server that is well, and says what is wrong with one that is not."""

import hashlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import test_asr_api as script
from tests.support import ROOT, Server, utterance

DATA = ROOT / "tests" / "data"
MP3 = DATA / "test.mp3"


def run(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "test_asr_api.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=200, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_the_file_is_the_one_described() -> None:
    note = json.loads((DATA / "test.mp3.json").read_text("utf-8"))
    assert hashlib.sha256(MP3.read_bytes()).hexdigest() == note["sha256"]
    assert hashlib.sha256((DATA / note["source"]).read_bytes()).hexdigest() == note["source_sha256"]
    assert MP3.stat().st_size <= 60_000


def test_a_server_that_is_well_passes(server: Server) -> None:
    status, said = run("--file", MP3, "--url", server.url)
    assert status == 0, said
    assert said.count("✓") == 4 and "通过" in said and "跳过" not in said
    for sentence in utterance("two_sentences").sentences if utterance("two_sentences").exact else ():
        assert said.count(sentence["written"]) >= 2  # uploaded and live


def test_a_file_that_is_no_audio_fails_where_audio_matters(server: Server) -> None:
    status, said = run("--file", ROOT / "LICENSE", "--url", server.url)
    assert status == 1 and "unsupported_format" in said
    assert said.count("✓") == 2 and "Traceback" not in said


def test_a_server_that_is_not_there_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    status, said = run("--file", MP3, "--url", f"http://127.0.0.1:{port}")
    assert status == 1 and "✓" not in said and "Traceback" not in said


def test_a_file_that_is_not_there_is_a_matter_of_usage(tmp_path: Path) -> None:
    assert run("--file", tmp_path / "none.mp3")[0] == 2


def told(**changes: Any) -> list[tuple[str, Any]]:
    """The events of a recording of one second, with some of its final result changed."""
    times = [{"text": "好。", "start_ms": 100, "end_ms": 900}]
    texts = {"paraformer": "好。", "sensevoice": "好。", "llm_merged": "好。"}
    final = texts | {"error": None, "duration_ms": 1000, "timestamps": times} | changes
    return [("transcription", {"full_text": "好"}), ("recording_stopped", {}), ("final_result", final)]


def test_a_right_recording() -> None:
    assert list(script.verdict(told(), 1000))[-1].endswith("好。")


GOOD = told()
LATE = [{"text": "好。", "start_ms": 100, "end_ms": 1100}]
BACKWARDS = [{"text": "好", "start_ms": 500, "end_ms": 900}, {"text": "。", "start_ms": 100, "end_ms": 200}]
WRONG = {
    "an error event": [("error", {"code": "internal", "message": "。"}), *GOOD],
    "no result": GOOD[:2],
    "two results": [*GOOD, GOOD[2]],
    "never stopped": [GOOD[0], GOOD[2]],
    "stopped after the result": [GOOD[0], GOOD[2], GOOD[1]],
    "no text before stop": GOOD[1:],
    "a failure": told(error="识别引擎出错"),
    "lost audio": told(duration_ms=900),
    "other sentences than text": told(llm_merged="不好。"),
    "times outside": told(timestamps=LATE),
    "times backwards": told(timestamps=BACKWARDS),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_recording(kind: str) -> None:
    with pytest.raises(script.Wrong):
        list(script.verdict(WRONG[kind], 1000))


def test_a_silent_recording_is_right() -> None:
    silent = told(paraformer="", sensevoice="", llm_merged="", timestamps=[])[1:]
    assert list(script.verdict(silent, 1000))
