"""``openapi.yaml`` describes the routes that exist, all of them, and every answer is as it says.

Answers are checked strictly: a field that the document does not have is a failure here, though
clients should expect new ones.
"""

import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests
import yaml
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.audio.conftest import chirp, encode
from tests.support import ANSWER_S, ROOT, SPEECH, Recorder, Server, utterance
from xingji import __version__
from xingji.app import create_rest
from xingji.core.errors import CODES, XingjiError
from xingji.core.hotword_table import HEAVIEST, LARGEST_TABLE, LIGHTEST, LONGEST_WORD
from xingji.core.types import Hotword
from xingji.doors.answers import STATUS
from xingji.engines.pinyin import Pypinyin
from xingji.runtime.backup import Backups
from xingji.runtime.hotword_file import HotwordFile
from xingji.runtime.hotword_tables import MOST_TABLES, HotwordTables
from xingji.runtime.secrets import Secrets
from xingji.settings import Settings
from xingji.wire import ID
from xingji.wire.openai_read import FORMATS
from xingji.wire.socketio_read import LANGUAGES

DOCUMENT = yaml.safe_load((ROOT / "openapi.yaml").read_text("utf-8"))
OPERATIONS = {(method, path): said for path, item in DOCUMENT["paths"].items() for method, said in item.items()}
NOT_REST = {"/", "/static/<path:filename>"}

HOTWORDS = "/api/asr/hotwords"
TRIAL = HOTWORDS + "/test"
TABLES = "/api/asr/hotword-tables"
TABLE = TABLES + "/{id}"
TRANSCRIBE = "/api/asr/transcribe"
BACKUP = "/api/asr/backup-audio/{id}"
RECORDING = "/api/asr/recordings/{recording_id}"
CUSTOMISATION = "/api/v1/services/audio/asr/customization"
SECRETS = ("/v1/realtime/client_secrets", "/v1/realtime/transcription_sessions")

NLS = "/stream/v1/asr"
OPENAI, TRANSLATE = "/v1/audio/transcriptions", "/v1/audio/translations"
UPLOADS = (TRANSCRIBE, TRIAL)
FORMS = (*UPLOADS, OPENAI, TRANSLATE)

Case = tuple[str, str, int]  # method, path, status


def place(method: str, path: str, status: int) -> str:
    """JSON pointer of what the document says about this answer."""
    pointer = f"/paths/{escaped(path)}/{method}/responses/{status}"
    return str(at(pointer).get("$ref", f"#{pointer}")).removeprefix("#")


def at(pointer: str) -> Any:
    node = DOCUMENT
    for part in pointer.split("/")[1:]:
        node = node[part.replace("~1", "/")]
    return node


def escaped(key: str) -> str:
    return key.replace("/", "~1")


def strict(node: Any) -> Any:
    """The same schemas, but objects have only the properties that are named."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if node.get("type") == "object" and "properties" in node else {}
    return closed | {key: strict(value) for key, value in node.items()}


REGISTRY = Registry().with_resource("urn:api", Resource(strict(DOCUMENT), DRAFT202012))


def check(method: str, path: str, status: int, answer: Any) -> None:
    """``answer`` of requests or of Flask's test client is what the document says."""
    assert answer.status_code == status, answer.text
    pointer = place(method, path, status)
    said = at(pointer)
    for name, header in said.get("headers", {}).items():
        schema = at(header["$ref"][1:])["schema"]
        value = answer.headers[name]
        Draft202012Validator(schema).validate(int(value) if schema["type"] == "integer" else value)
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in said["content"]
    if "schema" in said["content"][kind]:
        schema = {"$ref": f"urn:api#{pointer}/content/{escaped(kind)}/schema"}
        said = json.loads(answer.text) if kind.endswith("json") else answer.text
        Draft202012Validator(schema, registry=REGISTRY).validate(said)


# -- the document -----------------------------------------------------------------


def test_the_document_is_valid_and_of_this_version() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["info"]["version"] == __version__


def test_it_describes_exactly_the_routes_that_exist() -> None:
    rules = create_rest(settings()).url_map.iter_rules()
    routes = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in rules
        if rule.rule not in NOT_REST
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(OPERATIONS) == routes


