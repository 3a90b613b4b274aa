"""OpenAI's REST door without models: keys, ids of requests, limits, and streams that fail or are left."""

import io
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.wire.conversation import completed, spoken
from xingji.app import create_rest
from xingji.core.errors import XingjiError
from xingji.core.messages import Event
from xingji.doors import openai
from xingji.settings import Settings

PATH = "/v1/audio/transcriptions"
MODELS = ("sensevoice", "owner/other")


class Recognisers:
    default = "sensevoice"

    def listing(self) -> list[dict[str, Any]]:
        ids = {**dict.fromkeys(MODELS, True), "absent": False}
        return [{"id": id, "role": "segment", "available": there} for id, there in ids.items()] + [
            {"id": "vad", "role": "vad", "available": True}
        ]


class Hub:
    recognisers = Recognisers()

    def resolved(self, wishes: Any) -> None:
        if wishes.model not in (None, *MODELS):
            raise XingjiError("unknown_model", field="model")


def client(**settings: Any) -> FlaskClient:
    wanted = Settings(_env_file=None, **settings)
    app = create_rest(wanted)
    app.extensions["xingji"] = SimpleNamespace(settings=wanted, hub=Hub())
    return app.test_client()


def form(**fields: Any) -> dict[str, Any]:
    return {"model": "whisper-1", "file": (io.BytesIO(b"RIFF"), "a.wav")} | fields


def error(answer: Any) -> tuple[int, str, str | None]:
    assert answer.headers["x-request-id"].startswith("req_")
    (body,) = answer.get_json().values()
    assert set(body) == {"message", "type", "param", "code"}
    return answer.status_code, body["code"], body["param"]


