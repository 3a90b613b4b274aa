"""``/stream/v1/asr``: one audio in the body, its text in the answer, as clients of Alibaba's NLS know it."""

import logging
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from .. import __version__
from ..audio import is_container, wav_header
from ..core.errors import XingjiError
from ..core.messages import Completed
from ..core.transcript import join
from ..core.types import SAMPLE_RATE, Sentence
from ..runtime.upload import transcribe as run
from ..wire import Pace, Wishes, samples, seconds
from ..wire.nls_read import read_vocabulary
from ..wire.nls_status import SUCCESS, why
from . import services
from .answers import retry_after
from .uploads import fallback, flag, spoken, spool, upload_limits

log = logging.getLogger(__name__)

api = Blueprint("nls", __name__, url_prefix="/stream/v1/asr")

RATES = range(8_000, 48_001)
COPIED = 1 << 16  # bytes of the body at a time


@api.post("")
def transcribe() -> Response:
    here, begun = services(), time.monotonic()
    rate = _rate()
    marks = flag(request.args, "enable_punctuation_prediction", True)
    words = flag(request.args, "word_timestamps", False)
    for known in ("enable_voice_detection", "enable_speaker_diarization"):
        flag(request.args, known, False)  # accepted, and without effect
    table, hotwords = read_vocabulary(request.args.get("vocabulary_id") or "")
    wishes = Wishes(
        hotwords=hotwords,
        hotword_table=table,
        stream=False,
        llm=False,
        punctuation=marks,
        itn=flag(request.args, "enable_inverse_text_normalization", True),
        remove_fillers=flag(request.args, "disfluency", False),
        pace=Pace(samples(here.settings.sentence_silence_ms)),
        model=request.args.get("model_id") or None,
    )
    path = _spooled(rate)
    done = run(here.hub, path, wishes, upload_limits())
    body = _transcript(done, words) | {"processing_time": round(time.monotonic() - begun, 3)}
    return _answer(body | {"status": SUCCESS, "message": "SUCCESS"})


@api.get("/health")
def health() -> tuple[Response, int]:
    here = services()
    ready = here.pool.ready
    device = next(
        (link.models["sensevoice"]["device"] for link in here.pool.links.values() if "sensevoice" in link.models), None
    )
    body = {
        "status": "healthy" if ready else "unhealthy",
        "model_loaded": ready,
        "device": device or here.settings.device,
        "version": __version__,
        "message": "服务正常" if ready else "模型加载中",
        "loaded_models": here.hub.recognisers.usable() if ready else [],
        "memory_usage": None,
    }
    return jsonify(body), 200 if ready else 503


@api.get("/models")
def models() -> Response:
    here = services()
    recognisers = here.hub.recognisers
    declared = [
        {key: entry[key] for key in ("id", "name", "languages", "default", "supports_realtime")} | {"type": "model"}
        for entry in recognisers.listing()
        if entry["role"] == "segment"
    ]
    loaded = recognisers.usable() if here.pool.ready else []
    runtime = {
        "loaded_model_ids": loaded,
        "loaded_count": len(loaded),
        "default_offline_model_id": recognisers.default,
    }
    return jsonify({"declared_entries": declared, "declared_count": len(declared), "runtime": runtime})


@api.errorhandler(XingjiError)
def failed(error: XingjiError) -> tuple[Response, int]:
    failure = why(error)
    response = _answer({"result": "", "status": failure.status, "message": str(failure)})
    response.headers.update(retry_after(error))
    return response, failure.http


@api.errorhandler(HTTPException)
def refused(error: HTTPException) -> tuple[Response, int]:
    return failed(XingjiError("too_large" if error.code == 413 else "bad_parameter"))


@api.errorhandler(Exception)
def broken(error: Exception) -> tuple[Response, int]:
    log.exception("request failed", extra={"path": request.path})
    return failed(XingjiError("internal"))


def _answer(body: dict[str, Any]) -> Response:
    task_id = uuid.uuid4().hex
    response = jsonify({"task_id": task_id} | body)
    response.headers["task_id"] = task_id
    return response


def _transcript(done: Completed, words: bool) -> dict[str, Any]:
    told = spoken(done)
    return {
        "result": join(sentence.text for sentence in told),
        "segments": [_segment(sentence, words) for sentence in told],
        "duration": seconds(done.length),
        "fallback": fallback(told),
    }


def _segment(sentence: Sentence, words: bool) -> dict[str, Any]:
    end = sentence.start if sentence.end is None else sentence.end
    tokens = [
        {"text": word.text, "start_time": seconds(word.span.start), "end_time": seconds(word.span.end)}
        for word in sentence.words
    ]
    times = {"text": sentence.text, "start_time": seconds(sentence.start), "end_time": seconds(end)}
    return times | ({"word_tokens": tokens} if words else {})


def _spooled(rate: int) -> Path:
    """The body as a file that can be decoded. Raises XingjiError("empty_file")."""
    body = request.stream  # never the form, which curl's default content type would make of it
    head = body.read(16)
    if not head:
        raise (
            XingjiError("bad_parameter", field="audio_address")
            if "audio_address" in request.args
            else XingjiError("empty_file")
        )
    raw = request.args.get("format", "").lower() == "pcm" and not is_container(head)
    header = wav_header(rate, 0) if raw else b""
    file = spool()
    file.write(header + head)
    shutil.copyfileobj(body, file, COPIED)
    if raw:
        size = file.tell() - len(header)
        file.seek(0)
        file.write(wav_header(rate, size))
    file.flush()
    return Path(file.name)


def _rate() -> int:
    value = request.args.get("sample_rate") or str(SAMPLE_RATE)
    if not (value.isascii() and value.isdigit() and int(value[:6]) in RATES):
        raise XingjiError("bad_parameter", field="sample_rate")
    return int(value)
