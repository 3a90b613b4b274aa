"""``/api/asr``: upload a file, see models and formats, fetch a result that was missed."""

import os
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from ..audio import FORMAT_NAMES, Limits
from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.transcript import pieces
from ..runtime.upload import transcribe as run
from ..wire import Wishes, milliseconds, samples
from ..wire.socketio import final_result
from ..wire.socketio_read import LANGUAGES, read_hotwords
from . import services
from .answers import success

api = Blueprint("asr", __name__, url_prefix="/api/asr")

SPEEDUP = 4.0  # seconds of audio that decoding must manage in a second of waiting, at the very least


@api.post("/transcribe")
def transcribe() -> tuple[Response, int]:
    here = services()
    file = _file()
    wants_timestamps = _flag("generate_timestamps", True)
    if request.form.get("response_format", "json") != "json":
        raise XingjiError("bad_parameter", field="response_format")
    compare = _flag("compare", False)
    wishes = Wishes(
        language=_language(),
        hotwords=_hotwords(),
        hotword_table=_hotword_table(),
        stream=compare,
        remove_fillers=_flag("remove_fillers", False),
        llm=_flag("llm", False),
        end_silence=samples(here.settings.sentence_silence_ms),
    )
    limits = Limits(
        max_seconds=here.settings.max_upload_s,
        max_wall_s=60.0 + here.settings.max_upload_s / SPEEDUP,
        max_memory_bytes=256 << 20,
    )
    watcher = request.form.get("session_id")
    with tempfile.NamedTemporaryFile(prefix="xingji-upload-", delete=False) as spool:
        path = Path(spool.name)
    try:
        file.save(path)
        gate = here.gates.get(watcher or "")
        with gate.watching() if gate else nullcontext():
            done = run(here.hub, path, wishes, limits, _progress(watcher) if watcher else None)
    finally:
        os.unlink(path)
    data = _transcript(done, wants_timestamps, "SenseVoice")
    if compare:
        model = here.hub.llm_model if here.hub.wants_llm(wishes) else None
        layers = final_result("", done.sentences, done.readings, done.length, model)
        for name in ("paraformer", "sensevoice", "llm_merged"):
            data[name] = {"text": layers[name], "length": layers[f"{name}_length"]}
    return success(data, filename=file.filename, duration_ms=data["duration_ms"], mode="file_upload")


@api.get("/models")
def models() -> tuple[Response, int]:
    here = services()
    names = here.models.names
    data = {
        "asr_model": names["paraformer"],
        "punc_model": names["punc"],
        "sensevoice_model": names["sensevoice"],
        "vad_model": names["vad"],
        "llm_model": here.hub.llm_model,
        "models_loaded": here.pool.ready,
        "source": here.models.source,
        "engines": {part: facts for link in here.pool.links.values() for part, facts in link.models.items()},
    }
    return success(data)


@api.get("/formats")
def formats() -> tuple[Response, int]:
    data = {
        "formats": list(FORMAT_NAMES),
        "description": "任何 FFmpeg 能解码的常见音频都可以；内容决定格式，与文件名无关。"
        " Any common audio; the content decides, not the name.",
        "ffmpeg": True,
    }
    return success(data)


@api.get("/recordings/<recording_id>")
def recording(recording_id: str) -> tuple[Response, int]:
    """The final result of a recording whose connection was lost: 200, 202 while it is awaited, or 404."""
    here = services()
    kept = here.hub.result(recording_id)
    if kept is None:
        return success({"recording_id": recording_id, "state": "running"}, 202)
    done = kept.completed
    told = done.sentences, done.readings, done.length
    return success(final_result(recording_id, *told, kept.llm_model, backup_id=kept.backup_id))


def _transcript(done: Completed, with_times: bool, model: str) -> dict[str, Any]:
    told = [sentence for sentence in done.sentences if sentence.text]
    texts = list(pieces(sentence.text for sentence in told))
    text = "".join(texts)
    times = [
        {"text": piece, "start_ms": milliseconds(s.start), "end_ms": milliseconds(s.end or s.start)}
        for s, piece in zip(told, texts, strict=True)
    ]
    return {
        "text": text,
        "length": len(text),
        "model": model,
        "timestamps": times if with_times else [],
        "duration_ms": milliseconds(done.length),
        "missing": sorted({stage.name.lower() for s in told for stage in s.missing}),
    }


def _file() -> FileStorage:
    file = request.files.get("file")
    if file is None:
        # Werkzeug takes a part without a file name for a form field.
        raise XingjiError("empty_filename" if "file" in request.form else "no_file", field="file")
    if not file.filename:
        raise XingjiError("empty_filename", field="file")
    return file


def _flag(name: str, default: bool) -> bool:
    value = request.form.get(name)
    if value is None or value == "":
        return default
    if value.lower() not in ("true", "false", "1", "0"):
        raise XingjiError("bad_parameter", field=name)
    return value.lower() in ("true", "1")


def _language() -> str:
    language = request.form.get("language") or "auto"
    if language not in LANGUAGES:
        raise XingjiError("bad_parameter", field="language")
    return language


def _hotwords() -> Any:
    try:
        return read_hotwords(request.form.get("hotwords") or "")
    except XingjiError as error:
        raise XingjiError("bad_parameter", field=error.field) from error


def _hotword_table() -> str | None:
    table = request.form.get("hotword_table") or None
    if table is not None:
        try:
            services().tables.read(table)
        except XingjiError as error:
            raise XingjiError("bad_parameter", field="hotword_table") from error
    return table


def _progress(session_id: str) -> Any:
    socketio = services().socketio
    return lambda percent: socketio.emit(
        "processing_progress", {"progress": percent, "recording_id": None}, to=session_id
    )