def test_every_operation_is_described_in_both_languages() -> None:
    han = re.compile(r"[一-鿿]")
    for said in OPERATIONS.values():
        chinese, english = said["description"].split("\n\n")
        assert han.search(chinese) and not han.search(english) and not han.search(said["summary"])


def test_every_error_code_is_listed_and_each_status_has_its_own() -> None:
    assert DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"] == list(CODES)
    for method, path in OPERATIONS:
        for status, content in answers(method, path):
            schema = content.get("application/json", {}).get("schema", {})
            for part in schema.get("allOf", ())[1:]:
                code = part["properties"]["code"]
                for name in code.get("enum", [code.get("const")]) if path != CUSTOMISATION else ():
                    assert STATUS.get(name, 400) == status


def answers(method: str, path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for status in OPERATIONS[method, path]["responses"]:
        yield int(status), at(place(method, path, int(status)))["content"]


def test_names_and_limits_are_those_of_the_code() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    source = (ROOT / "xingji" / "doors" / "rest.py").read_text("utf-8")
    read = set(re.findall(r'(?:\.get\(|flag\(request\.form, )"(\w+)"', source))
    assert set(schemas["Upload"]["properties"]) == {"file", *read}
    assert schemas["Upload"]["properties"]["language"]["enum"] == list(LANGUAGES)
    source = (ROOT / "xingji" / "wire" / "openai_read.py").read_text("utf-8")
    read = set(re.findall(r'\(form, "(\w+)"\)|name = "(\w+)"', source))
    unused = {"chunking_strategy", "include", "known_speaker_names", "known_speaker_references"}
    assert set(schemas["OpenAiUpload"]["properties"]) == {"file", *("".join(names) for names in read), *unused}
    assert tuple(schemas["OpenAiUpload"]["properties"]["response_format"]["enum"]) == FORMATS
    item = schemas["HotwordItem"]["properties"]
    assert item["text"]["maxLength"] == item["aliases"]["items"]["maxLength"] == LONGEST_WORD
    weight = (item["weight"]["minimum"], item["weight"]["default"], item["weight"]["maximum"])
    assert weight == (LIGHTEST, Hotword("x").weight, HEAVIEST)
    assert schemas["Words"]["oneOf"][0]["maxItems"] == LARGEST_TABLE
    assert schemas["NewTable"]["oneOf"][0]["maxItems"] == LARGEST_TABLE
    assert schemas["NamedTablesAnswer"]["properties"]["data"]["properties"]["count"]["maximum"] == MOST_TABLES
    assert schemas["Id"]["pattern"] == f"^{ID.pattern}$"


# -- answers of a real server -----------------------------------------------------------

QUESTION = (SPEECH / "question.wav").read_bytes()
OTHER_VERSION = {"If-Match": '"0"'}
NO_VERSION = {"If-Match": "seven"}


def upload(data: bytes = QUESTION, name: str = "a.wav", **fields: Any) -> dict[str, Any]:
    return {"files": {"file": (name, data)}, "data": fields}


def openai(format: str, **fields: Any) -> dict[str, Any]:
    return upload(model="whisper-1", response_format=format, **fields)


LIVE: dict[str, tuple[Case, dict[str, Any]]] = {
    "health": (("get", "/api/health", 200), {}),
    "ready": (("get", "/api/ready", 200), {}),
    "metrics": (("get", "/metrics", 200), {}),
    "protocols": (("get", "/api/protocols", 200), {}),
    "models": (("get", "/api/asr/models", 200), {}),
    "formats": (("get", "/api/asr/formats", 200), {}),
    "yaml": (("get", "/openapi.yaml", 200), {}),
    "json": (("get", "/openapi.json", 200), {}),
    "upload": (("post", TRANSCRIBE, 200), upload(hotwords="语音")),
    "upload with layers": (("post", TRANSCRIBE, 200), upload(compare="true", generate_timestamps="0")),
    "no file": (("post", TRANSCRIBE, 400), {"data": {"x": "1"}}),
    "no file name": (("post", TRANSCRIBE, 400), {"files": {"file": ("", b"abc")}}),
    "an empty file": (("post", TRANSCRIBE, 400), upload(b"")),
    "no audio": (("post", TRANSCRIBE, 400), upload(b"%PDF-1.7\n" * 100)),
    "an unknown model": (("post", TRANSCRIBE, 400), upload(model="whisper")),
    "a bad port": (("post", TRANSCRIBE, 400), upload(vllm_port="x")),
    "a flag that is none": (("post", TRANSCRIBE, 400), upload(llm="maybe")),
    "a damaged file": (("post", TRANSCRIBE, 422), upload(encode(chirp(44_100, 9), 44_100, "ipod", "aac")[:20_000])),
    "unknown backup audio": (("get", BACKUP, 404), {"id": "rec_unknown"}),
    "delete unknown backup audio": (("delete", BACKUP, 404), {"id": "rec_unknown"}),
    "nls": (("post", NLS, 200), {"data": QUESTION}),
    "nls, bad rate": (("post", NLS, 400), {"data": QUESTION, "params": {"sample_rate": "7999"}}),
    "nls, health": (("get", NLS + "/health", 200), {}),
    "nls, models": (("get", NLS + "/models", 200), {}),
    "openai": (("post", OPENAI, 200), upload(model="gpt-4o-transcribe", keywords="语音")),
    "openai, verbose": (("post", OPENAI, 200), openai("verbose_json", timestamp_granularities=["word", "segment"])),
    "openai, diarized": (("post", OPENAI, 200), openai("diarized_json")),
    "openai, vtt": (("post", OPENAI, 200), openai("vtt")),
    "openai, stream": (("post", OPENAI, 200), openai("json", stream="true")),
    "openai, no model": (("post", OPENAI, 400), upload()),
    "openai, unknown model": (("post", OPENAI, 404), upload(model="gpt-4")),
    "openai, translation": (("post", TRANSLATE, 400), upload(model="whisper-1")),
    "openai, models": (("get", "/v1/models", 200), {}),
    "openai, a model": (("get", "/v1/models/{id}", 200), {"id": "sensevoice"}),
    "openai, no such model": (("get", "/v1/models/{id}", 404), {"id": "a/b"}),
    "an unknown recording": (("get", RECORDING, 404), {"id": "rec_unknown"}),
    "read": (("get", HOTWORDS, 200), {}),
    "replace": (("put", HOTWORDS, 200), {"json": {"hotwords": ["甲乙", {"text": "DAC", "weight": 9, "lang": "en"}]}}),
    "replace, no version": (("put", HOTWORDS, 400), {"json": [], "headers": NO_VERSION}),
    "replace, other version": (("put", HOTWORDS, 412), {"json": [], "headers": OTHER_VERSION}),
    "replace by nonsense": (("put", HOTWORDS, 422), {"json": [{"text": "甲乙", "weight": 101}]}),
    "replace by no json": (("put", HOTWORDS, 422), {"data": b"{"}),
    "add": (("post", HOTWORDS, 201), {"json": [{"text": "丙丁", "aliases": ["冰丁"]}]}),
    "add, no version": (("post", HOTWORDS, 400), {"json": [], "headers": NO_VERSION}),
    "add, other version": (("post", HOTWORDS, 412), {"json": [], "headers": OTHER_VERSION}),
    "add nonsense": (("post", HOTWORDS, 422), {"json": [1]}),
    "remove many": (("delete", HOTWORDS, 200), {"json": {"hotwords": ["备份演练"]}}),
    "remove many, no version": (("delete", HOTWORDS, 400), {"json": ["备份演练"], "headers": NO_VERSION}),
    "remove many, other version": (("delete", HOTWORDS, 412), {"json": ["备份演练"], "headers": OTHER_VERSION}),
    "remove what is not there": (("delete", HOTWORDS, 404), {"json": ["甲乙"]}),
    "remove nonsense": (("delete", HOTWORDS, 422), {"json": [1]}),
    "remove": (("delete", HOTWORDS + "/{text}", 200), {"id": "备份演练"}),
    "remove, no version": (("delete", HOTWORDS + "/{text}", 400), {"id": "备份演练", "headers": NO_VERSION}),
    "remove, other version": (("delete", HOTWORDS + "/{text}", 412), {"id": "备份演练", "headers": OTHER_VERSION}),
    "remove an unknown word": (("delete", HOTWORDS + "/{text}", 404), {"id": "a/b"}),
    "try words": (("post", TRIAL, 200), upload(words='["语音", {"text": "API", "aliases": ["语音"]}]', text="你好")),
    "try a table": (("post", TRIAL, 200), upload(table="names")),
    "try nothing": (("post", TRIAL, 400), upload()),
    "try an unknown table": (("post", TRIAL, 400), upload(table="unknown")),
    "try words on no file": (("post", TRIAL, 400), {"data": {"words": "[]"}}),
    "try what are no words": (("post", TRIAL, 422), upload(words="语音")),
    "try bad words": (("post", TRIAL, 422), upload(words='[{"text": "a", "weight": 0}]')),
    "reload": (("post", HOTWORDS + "/reload", 200), {}),
    "an upload with no such table": (("post", TRANSCRIBE, 400), upload(hotword_table="unknown")),
    "an upload with no such preset": (("post", TRANSCRIBE, 400), upload(preset="fast")),
    "an upload with a preset": (("post", TRANSCRIBE, 200), upload(preset="service")),
    "an upload with a table": (("post", TRANSCRIBE, 200), upload(hotword_table="names")),
    "tables": (("get", TABLES, 200), {}),
    "a new table": (("post", TABLES, 201), {"json": ["甲乙", {"text": "DAC", "weight": 9}]}),
    "a new table that is there": (("post", TABLES, 412), {"json": {"id": "names", "hotwords": []}}),
    "a new table with a bad id": (("post", TABLES, 422), {"json": {"id": "a/b", "hotwords": []}}),
    "a table": (("get", TABLE, 200), {"id": "names"}),
    "an unknown table": (("get", TABLE, 404), {"id": "unknown"}),
    "replace a table": (("put", TABLE, 200), {"id": "names", "json": ["丙丁"]}),
    "replace a table, no version": (("put", TABLE, 400), {"id": "names", "json": [], "headers": NO_VERSION}),
    "replace a table, other version": (("put", TABLE, 412), {"id": "names", "json": [], "headers": OTHER_VERSION}),
    "replace an unknown table": (("put", TABLE, 404), {"id": "unknown", "json": []}),
    "replace a table by nonsense": (("put", TABLE, 422), {"id": "names", "json": [1]}),
    "delete a table": (("delete", TABLE, 200), {"id": "names"}),
    "delete a table, no version": (("delete", TABLE, 400), {"id": "names", "headers": NO_VERSION}),
    "delete a table, other version": (("delete", TABLE, 412), {"id": "names", "headers": OTHER_VERSION}),
    "vocabularies": (("post", CUSTOMISATION, 200), {"json": {"input": {"action": "list_vocabulary"}}}),
    "no vocabulary": (("post", CUSTOMISATION, 400), {"json": {"input": {"action": "query_vocabulary"}}}),
    "a client secret": (("post", SECRETS[0], 200), {"json": {"session": {"type": "transcription"}}}),
    "no client secret": (("post", SECRETS[0], 400), {"json": {"session": {"type": "realtime"}}}),
    "a beta session": (("post", SECRETS[1], 200), {}),
    "no beta session": (("post", SECRETS[1], 400), {"json": {"input_audio_format": "mp3"}}),
    "delete an unknown table": (("delete", TABLE, 404), {"id": "unknown"}),
}


@pytest.fixture
def one_hotword(server: Server) -> Iterator[None]:
    for words in (["备份演练"], []):
        server.hotwords.write_text(json.dumps({"hotwords": words}), "utf-8")
        assert server.post(HOTWORDS + "/reload").status_code == 200
        if words:
            yield


@pytest.fixture
def one_table(server: Server) -> Iterator[None]:
    server.tables.mkdir(exist_ok=True)
    (server.tables / "names.json").write_text('["备份演练"]', "utf-8")
    yield
    for file in server.tables.iterdir():
        file.unlink()


@pytest.mark.parametrize("name", LIVE)
def test_answers_of_the_server(server: Server, one_hotword: None, one_table: None, name: str) -> None:
    (method, path, status), options = LIVE[name]
    more = {key: value for key, value in options.items() if key != "id"}
    url = server.url + re.sub(r"{\w+}", options.get("id", ""), path)
    check(method, path, status, requests.request(method, url, timeout=ANSWER_S, **more))


RECORDED: list[Case] = [("get", RECORDING, 202), ("get", RECORDING, 200)]


def test_the_result_of_a_recording(server: Server) -> None:
    with Recorder(server.url) as client:
        id = client.start(hotwords=["语音"])["recording_id"]
        path = RECORDING.replace("{recording_id}", id)
        check(*RECORDED[0], server.get(path))
        client.play(utterance("question").pcm, pace=0)
        final = client.stop()
        answer = server.get(path)
        check(*RECORDED[1], answer)
        assert answer.json()["data"] == final


HALF_WRITTEN: Case = ("post", HOTWORDS + "/reload", 422)


def test_reloading_a_half_written_file(server: Server, one_hotword: None) -> None:
    server.hotwords.write_text('{"hotwords": ["备', "utf-8")
    check(*HALF_WRITTEN, server.post(HALF_WRITTEN[1]))


def test_the_document_as_json_is_the_document(server: Server) -> None:
    assert server.get("/openapi.json").json() == DOCUMENT
    assert server.get("/openapi.yaml").content == (ROOT / "openapi.yaml").read_bytes()


# -- answers that a healthy server does not give ---------------------------------------------


def settings(max_upload_bytes: int = 1, **more: Any) -> Settings:
    return Settings(_env_file=None, max_upload_bytes=max_upload_bytes, **more)


def client(wanted: Settings, **parts: Any) -> FlaskClient:
    """The routes, with nothing behind them but ``parts``; whatever asks for more fails."""
    app = create_rest(wanted)
    app.extensions["xingji"] = SimpleNamespace(settings=wanted, gates={}, ports={}, hosts=(), **parts)
    return app.test_client()


def declared(status: int) -> list[Case]:
    return [(*key, status) for key, said in OPERATIONS.items() if str(status) in said["responses"]]


def ask(asked: FlaskClient, method: str, path: str, **more: Any) -> Any:
    form: dict[str, Any] = {"file": (io.BytesIO(QUESTION), "a.wav"), "words": "[]"}
    if path == OPENAI:
        form["model"] = "whisper-1"
    body: dict[str, Any] = {"data": form} if path in FORMS else {"json": ["甲乙"]}
    if path == NLS:
        body = {"data": QUESTION}
    if path == CUSTOMISATION:
        body = {"json": {"input": {"action": "list_vocabulary"}}}
    if path in SECRETS:
        body = {"json": {}}
    return asked.open(re.sub(r"{\w+}", "x", path), method=method.upper(), **(body | more))


UNAUTHORIZED = [*declared(401), *declared(403)]  # NLS has its own number for that


@pytest.mark.parametrize("case", UNAUTHORIZED, ids=str)
def test_without_a_key(case: Case) -> None:
    asked = client(settings(api_keys=("secret",)))
    check(*case, ask(asked, *case[:2]))
    for shown in ({"headers": {"Authorization": "Bearer secret"}}, {"query_string": {"token": "secret"}}):
        assert ask(asked, *case[:2], **shown).status_code not in (401, 403)


def test_only_what_wants_no_key_says_so() -> None:
    free = {key for key, said in OPERATIONS.items() if said.get("security") == []}
    assert free == set(OPERATIONS) - {(method, path) for method, path, _ in UNAUTHORIZED}


@pytest.mark.parametrize("case", declared(413), ids=str)
def test_too_large(case: Case, tmp_path: Path) -> None:
    table = HotwordFile(tmp_path / "hotwords.json", lambda words: None)
    asked = client(settings(), hotwords=table, tables=HotwordTables(tmp_path, Pypinyin()))
    kind = "multipart/form-data; boundary=x" if case[1] in FORMS else "application/json"
    check(*case, asked.open(case[1], method=case[0].upper(), data=bytes(2 << 20), content_type=kind))


@pytest.mark.parametrize("case", declared(500), ids=str)
def test_a_defect(case: Case) -> None:
    check(*case, ask(client(settings()), *case[:2]))


class Refusing:
    """A hub that takes no recordings."""

    def __init__(self, code: str) -> None:
        self._code = code

    def resolved(self, *_: object) -> None:
        pass

    def open(self, *_: object) -> None:
        raise XingjiError(self._code, detail={"retry_after_ms": 1500})


WAITS = {"busy": 429, "not_ready": 503}
WAITING = (*UPLOADS, NLS, OPENAI)
REFUSED: list[tuple[str, Case]] = [(code, ("post", path, s)) for path in WAITING for code, s in WAITS.items()]


@pytest.mark.parametrize(("code", "case"), REFUSED)
def test_an_upload_that_has_to_wait(code: str, case: Case) -> None:
    answer = ask(client(settings(max_upload_bytes=1 << 20), hub=Refusing(code)), *case[:2])
    check(*case, answer)
    assert answer.headers["Retry-After"] == "2"


TOO_MANY: list[Case] = [("post", path, 429) for path in SECRETS]


@pytest.mark.parametrize("case", TOO_MANY)
def test_more_secrets_than_anybody_needs(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xingji.runtime.secrets.MOST", 1)
    asked = client(settings(), hub=SimpleNamespace(resolved=lambda wishes: wishes), secrets=Secrets())
    assert ask(asked, *case[:2]).status_code == 200
    answer = ask(asked, *case[:2])
    check(*case, answer)
    assert answer.headers["Retry-After"] == "60"


BACKED_UP: list[Case] = [("get", BACKUP, 200), ("delete", BACKUP, 200)]


def test_backup_audio(tmp_path: Path) -> None:
    backups = Backups(tmp_path, 24.0)
    backup = backups.begin("x")
    assert backup is not None
    backup.write(np.arange(8, dtype=np.int16))
    backup.close()
    asked = client(settings(), backups=backups)
    with ask(asked, "get", BACKUP) as answer:
        assert answer.data == (tmp_path / "x.wav").read_bytes()
        assert "x.wav" in answer.headers["Content-Disposition"]
        check(*BACKED_UP[0], answer)
    check(*BACKED_UP[1], ask(asked, "delete", BACKUP))
    for case in BACKED_UP:
        check(*case[:2], 404, ask(asked, *case[:2]))


LOADING: list[Case] = [("get", "/api/ready", 503), ("get", NLS + "/health", 503)]


@pytest.mark.parametrize("case", LOADING)
def test_not_ready(case: Case) -> None:
    check(*case, client(settings(), pool=SimpleNamespace(ready=False, links={}), hub=None).get(case[1]))


@pytest.mark.parametrize("reason", ["cuda_unavailable", "mps_unavailable", "cuda_out_of_memory", "mps_out_of_memory"])
def test_health_says_why_models_run_on_the_cpu(reason: str) -> None:
    loaded = threading.Event()
    loaded.set()
    facts = {part: {"device": "cpu"} for part in ("vad", "paraformer", "punc", "sensevoice")}
    links = {
        role: SimpleNamespace(role=role, ready=loaded, models=facts, degraded=why, state=state, restarts=0, waiting=0)
        for role, why, state in (("stream", reason, "starting"), ("segment", None, "ready"))
    }
    parts = {
        "pool": SimpleNamespace(ready=True, links=links),
        "hub": SimpleNamespace(
            active=0, capacity=1, live=0, live_capacity=12, recognisers=SimpleNamespace(status=dict)
        ),
        "models": SimpleNamespace(names=dict.fromkeys(facts, "x"), source="official", minipack=False),
    }
    answer = client(settings(), corrections=None, started=0.0, **parts).get("/api/health")
    check("get", "/api/health", 200, answer)
    said = answer.get_json()
    assert said["models_loaded"]
    expected = {"vad": reason, "paraformer": reason, "punc": reason, "sensevoice": None}
    assert {part: model["degraded"] for part, model in said["models"].items()} == expected


def test_no_declared_answer_goes_unchecked() -> None:
    seen = (
        {case for case, _ in LIVE.values()}
        | {*RECORDED, HALF_WRITTEN, *BACKED_UP, *LOADING}
        | {case for _, case in REFUSED}
    )
    seen |= {*TOO_MANY, *UNAUTHORIZED, *declared(413), *declared(500)}
    assert seen == {(*key, int(status)) for key, said in OPERATIONS.items() for status in said["responses"]}
