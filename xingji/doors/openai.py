"""``/v1``: files and models as clients of OpenAI's REST interface know them."""

import logging
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from ..core.errors import XingjiError
from ..runtime.upload import Transcription
from ..runtime.upload import transcribe as run
from ..wire import Pace, samples
from ..wire.dialect import to_json
from ..wire.openai_read import Asked, Failure, model_id, read_form
from ..wire.openai_write import ALIVE, Stream, answer, failed, model
from ..wire.openai_write import refused as refusal
from . import services
from .answers import retry_after
from .uploads import keep_files, on_disk, sent_file, upload_limits

log = logging.getLogger(__name__)

api = Blueprint("openai", __name__, url_prefix="/v1")


@api.get("/models")
def models() -> Response:
    return _json({"object": "list", "data": [model(id) for id in _choices()]})


@api.get("/models/<path:id>")
def one_model(id: str) -> Response:
    """Also by the names that programs have in them."""
    if (model_id(id) or services().hub.recognisers.default) not in _choices():
        raise XingjiError("unknown_model")
    return _json(model(id))


@api.post("/audio/transcriptions")
def transcribe() -> Response:
    here = services()
    asked = read_form(request.form.to_dict(flat=False), Pace(samples(here.settings.sentence_silence_ms)))
    here.hub.resolved(asked.wishes)  # a model that is not there, before anything is decoded
    path = on_disk(sent_file())
    if asked.stream:
        return _streamed(Transcription(here.hub, path, asked.wishes, upload_limits()), asked)
    said = answer(run(here.hub, path, asked.wishes, upload_limits()), asked)
    return Response(said, content_type="text/plain; charset=utf-8") if isinstance(said, str) else _json(said)


@api.post("/audio/translations")
def translate() -> Response:
    sent_file()  # only who has sent it all gets to hear the answer
    raise XingjiError("not_supported")


def _json(body: Mapping[str, Any]) -> Response:
    """Fields in the order in which OpenAI has them."""
    return Response(to_json(body), content_type="application/json")


def _choices() -> list[str]:
    listed = services().hub.recognisers.listing()
    return [entry["id"] for entry in listed if entry["role"] == "segment" and entry["available"]]


def _streamed(running: Transcription, asked: Asked) -> Response:
    response = Response(_events(running, Stream(asked.format == "diarized_json")))
    response.call_on_close(running.close)
    response.call_on_close(keep_files())
    response.headers["Content-Type"] = "text/event-stream; charset=utf-8"
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _events(running: Transcription, stream: Stream) -> Iterator[str]:
    """Something is written every second, or nobody would notice a client that has gone."""
    try:
        for event in running:
            if event is None:
                yield ALIVE
            else:
                for frames in stream.encode(event, 0, 0.0):
                    yield from (str(frame) for frame in frames)
    except XingjiError as error:
        yield failed(error)
    except Exception:
        log.exception("stream failed")
        yield failed(XingjiError("internal"))


# -- errors ---------------------------------------------------------------------------------------


@api.errorhandler(XingjiError)
@api.errorhandler(Failure)
def refused(error: XingjiError | Failure) -> tuple[Response, int]:
    status, body = refusal(error)
    response = _json(body)
    if isinstance(error, XingjiError):
        response.headers.update(retry_after(error))
    return response, status


@api.errorhandler(HTTPException)
def unreadable(error: HTTPException) -> tuple[Response, int]:
    return refused(XingjiError("too_large" if error.code == 413 else "bad_parameter"))


@api.errorhandler(Exception)
def broken(error: Exception) -> tuple[Response, int]:
    log.exception("request failed", extra={"path": request.path})
    return refused(XingjiError("internal"))


@api.after_app_request
def in_own_words(response: Response) -> Response:
    """Everything below our prefix has an id; where there is no route, the error is told as ours are."""
    if request.path.startswith("/v1/"):
        response.headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
        body = response.get_json(silent=True) if response.status_code >= 400 else None
        if isinstance(body, dict) and "success" in body:
            response.set_data(refused(XingjiError(str(body.get("code"))))[0].get_data())
    return response
