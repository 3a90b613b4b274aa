"""``/v1/realtime/…``: client secrets for OpenAI's realtime transcription, as GA and as the beta ask for them.

A browser that should not know the real key shows the secret when it opens the WebSocket, which then begins with the
session that the secret was made for.
"""

import logging
import uuid

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from ..core.errors import XingjiError
from ..runtime.secrets import Secret
from ..wire.openai_realtime_read import Session, updated
from ..wire.openai_realtime_write import refusal, refused
from ..wire.realtime import Invalid
from . import services
from .answers import retry_after

log = logging.getLogger(__name__)

api = Blueprint("openai_realtime", __name__, url_prefix="/v1/realtime")

LARGEST = 256 << 10  # bytes of a request


@api.before_request
def limit() -> None:
    request.max_content_length = LARGEST


@api.post("/client_secrets")
def client_secrets() -> Response:
    asked = _asked().get("session")
    secret, session = _secret({} if asked is None else asked, beta=False)
    shown = _named() | session.shown(beta=False)
    return jsonify({"value": secret.value, "expires_at": secret.expires_at, "session": shown})


@api.post("/transcription_sessions")
def transcription_sessions() -> Response:
    secret, session = _secret(_asked(), beta=True)
    shown = {"value": secret.value, "expires_at": secret.expires_at}
    return jsonify(_named() | session.shown(beta=True) | {"client_secret": shown})


def _asked() -> dict[str, object]:
    if not request.get_data():
        return {}
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise Invalid("invalid_json", "应为 JSON 对象。 must be a JSON object.")
    return body


def _secret(asked: object, beta: bool) -> tuple[Secret, Session]:
    session = updated(Session(), asked, beta)
    services().hub.resolved(session.wishes())  # that there is such a model
    return services().secrets.make(session), session


def _named() -> dict[str, object]:
    """``expires_at`` 0: the session lasts for an hour from when it is opened."""
    return {"object": "realtime.transcription_session", "id": f"sess_{uuid.uuid4().hex}", "expires_at": 0}


# -- errors ---------------------------------------------------------------------------------------


@api.errorhandler(Invalid)
def invalid(wrong: Invalid) -> tuple[Response, int]:
    return _answer(refusal("invalid_request_error", wrong.code, str(wrong), wrong.param)), 400


@api.errorhandler(XingjiError)
def failed(error: XingjiError) -> tuple[Response, int]:
    status, body = refused(error)
    response = _answer(body)
    response.headers.update(retry_after(error))
    return response, status


@api.errorhandler(HTTPException)
def rejected(error: HTTPException) -> tuple[Response, int]:
    return failed(XingjiError("too_large" if error.code == 413 else "bad_parameter"))


@api.errorhandler(Exception)
def broken(error: Exception) -> tuple[Response, int]:
    log.exception("request failed", extra={"path": request.path})
    return failed(XingjiError("internal"))


def _answer(body: str) -> Response:
    return Response(body, mimetype="application/json")
