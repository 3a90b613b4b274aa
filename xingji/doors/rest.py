"""``/api/asr``: upload a file, see models and formats, fetch a result that was missed."""

from contextlib import nullcontext
from typing import Any

from flask import Blueprint, Response, request

from ..audio import FORMAT_NAMES
from ..runtime.upload import transcribe as run
from ..wire.socketio import final_result
from . import services
from .answers import success
from .options import read_options
from .transcripts import transcript
from .uploads import on_disk, sent_file, upload_limits

api = Blueprint("asr", __name__, url_prefix="/api/asr")


@api.post("/transcribe")
def transcribe() -> tuple[Response, int]:
    """JSON, or the text alone, or subtitles. Errors are JSON in any case."""
    here = services()
    file = sent_file()
    options = read_options(request.form)
    watcher = request.form.get("session_id")
    gate = here.gates.get(watcher or "")
    with gate.watching() if gate else nullcontext():
        done = run(here.hub, on_disk(file), options.wishes, upload_limits(), _progress(watcher) if watcher else None)
    return transcript(done, options, options.form, file.filename or "")


@api.get("/models")
def models() -> tuple[Response, int]:
    here = services()
    names = here.models.names
    data = {
        "asr_model": names["paraformer"] if here.models.streams else None,
        "punc_model": names["punc"],
        "sensevoice_model": names["sensevoice"],
        "vad_model": names["vad"],
        "llm_model": here.hub.llm_model,
        "models_loaded": here.pool.ready,
        "source": here.models.source,
        "engines": {part: facts for link in here.pool.links.values() for part, facts in link.models.items()},
        "default_model": here.hub.recognisers.default,
        "models": here.hub.recognisers.listing(),
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


def _progress(session_id: str) -> Any:
    socketio = services().socketio
    return lambda percent: socketio.emit(
        "processing_progress", {"progress": percent, "recording_id": None}, to=session_id
    )
