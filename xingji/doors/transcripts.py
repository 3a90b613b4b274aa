"""How the text of a file is written: JSON, or the text alone, or subtitles."""

from typing import Any

from flask import Response

from ..core.messages import Completed
from ..core.subtitles import srt, vtt
from ..core.transcript import join
from ..runtime.green import offload
from ..runtime.jobs import Options
from ..runtime.recognisers import Recognisers
from ..wire import milliseconds
from ..wire.socketio import final_result, timed_words, timestamps
from . import services
from .answers import success
from .uploads import fallback, spoken

_MEDIA_TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt", "text": "text/plain"}
FORMS = ("json", *_MEDIA_TYPES)


def transcript(done: Completed, options: Options, form: str, name: str) -> tuple[Response, int]:
    """``name``: what its sender calls the file."""
    if form != "json":
        text = offload(_written, done, form)  # hours of speech are a second's work
        return Response(text, content_type=f"{_MEDIA_TYPES[form]}; charset=utf-8"), 200
    hub = services().hub
    data = offload(_transcript, done, options.timestamps, hub.recognisers)
    if options.compare:
        model = hub.llm_model if hub.wants_llm(options.wishes) else None
        layers = final_result("", done.sentences, done.readings, done.length, model)
        for layer in ("paraformer", "sensevoice", "llm_merged"):
            data[layer] = {"text": layers[layer], "length": layers[f"{layer}_length"]}
    return success(data, filename=name, duration_ms=data["duration_ms"], mode="file_upload")


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
