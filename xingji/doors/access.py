"""Who may ask: the one list of API keys (``XINGJI_API_KEYS``), and the routes that need none.

A route that is not in ``OPEN`` wants a key, a new one too. The refusal is an ordinary XingjiError, so that each
blueprint says it in its own words. Raw WebSockets and Socket.IO ask ``admits`` themselves; their handshakes never
come through Flask's routes.
"""

import hmac
from collections.abc import Iterable

from flask import Flask, request

from ..core.errors import XingjiError
from ..wire.dialect import Handshake
from . import services

OPEN = frozenset(
    {
        "/",  # the page, which asks for the key
        "/static/<path:filename>",
        "/clients/web/",  # the browser client, which the page uses, and its demos
        "/clients/web/<path:filename>",
        "/api/health",  # those who watch the server have no key, and learn nothing that was said
        "/api/ready",
        "/stream/v1/asr/health",
        "/openapi.yaml",
        "/openapi.json",
    }
)


def admits(keys: tuple[str, ...], shown: Iterable[str]) -> bool:
    """Is one of those that were ``shown`` a key? Always true where there are no keys. Compares in constant time."""
    if not keys:
        return True
    # A JSON string may hold half of a surrogate pair.
    sent = [one.encode(errors="surrogatepass") for one in shown]
    return any([hmac.compare_digest(one, key.encode()) for one in sent for key in keys])


def shown_in_request() -> tuple[str, ...]:
    """What the request that Flask now answers shows as a key: the same ways as a WebSocket's handshake."""
    return Handshake(query=request.args, headers={name.lower(): value for name, value in request.headers}).keys


def register(app: Flask) -> None:
    @app.before_request
    def check_key() -> None:
        """What is no route at all is answered as such; browsers show no key when they ask OPTIONS."""
        rule = request.url_rule
        if rule is None or rule.rule in OPEN or request.method == "OPTIONS":
            return
        if not admits(services().settings.api_keys, shown_in_request()):
            raise XingjiError("unauthorized")