@pytest.fixture
def happens(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a transcription gives, under ``events``; an exception is raised. Counts how often one is ``closed``."""
    world: dict[str, Any] = {"events": [], "closed": 0}

    class Transcription:
        def __init__(self, hub: Any, path: Any, *_: Any) -> None:
            world["path"] = path
            if isinstance(world["events"], XingjiError):
                raise world["events"]

        def __iter__(self) -> Iterator[Event | None]:
            for event in world["events"]:
                if isinstance(event, Exception):
                    raise event
                assert world["path"].exists()
                yield event

        def close(self) -> None:
            world["closed"] += 1

    monkeypatch.setattr(openai, "Transcription", Transcription)
    return world


# -- keys, models, addresses ----------------------------------------------------------------------


@pytest.mark.parametrize("method, path", [("get", "/v1/models"), ("get", "/v1/models/x"), ("post", PATH)])
def test_keys(method: str, path: str) -> None:
    asked = client(api_keys=("secret",))
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = asked.open(path, method=method, headers=headers)
        assert error(answer) == (401, "invalid_api_key", None)
        assert "secret" not in answer.text and "wrong" not in answer.text
    assert asked.open(path, method=method, headers={"Authorization": "Bearer secret"}).status_code != 401
    beforehand = asked.options(path)
    assert beforehand.status_code == 200, "browsers ask without a key"
    assert beforehand.headers["Access-Control-Allow-Headers"].endswith("*"), "for x-stainless-lang and the like"


def test_models() -> None:
    listed = client().get("/v1/models").get_json()
    assert (listed["object"], [model["id"] for model in listed["data"]]) == ("list", list(MODELS))
    for model in listed["data"]:
        assert client().get(f"/v1/models/{model['id']}").get_json() == model
        assert client().get("/v1/models/" + model["id"].replace("/", "%2F")).get_json() == model
    assert client().get("/v1/models/gpt-4o-transcribe").get_json()["id"] == "gpt-4o-transcribe"
    for unknown in ("absent", "vad", "gpt-4"):
        assert error(client().get(f"/v1/models/{unknown}")) == (404, "model_not_found", "model")


def test_addresses_that_are_not_there() -> None:
    assert error(client().post("/v1/chat/completions")) == (404, "not_found", None)
    assert error(client().get(PATH)) == (405, "method_not_allowed", None)
    assert "success" in client().get("/elsewhere").get_json(), "which is in nobody else's words"


def test_translations() -> None:
    answer = client().post("/v1/audio/translations", data=form())
    assert error(answer) == (400, "unsupported_operation", None)


# -- requests that are refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": ""}, (400, "missing_required_parameter", "model")),
        ({"model": "absent"}, (404, "model_not_found", "model")),
        ({"file": "RIFF"}, (400, "missing_required_parameter", "file")),
        ({"language": "fr"}, (400, "invalid_value", "language")),
    ],
)
def test_bad_requests(fields: dict[str, Any], said: Any) -> None:
    assert error(client().post(PATH, data=form(**fields), content_type="multipart/form-data")) == said


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", "multipart/form-data; boundary=x", None])
def test_what_is_no_form(kind: str | None) -> None:
    answer = client().post(PATH, data=b'{"model": "whisper-1"}', content_type=kind)
    assert error(answer)[0] == 400


def test_too_large() -> None:
    kind = "multipart/form-data; boundary=x"
    answer = client(max_upload_bytes=1).post(PATH, data=bytes(2 << 20), content_type=kind)
    assert error(answer) == (413, "file_too_large", "file")


@pytest.mark.parametrize("stream", ["true", "false"])
def test_full(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise XingjiError("busy", detail={"retry_after_ms": 1500})

    monkeypatch.setattr(openai, "Transcription", full)
    monkeypatch.setattr(openai, "run", full)
    answer = client().post(PATH, data=form(stream=stream))
    assert error(answer) == (429, "rate_limit_exceeded", None) and answer.headers["Retry-After"] == "2"


def test_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "run", lambda *_: 1 / 0)
    answer = client().post(PATH, data=form())
    assert error(answer) == (500, "server_error", None) and "ZeroDivision" not in answer.text


# -- streams --------------------------------------------------------------------------------------


def test_a_stream(happens: dict[str, Any]) -> None:
    happens["events"] = [*spoken(0, "你好。", 0, 500), None, completed(1000)]
    answer = client().post(PATH, data=form(stream="true"))
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-cache", "no")
    parts = answer.text.split("\n\n")
    assert parts[1:2] == [": "] and parts[-2:] == ["data: [DONE]", ""]
    told = [json.loads(part.removeprefix("data: ")) for part in (parts[0], parts[2])]
    assert told == [
        {"type": "transcript.text.delta", "delta": "你好。"},
        {"type": "transcript.text.done", "text": "你好。"},
    ]
    answer.close()
    assert happens["closed"] == 1 and not happens["path"].exists()


@pytest.mark.parametrize(
    ("wrong", "code"), [(XingjiError("decode_failed"), "invalid_audio"), (ZeroDivisionError(), "server_error")]
)
def test_what_goes_wrong_after_the_first_byte_is_an_event(happens: dict[str, Any], wrong: Exception, code: str) -> None:
    happens["events"] = [*spoken(0, "你好。", 0, 500), wrong]
    answer = client().post(PATH, data=form(stream="true"))
    assert answer.status_code == 200
    *_, last, nothing = answer.text.split("\n\n")
    name, data = last.split("\n")
    assert (name, nothing) == ("event: error", "") and json.loads(data[6:])["error"]["code"] == code
    answer.close()
    assert happens["closed"] == 1 and not happens["path"].exists()


def test_what_goes_wrong_before_is_a_status(happens: dict[str, Any]) -> None:
    happens["events"] = XingjiError("unsupported_format")
    assert error(client().post(PATH, data=form(stream="true"))) == (400, "invalid_audio", "file")
    assert not happens["path"].exists()


@pytest.mark.parametrize("read", [0, 1])
def test_a_client_that_leaves(happens: dict[str, Any], read: int) -> None:
    happens["events"] = [*spoken(0, "你好。", 0, 500), completed(1000)]
    answer = client().post(PATH, data=form(stream="true"), buffered=False)
    assert happens["path"].exists() and happens["closed"] == 0
    for _, part in zip(range(read), answer.response, strict=False):
        assert part
    answer.close()
    assert happens["closed"] == 1 and not happens["path"].exists()
