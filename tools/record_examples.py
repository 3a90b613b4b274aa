"""Record the JSON examples of ``WebSocket接口文档.md`` from a real server and put them into the document.

Run ``python -m tools.record_examples`` (about half a minute; ``XINGJI_MODELS`` may name a model directory). Each
example is a ``json`` block below a comment ``<!-- example: NAME -->``; ``record`` gives them by that name. Ids are
replaced by fixed ones and so is the lag, which depends on the machine; everything else is what came over the wire.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests

from tests.support import ANSWER_S, FRAME, ROOT, SPEECH, Recorder, Server, model_directory, utterance

DOCUMENT = ROOT / "WebSocket接口文档.md"
EXAMPLE = re.compile(r"(?<=<!-- example: )(\w+)( -->\n```json\n)(.*?)(?=\n```$)", re.M | re.S)

SAID, WORD = "name_lintao", "林滔"
OPTIONS = {"sample_rate": 16_000, "format": "s16le", "hotwords": [WORD], "client_recording_id": "memo-1"}
WIDTH = 100


def record(url: str) -> dict[str, Any]:
    """What a client sends and is told in three recordings: a whole one, one with a lost packet, a cancelled one."""
    with Recorder(url) as client:
        found = {"connected": client.expect("connected"), "start_recording": OPTIONS}
        _whole(client, found)
        _with_a_gap(client, found)
        found["ack_cancel_recording"] = _cancelled(client)
        found["recording_cancelled"] = client.expect("recording_cancelled")
        found["ack_refused"] = client.client.call("start_recording", {"sample_rate": 1}, timeout=ANSWER_S)
        found["error"] = client.expect("error", 2)
        found["ack_resume_recording"] = client.client.call("resume_recording", {}, timeout=ANSWER_S)
        found["resume_result"] = client.expect("resume_result")
        _with_jobs(client, url, found)
    return _with_fixed_ids(found, found["connected"]["session_id"])


def _whole(client: Recorder, found: dict[str, Any]) -> None:
    pcm, call = utterance(SAID).pcm, client.client.call
    found["ack_start_recording"] = client.start(**OPTIONS)
    found["recording_started"] = client.expect("recording_started")
    found["ack_update_hotwords"] = call("update_hotwords", {"hotwords": [WORD]}, timeout=ANSWER_S)
    found["ack_audio_data"] = call("audio_data", {"audio": pcm[:FRAME], "seq": 0}, timeout=ANSWER_S)
    client.play(pcm[FRAME:])
    found["ack_stop_recording"] = call("stop_recording", timeout=ANSWER_S)
    found["final_result"] = client.expect("final_result")
    found["recording_stopped"] = client.expect("recording_stopped")
    found["processing_progress"] = client.named("processing_progress")[-1]
    told = client.named("transcription")
    found["transcription_start"] = next(b for b in told if b["vad_event"] and b["vad_event"]["type"] == "start")
    found["transcription_partial"] = [b for b in told if _stage(b) == "partial" and b["text"]][-1]
    found["transcription_end"] = next(b for b in told if b["vad_event"] and b["vad_event"]["type"] == "end")
    found["transcription_second_pass"] = next(b for b in told if _stage(b) == "second_pass")
    if streamed := [b for b in told if _stage(b) == "streamed"]:  # unless the second pass overtook it
        found["transcription_streamed"] = streamed[0]
    results = client.named("segment_result")
    found["segment_result"] = next(b for b in results if not b["sentence"]["settled"])
    found["segment_result_settled"] = next(b for b in results if b["sentence"]["settled"])


def _with_a_gap(client: Recorder, found: dict[str, Any]) -> None:
    """Without a second pass, so that the streaming recogniser's last word is told for certain."""
    pcm, before = utterance(SAID).pcm, len(client.named("transcription"))
    client.start(second_pass=False)
    for number, start in enumerate(range(0, len(pcm), FRAME)):
        if number != 1:
            client.client.emit("audio_data", {"audio": pcm[start : start + FRAME], "seq": number})
    client.stop()
    told = client.named("transcription")[before:]
    found.setdefault("transcription_streamed", next(b for b in told if _stage(b) == "streamed"))
    found["error_gap"] = client.expect("error")


def _with_jobs(client: Recorder, url: str, found: dict[str, Any]) -> None:
    """One file that is recognised, and one that is no audio."""
    form = {"session_id": found["connected"]["session_id"]}
    before = len(client.named("processing_progress"))
    for name, sound, state in (("", SPEECH / f"{SAID}.wav", "done"), ("_failed", DOCUMENT, "failed")):
        file = {"file": (f"memo{sound.suffix}", sound.read_bytes())}
        requests.post(url + "/api/asr/jobs", files=file, data=form, timeout=ANSWER_S).raise_for_status()
        ended = client.expect_where("job_updated", lambda body, state=state: body["state"] == state)
        found[f"job_updated{name}"] = ended
    found["processing_progress_job"] = client.named("processing_progress")[before:][-1]


def _cancelled(client: Recorder) -> Any:
    client.start()
    return client.client.call("cancel_recording", timeout=ANSWER_S)


def _stage(body: dict[str, Any]) -> str | None:
    return body["sentence"] and body["sentence"]["stage"]


def _with_fixed_ids(found: dict[str, Any], session: str) -> dict[str, Any]:
    text = json.dumps(found, ensure_ascii=False).replace(session, "Gv2mT0q9xYw1zB3nAAAB")
    text = re.sub(r"(rec|job)_[0-9a-f]{32}", r"\1_" + "0123456789abcdef" * 2, text)
    for name, second in (("created", 0.0), ("started", 0.25), ("ended", 1.5)):
        text = re.sub(rf'"{name}_at": \d+(\.\d+)?', f'"{name}_at": {1_790_000_000 + second}', text)
    return dict(json.loads(re.sub(r'"lag_ms": \d+', '"lag_ms": 200', text)))


# -- the document ------------------------------------------------------------------


def examples(text: str) -> dict[str, Any]:
    """The examples that stand in the document, by name."""
    return {name: json.loads(body) for name, _, body in EXAMPLE.findall(text)}


def refreshed(text: str, recorded: dict[str, Any]) -> str:
    """The document with the recorded examples in it. Raises KeyError for one that is not recorded."""
    return EXAMPLE.sub(lambda match: match[1] + match[2] + laid_out(recorded[match[1]]), text)


def laid_out(value: Any, indent: str = "", taken: int = 0) -> str:
    """JSON that breaks its lines only where they would be longer than ``WIDTH``."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + taken + len(line) <= WIDTH or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + laid_out(item, inner) for item in value) + f"\n{indent}]"
    items = ((json.dumps(key, ensure_ascii=False) + ": ", item) for key, item in value.items())
    return "{\n" + ",\n".join(inner + key + laid_out(item, inner, len(key)) for key, item in items) + f"\n{indent}}}"


def main() -> None:
    if model_directory() is None:
        sys.exit("no models: neither xingji/minipack nor XINGJI_MODELS")
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        recorded = record(server.url)
    DOCUMENT.write_text(refreshed(DOCUMENT.read_text("utf-8"), recorded), "utf-8")


if __name__ == "__main__":
    main()
