"""Raw WebSockets: a request to upgrade on a path of ``wire.table`` becomes a connection that speaks its dialect.

Stands in front of the rest of the application, which answers everything else.
"""

import logging
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.serving import make_server

from ..core.errors import XingjiError
from ..runtime import green
from ..runtime.connection import Connection, Heartbeat
from ..runtime.websocket import VERSION, WebSocket, accepting, asks_for_websocket
from ..wire.dialect import Dialect, Handshake
from ..wire.table import OVER_HTTP, TABLE, Entry, Protocol, refusal
from . import Services
from .access import admits
from .answers import failure

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

api = Blueprint("protocols", __name__)

RETRY_S = 5.0

BY_PATH = {path: entry for entry in TABLE for path in entry.paths}


class WebSockets:
    def __init__(self, app: Application, here: Services, by_path: Mapping[str, Entry] = BY_PATH) -> None:
        """``app`` answers whatever is no WebSocket of ours."""
        self._app, self._here, self._by_path = app, here, by_path

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        headers = _headers(environ)
        path = str(environ.get("PATH_INFO", ""))
        entry = self._by_path.get(path)
        if entry is None or not asks_for_websocket(headers):
            return self._app(environ, start)
        handshake = Handshake(path, _query(environ), headers, _offered(headers), time.time())
        try:
            dialect = entry.make(self._checked(entry, handshake))
        except XingjiError as error:
            return _refused(entry, error, start)
        subprotocol = handshake.selected(entry.subprotocols)
        key = headers["sec-websocket-key"]
        if (plain := green.take_socket(environ)) is None:
            return _refused(entry, XingjiError("not_supported"), start)
        plain.sendall(accepting(key, subprotocol))
        self._serve(dialect, WebSocket(plain, max(self._here.settings.max_frame_bytes, dialect.largest)))
        return green.leave(environ)

    def _checked(self, entry: Entry, handshake: Handshake) -> Handshake:
        headers = handshake.headers
        if headers.get("sec-websocket-version") != VERSION or not headers.get("sec-websocket-key"):
            raise XingjiError("upgrade_required")
        secret = self._here.secrets.find(handshake.keys) if entry.secrets else None
        if secret is None and not admits(self._here.settings.api_keys, handshake.keys):
            raise XingjiError("unauthorized")
        return handshake if secret is None else replace(handshake, session=secret.session)

    def _serve(self, dialect: Dialect, line: WebSocket) -> None:
        settings = self._here.settings
        heartbeat = Heartbeat(settings.ping_interval_s, settings.ping_timeout_s)
        connection, id = Connection(self._here.hub, dialect, line, heartbeat), f"ws_{uuid.uuid4().hex}"
        self._here.gates[id] = connection
        try:
            connection.run()
        finally:
            self._here.gates.pop(id, None)


def register(app: Flask, here: Services) -> None:
    """In front of all that ``app`` has so far."""
    app.wsgi_app = WebSockets(app.wsgi_app, here)  # type: ignore[method-assign, assignment]


def listen(here: Services, name: str, port: int) -> None:
    """Serve one protocol, on ``/`` and its other paths, on a port of its own. For ever; while the port is taken, as by
    the server that this one replaces, it says so once and tries again."""
    entry = next(entry for entry in TABLE if entry.name == name)

    def elsewhere(environ: Environ, start: StartResponse) -> Iterable[bytes]:
        return _refused(entry, XingjiError("upgrade_required"), start)

    door = WebSockets(elsewhere, here, dict.fromkeys(entry.paths, entry))
    host, told = here.settings.host, False
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    while True:
        try:
            listener = socket.create_server(address[:2], family=family)
        except OSError as error:
            if not told:
                log.warning("port not available, the protocol is served on the main port only", extra={
                    "protocol": name, "port": port, "reason": error.strerror
                })  # fmt: skip
            told = True
            time.sleep(RETRY_S)
            continue
        with listener:
            here.ports[name] = port
            log.info("entry point", extra={"route": f"{host}:{port}/", "methods": "WebSocket", "protocol": name})
            # Of werkzeug's server only how it reads a request and starts its thread: its own binding would end the
            # process, and its own loop waits in a way that gunicorn's worker cannot make green.
            server = make_server(host, port, door, threaded=True, fd=listener.fileno())
            while True:
                try:
                    server.process_request(*listener.accept())
                except OSError as error:  # no file descriptor left, or the client has gone again
                    log.warning("accept failed", extra={"port": port, "reason": error.strerror})
                    time.sleep(RETRY_S / 10)


def explain(app: Flask) -> None:
    """Whoever asks one of the paths without upgrading is told what it is for."""

    @app.before_request
    def upgrade_required() -> tuple[Response, int] | None:
        entry = BY_PATH.get(request.path)
        if entry is None or request.path == "/":  # where the page is
            return None
        response, status = failure(XingjiError("upgrade_required", detail={"protocol": entry.name}))
        response.headers["Upgrade"] = "websocket"
        return response, status


@api.get("/api/protocols")
def protocols() -> Response:
    listed = [_told(entry) | {"subprotocols": list(entry.subprotocols)} for entry in TABLE]
    listed += [_told(protocol) | {"subprotocols": []} for protocol in OVER_HTTP]
    return jsonify({"success": True, "data": listed})


def _told(protocol: Protocol) -> dict[str, Any]:
    return {
        "name": protocol.name,
        "title": protocol.title,
        "title_en": protocol.title_en,
        "transport": "websocket" if isinstance(protocol, Entry) else "http",
        "paths": list(protocol.paths),
        "features": list(protocol.features),
        "clients": list(protocol.clients),
        "document": protocol.document,
    }


def _refused(entry: Entry, error: XingjiError, start: StartResponse) -> Iterable[bytes]:
    if error.code == "upgrade_required":
        said, status = refusal(error), 426
    else:
        said = entry.refuse(error)
        status = said.status
    body = said.body.encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    if status == 426:
        headers |= {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION}
    start(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
    return [body]


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """Servers join repeated headers with commas; Alibaba's client sends its key and version twice and means the first.
    A list of sub-protocols, which has commas of its own, stays whole."""
    found = {name[5:].replace("_", "-").lower(): str(v) for name, v in environ.items() if name.startswith("HTTP_")}
    for name in ("sec-websocket-key", "sec-websocket-version"):
        if name in found:
            found[name] = found[name].partition(",")[0].strip()
    return found


def _query(environ: Mapping[str, Any]) -> dict[str, str]:
    """Of a repeated parameter the last value."""
    found = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=100)
    return {name: values[-1] for name, values in found.items()}


def _offered(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in headers.get("sec-websocket-protocol", "").split(",") if name.strip())
