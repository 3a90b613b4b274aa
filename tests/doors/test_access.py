"""Nothing is answered without an API key but what the list says; each door refuses in its protocol's own words."""

import io
import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from xingji.app import create_rest
from xingji.doors.access import OPEN, admits
from xingji.doors.websockets import BY_PATH, WebSockets
from xingji.runtime.secrets import Secrets
from xingji.settings import Settings
from xingji.wire.table import Entry

KEYS = ("first-key", "second-key")
SETTINGS = Settings(_env_file=None, api_keys=KEYS)
APP = create_rest(SETTINGS)
APP.extensions["xingji"] = SimpleNamespace(settings=SETTINGS)  # whatever asks for more than the keys fails
NONE = create_rest(SETTINGS)
NONE.extensions["xingji"] = SimpleNamespace(settings=Settings(_env_file=None))

RULES = sorted(APP.url_map.iter_rules(), key=lambda rule: rule.rule)
GUARDED = [
    (method, rule)
    for rule in RULES
    if rule.rule not in OPEN
    for method in sorted((rule.methods or set()) - {"OPTIONS"})
]

WAYS: dict[str, dict[str, Any]] = {
    "bearer": {"headers": {"Authorization": "Bearer second-key"}},
    "lower case": {"headers": {"authorization": "bearer first-key"}},
    "NLS header": {"headers": {"X-NLS-Token": "first-key"}},
    "query": {"query_string": {"token": "second-key"}},
}
WRONG: dict[str, dict[str, Any]] = {
    "nothing": {},
    "another": {"headers": {"Authorization": "Bearer third-key"}},
    "a part": {"headers": {"Authorization": "Bearer first"}},
    "both": {"headers": {"Authorization": "Bearer first-key,second-key"}},
    "no scheme": {"headers": {"Authorization": "first-key"}},
    "empty": {"headers": {"Authorization": "Bearer "}, "query_string": {"token": ""}},
    "other letters": {"headers": {"X-NLS-Token": "密钥".encode().decode("latin-1")}},
    "in the form": {"data": {"token": "first-key"}},
}


def ask(client: FlaskClient, method: str, rule: Rule, **more: Any) -> Any:
    return client.open(re.sub(r"<[^>]+>", "x", rule.rule), method=method, **more)


def named(case: object) -> str:
    return case.rule if isinstance(case, Rule) else str(case)


def test_what_is_open_to_all() -> None:
    """Whoever adds to this list has thought about it twice."""
    assert {rule.rule for rule in RULES} >= OPEN
    assert sorted(OPEN) == [
        "/",
        "/api/health",
        "/api/ready",
        "/clients/web/",
        "/clients/web/<path:filename>",
        "/openapi.json",
        "/openapi.yaml",
        "/static/<path:filename>",
        "/stream/v1/asr/health",
    ]


@pytest.mark.parametrize(("method", "rule"), GUARDED, ids=named)
def test_every_other_route_wants_a_key(method: str, rule: Rule) -> None:
    client = APP.test_client()
    for wrong in WRONG.values():
        if method in ("GET", "HEAD") and "data" in wrong:
            continue
        refused = ask(client, method, rule, **wrong)
        assert refused.status_code == (403 if rule.rule.startswith("/stream/") else 401), wrong
        assert b"first-key" not in refused.data
    for way in WAYS.values():
        assert ask(client, method, rule, **way).status_code not in (401, 403), way


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.rule in OPEN], ids=named)
def test_what_is_open_asks_nobody(rule: Rule) -> None:
    with ask(APP.test_client(), "GET", rule) as answer:
        assert answer.status_code not in (401, 403)


@pytest.mark.parametrize(("method", "rule"), GUARDED, ids=named)
def test_without_keys_nobody_is_asked(method: str, rule: Rule) -> None:
    assert ask(NONE.test_client(), method, rule).status_code not in (401, 403)


def test_a_browser_asks_options_without_a_key_and_unknown_routes_are_unknown() -> None:
    client = APP.test_client()
    asked = client.options("/api/asr/transcribe", headers={"Origin": "https://example.com"})
    assert asked.status_code == 200 and "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert client.get("/api/nothing").status_code == 404
    assert client.post("/api/health").status_code == 405


# -- in whose words -----------------------------------------------------------------------------------


