"""``/api/asr``: upload a file, see models and formats, fetch a result that was missed."""

from contextlib import nullcontext
from typing import Any

from flask import Blueprint, Response, request

from ..audio import FORMAT_NAMES
from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.subtitles import srt, vtt
from ..core.transcript import join
from ..runtime.recognisers import Recognisers
from ..runtime.upload import transcribe as run
from ..wire import PACES, Pace, Wishes, milliseconds, samples
from ..wire.socketio import final_result, timed_words, timestamps
from ..wire.socketio_read import LANGUAGES, read_hotwords
from . import services
from .answers import success
from .uploads import fallback, flag, on_disk, sent_file, spoken, upload_limits

api = Blueprint("asr", __name__, url_prefix="/api/asr")

_MEDIA_TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt", "text": "text/plain"}


@api.post("/transcribe")
def transcribe() -> tuple[Response, int]:
    """JSON, or the text alone, or subtitles. Errors are JSON in any case."""
    here = services()
    file = sent_file()
    wants_timestamps = flag(request.form, "generate_timestamps", True)
    form = request.form.get("response_format") or "json"
    if form not in ("json", *_MEDIA_TYPES):
        raise XingjiError("bad_parameter", field="response_format")
    compare = flag(request.form, "compare", False)
    wishes = Wishes(
        language=sent_language(),
        hotwords=_hotwords(),
        hotword_table=_hotword_table(),
        stream=compare,
        remove_fillers=flag(request.form, "remove_fillers", False),
        llm=flag(request.form, "llm", False),
        pace=_pace(),
        model=request.form.get("model") or request.form.get("model_id") or None,
        vllm_host=request.form.get("vllm_host") or None,
        vllm_port=_port(),
    )
    watcher = request.form.get("session_id")
    gate = here.gates.get(watcher or "")
    with gate.watching() if gate else nullcontext():
        done = run(here.hub, on_disk(file), wishes, upload_limits(), _progress(watcher) if watcher else None)
    if form != "json":
        return Response(_written(done, form), content_type=f"{_MEDIA_TYPES[form]}; charset=utf-8"), 200
    data = _transcript(done, wants_timestamps, here.hub.recognisers)
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


def _written(done: Completed, form: str) -> str:
    match form:
        case "srt":
            return srt(done.sentences)
        case "vtt":
            return vtt(done.sentences)
        case _:
            return join(sentence.text for sentence in done.sentences)


def _transcript(done: Completed, with_times: bool, recognisers: Recognisers) -> dict[str, Any]:
    told = spoken(done)
    text = join(sentence.text for sentence in told)
    return {
        "text": text,
        "length": len(text),
        "model": "、".join(dict.fromkeys(recognisers.name(s.second_by) for s in told)) or recognisers.name(""),
        "fallback": fallback(told),
        "timestamps": timestamps(told) if with_times else [],
        "words": [word for s in told for word in timed_words(s)] if with_times else [],
        "duration_ms": milliseconds(done.length),
        "missing": sorted({stage.name.lower() for s in told for stage in s.missing}),
    }


def _port() -> int | None:
    port = request.form.get("vllm_port") or None
    if port is None:
        return None
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise XingjiError("bad_parameter", field="vllm_port")
    return int(port)


def sent_language() -> str:
    language = request.form.get("language") or "auto"
    if language not in LANGUAGES:
        raise XingjiError("bad_parameter", field="language")
    return language


def _pace() -> Pace:
    name = request.form.get("preset")
    if not name:
        return Pace(samples(services().settings.sentence_silence_ms))
    if name not in PACES:
        raise XingjiError("bad_parameter", field="preset")
    return PACES[name]


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
