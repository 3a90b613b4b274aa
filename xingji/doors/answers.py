"""How REST answers: one envelope for success, one for errors."""

import logging
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ..core.errors import XingjiError
from . import services

log = logging.getLogger(__name__)

STATUS = {
    "unauthorized": 401,
    "not_found": 404,
    "method_not_allowed": 405,
    "version_conflict": 412,
    "upgrade_required": 426,
    "too_large": 413,
    "decode_failed": 422,
    "invalid_hotwords": 422,
    "busy": 429,
    "not_ready": 503,
    "internal": 500,
}  # every other code is 400

FROM_HTTP = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def success(data: Any, status: int = 200, **more: Any) -> tuple[Response, int]:
    return jsonify({"success": True, "data": data, **more}), status


def failure(error: XingjiError) -> tuple[Response, int]:
    body: dict[str, Any] = {
        "success": False,
        "error": error.meaning.zh,
        "message_en": error.meaning.en,
        "code": error.code,
        "retryable": error.meaning.retryable,
        **error.detail,
    }
    if error.field is not None:
        body["field"] = error.field
    response = jsonify(body)
    response.headers.update(retry_after(error))
    if error.code == "unauthorized":
        response.headers["WWW-Authenticate"] = "Bearer"
    return response, STATUS.get(error.code, 400)


def retry_after(error: XingjiError) -> dict[str, str]:
    """The header that says when to come back, where the error knows."""
    wait_ms = error.detail.get("retry_after_ms")
    return {} if wait_ms is None else {"Retry-After": str(-(-int(str(wait_ms)) // 1000))}


def register(app: Flask) -> None:
    @app.after_request
    def add_headers(response: Response) -> Response:
        origins, origin = services().settings.cors_origins, request.headers.get("Origin")
        if "*" in origins:
            response.headers["Access-Control-Allow-Origin"] = "*"
        elif origin in origins:
            response.headers["Access-Control-Allow-Origin"] = str(origin)
            response.headers.add("Vary", "Origin")
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE, OPTIONS"
        # The star is for clients that bring headers of their own, as OpenAI's does; it does not cover the first.
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match, X-NLS-Token, *"
        response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, x-request-id"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.errorhandler(XingjiError)
    def told(error: XingjiError) -> tuple[Response, int]:
        return failure(error)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[Response, int] | HTTPException:
        status = error.code or 500
        if status < 400:
            return error
        code = FROM_HTTP.get(status, "internal" if status >= 500 else "bad_parameter")
        response, _ = failure(XingjiError(code))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response, status

    @app.errorhandler(Exception)
    def failed(error: Exception) -> tuple[Response, int]:
        log.exception("request failed", extra={"path": request.path})
        return failure(XingjiError("internal"))