def test_rest_refuses_in_ours() -> None:
    refused = APP.test_client().put("/api/asr/hotwords", json=[])
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    said = refused.get_json()
    assert (said["success"], said["code"], said["retryable"]) == (False, "unauthorized", False)
    assert said["error"] and said["message_en"]


def test_an_upload_is_refused_before_it_is_read() -> None:
    refused = APP.test_client().post("/api/asr/transcribe", data={"file": (io.BytesIO(b"x"), "a.wav")})
    assert (refused.status_code, refused.get_json()["code"]) == (401, "unauthorized")


def test_nls_refuses_in_its_own() -> None:
    refused = APP.test_client().post("/stream/v1/asr", data=b"x")
    said = refused.get_json()
    assert (
        said["status"] == 40_000_001 and said["message"].startswith("Gateway:ACCESS_DENIED:") and said["result"] == ""
    )
    assert refused.headers["task_id"] == said["task_id"]


def test_dashscope_refuses_in_its_own() -> None:
    refused = APP.test_client().post("/api/v1/services/audio/asr/customization", json={"input": {}})
    said = refused.get_json()
    assert set(said) == {"code", "message", "request_id"} and said["code"] == "InvalidApiKey"


def test_openai_refuses_in_its_own() -> None:
    refused = APP.test_client().post("/v1/realtime/client_secrets", json={})
    error = refused.get_json()["error"]
    assert (refused.status_code, error["type"], error["code"]) == (401, "invalid_request_error", "invalid_api_key")


def handshake(path: str, query: str = "", **headers: str) -> tuple[str, dict[str, Any]]:
    """Status and body of a request to upgrade, which without a socket never goes as far as that."""
    environ = {
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": "GET",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "MDEyMzQ1Njc4OWFiY2RlZg==",
        **{f"HTTP_{name}": value for name, value in headers.items()},
    }
    told: list[str] = []
    door = WebSockets(APP.wsgi_app, SimpleNamespace(settings=SETTINGS, secrets=Secrets()))  # type: ignore[arg-type]
    body = b"".join(door(environ, lambda status, headers: told.append(status)))
    return told[0], json.loads(body)


HANDSHAKES: dict[str, dict[str, str]] = {
    "bearer": {"AUTHORIZATION": "Bearer first-key"},
    "NLS header": {"X_NLS_TOKEN": "second-key"},
    "query": {"query": "token=first-key"},
    "sub-protocol": {"SEC_WEBSOCKET_PROTOCOL": "realtime, openai-insecure-api-key.second-key"},
}


REFUSALS = {  # by protocol: status and code
    "dashscope": ("401", "InvalidApiKey"),
    "qwen-realtime": ("401", "InvalidApiKey"),
    "openai-realtime": ("401", "invalid_api_key"),
    "nls": ("403", "40000001"),
}


@pytest.mark.parametrize("path", BY_PATH)
def test_every_websocket_wants_a_key(path: str) -> None:
    entry: Entry = BY_PATH[path]
    refusal = REFUSALS.get(entry.name, ("401", "unauthorized"))
    for wrong in ({}, {"AUTHORIZATION": "Bearer x"}, {"SEC_WEBSOCKET_PROTOCOL": "openai-insecure-api-key.x"}):
        status, said = handshake(path, **wrong)
        assert (status[:3], code(said)) == refusal
    for way in HANDSHAKES.values():
        status, said = handshake(path, **way)
        assert status[:3] not in ("401", "403") and code(said) != refusal[1], way


def code(said: dict[str, Any]) -> str:
    """OpenAI's is inside an object, NLS's is called status."""
    inside = said["error"] if isinstance(said.get("error"), dict) else said
    return str(inside.get("code", said.get("status")))


# -- the comparison -----------------------------------------------------------------------------------


def test_any_of_the_shown_and_any_of_the_keys() -> None:
    assert admits((), ()) and admits((), ("x",))
    assert admits(KEYS, ("x", "second-key")) and not admits(KEYS, ("x", "")) and not admits(KEYS, ())
    assert not admits(KEYS, ("\ud800", "密钥")), "half of a surrogate pair is wrong, and no defect"


def test_the_keys_are_not_in_what_settings_say_of_themselves() -> None:
    read = Settings(_env_file=None, api_keys=" first-key, ,second-key ")  # type: ignore[arg-type]
    assert read.api_keys == KEYS and "first-key" not in repr(read)
