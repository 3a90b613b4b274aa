"""The page, and what an operator's tools ask: is it alive, is it ready."""

import time
from typing import Any

from flask import Blueprint, Response, current_app, jsonify

from .. import __version__
from ..runtime.metrics import CONTENT_TYPE
from . import services
from .cautions import cautions

pages = Blueprint("ops", __name__)

# Everything the page needs is served from here; ws: and wss: are for browsers whose 'self' leaves them out.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@pages.get("/")
def page() -> Response:
    response = current_app.send_static_file("index.html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@pages.get("/api/health")
def health() -> Response:
    here = services()
    loaded = here.pool.ready
    llm: dict[str, Any] = {"configured": False, "reachable": None}
    if here.corrections is not None:
        llm = here.corrections.status()
    models: dict[str, Any] = {}
    for link in reversed(here.pool.links.values()):  # where there are several of a role, the first speaks for them
        parts = {"stream": ("vad", "paraformer", "punc"), "segment": ("sensevoice",)}[link.role]
        for part in (part for part in parts if part in here.models.names):
            models[part] = {
                "loaded": link.ready.is_set(),
                "device": link.models.get(part, {}).get("device", here.settings.device),
                "runtime": link.models.get(part, {}).get("runtime"),
                "degraded": link.degraded,
                "name": here.models.names[part],
                "source": here.models.source,
            }
    return jsonify(
        {
            "status": "ok",
            "message": "服务正常" if loaded else "模型加载中",
            "message_en": "The server is well." if loaded else "Models are loading.",
            "models_loaded": loaded,
            "version": __version__,
            "uptime_s": round(time.monotonic() - here.started, 1),
            "models": models,
            "workers": {
                name: {"state": link.state, "restarts": max(0, link.restarts), "waiting": link.waiting}
                for name, link in here.pool.links.items()
            },
            "sessions": {
                "active": here.hub.active,
                "capacity": here.hub.capacity,
                "live": here.hub.live,
                "live_capacity": here.hub.live_capacity,
            },
            "connections": len(here.gates),
            "ports": here.ports,
            "api_keys": bool(here.settings.api_keys),
            "llm": llm,
            "recognisers": here.hub.recognisers.status(),
            "minipack": here.models.minipack,
            "warnings": [
                {"code": caution.code, "message": caution.zh, "message_en": caution.en} for caution in cautions(here)
            ],
        }
    )


@pages.get("/metrics")
def metrics() -> Response:
    return Response(services().metrics.text(), content_type=CONTENT_TYPE)


@pages.get("/api/ready")
def ready() -> tuple[Response, int]:
    loaded = services().pool.ready
    return jsonify({"ready": loaded}), 200 if loaded else 503
