"""DashScope's vocabularies over REST, without a server: what each action answers, and what it leaves in the tables."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient

from xingji.app import create_rest
from xingji.doors.dashscope import PATH
from xingji.engines.pinyin import Pypinyin
from xingji.runtime.hotword_tables import HotwordTables
from xingji.settings import Settings

WORDS = [{"text": "星声记", "weight": 4, "lang": "zh"}, {"text": "ARM", "weight": 1}]


@pytest.fixture
def tables(tmp_path: Path) -> HotwordTables:
    return HotwordTables(tmp_path / "tables", Pypinyin())


@pytest.fixture
def client(tables: HotwordTables) -> FlaskClient:
    wanted = Settings(_env_file=None)
    app = create_rest(wanted)
    app.extensions["xingji"] = SimpleNamespace(settings=wanted, tables=tables)
    return app.test_client()


def ask(client: FlaskClient, action: str, **asked: Any) -> Any:
    """The output."""
    answer = client.post(PATH, json={"model": "speech-biasing", "input": {"action": action, **asked}, "parameters": {}})
    body = answer.get_json()
    assert answer.status_code == 200 and set(body) == {"output", "usage", "request_id"}, body
    assert body["usage"] == {"count": 1}
    return body["output"]


def fails(client: FlaskClient, action: object, **asked: Any) -> str:
    answer = client.post(PATH, json={"input": {"action": action, **asked}})
    body = answer.get_json()
    assert answer.status_code == 400 and set(body) == {"code", "message", "request_id"}
    assert body["code"] == "InvalidParameter"
    return str(body["message"])


def test_the_life_of_a_vocabulary(client: FlaskClient, tables: HotwordTables) -> None:
    id = ask(client, "create_vocabulary", target_model="fun-asr-realtime", prefix="demo", vocabulary=WORDS)[
        "vocabulary_id"
    ]
    assert re.fullmatch(r"vocab-demo-[0-9a-f]{32}", id)
    assert [(word.text, word.weight, word.language) for word in tables.read(id).words] == [
        ("星声记", 80, "zh"),
        ("ARM", 20, None),
    ]
    shown = ask(client, "query_vocabulary", vocabulary_id=id)
    dates = {key: shown.pop(key) for key in ("gmt_create", "gmt_modified")}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", date) for date in dates.values())
    assert shown == {"status": "OK", "target_model": "fun-asr-realtime", "vocabulary": WORDS}
    (listed,) = ask(client, "list_vocabulary", prefix="demo")["vocabulary_list"]
    assert listed == {"vocabulary_id": id, "status": "OK", **dates}
    assert ask(client, "update_vocabulary", vocabulary_id=id, vocabulary=[{"text": "通义", "weight": 5}]) == {}
    changed = ask(client, "query_vocabulary", vocabulary_id=id)
    assert changed["vocabulary"] == [{"text": "通义", "weight": 5}]
    assert (changed["target_model"], changed["gmt_create"]) == ("fun-asr-realtime", dates["gmt_create"])
    assert ask(client, "delete_vocabulary", vocabulary_id=id) == {}
    assert "not found" in fails(client, "query_vocabulary", vocabulary_id=id)


def test_pages(client: FlaskClient, tables: HotwordTables) -> None:
    for number in range(12):
        tables.create(["甲乙"], f"vocab-a-{number:02}")
    tables.create(["甲乙"], "names")
    first = ask(client, "list_vocabulary")["vocabulary_list"]
    assert [v["vocabulary_id"] for v in first] == ["names", *(f"vocab-a-{number:02}" for number in range(9))]
    last = ask(client, "list_vocabulary", prefix="a", page_index=1, page_size=10)["vocabulary_list"]
    assert [v["vocabulary_id"] for v in last] == ["vocab-a-10", "vocab-a-11"]
    assert ask(client, "list_vocabulary", prefix="b")["vocabulary_list"] == []


def test_a_table_that_was_made_otherwise_is_a_vocabulary(client: FlaskClient, tables: HotwordTables) -> None:
    tables.create([{"text": "甲乙", "weight": 100, "aliases": ["假乙"]}, "丙丁", {"text": "戊", "weight": 1}], "names")
    shown = ask(client, "query_vocabulary", vocabulary_id="names")
    assert shown["vocabulary"] == [
        {"text": "甲乙", "weight": 5},
        {"text": "丙丁", "weight": 2},
        {"text": "戊", "weight": 1},
    ]
    assert shown["gmt_create"] == shown["gmt_modified"]


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"target_model": None}, "target_model"),
        ({"prefix": None}, "prefix"),
        ({"prefix": "Demo"}, "prefix"),
        ({"prefix": "abcdefghij"}, "prefix"),
        ({"vocabulary": []}, "vocabulary"),
        ({"vocabulary": [{"text": "甲", "weight": 1}] * 501}, "500"),
        ({"vocabulary": ["甲"]}, "vocabulary[0].text"),
        ({"vocabulary": [{"text": " ", "weight": 1}]}, "vocabulary[0].text"),
        ({"vocabulary": [{"text": "甲" * 16, "weight": 1}]}, "vocabulary[0].text"),
        ({"vocabulary": [{"text": "a b c d e f g h", "weight": 1}]}, "vocabulary[0].text"),
        ({"vocabulary": [{"text": "甲", "weight": 6}]}, "vocabulary[0].weight"),
        ({"vocabulary": [{"text": "甲", "weight": 1, "lang": 3}]}, "vocabulary[0].lang"),
    ],
)
def test_what_is_no_vocabulary(client: FlaskClient, tables: HotwordTables, wrong: dict[str, Any], named: str) -> None:
    good = {"target_model": "paraformer-realtime-v2", "prefix": "demo", "vocabulary": WORDS}
    assert named in fails(client, "create_vocabulary", **(good | wrong))
    assert tables.all() == {}


def test_other_languages_are_taken_and_long_words_fit(client: FlaskClient, tables: HotwordTables) -> None:
    words = [{"text": "東京タワー", "weight": 2, "lang": "ja"}, {"text": "甲" * 15, "weight": 3}]
    id = ask(client, "create_vocabulary", target_model="x", prefix="a1", vocabulary=words)["vocabulary_id"]
    assert [word.text for word in tables.read(id).words] == ["東京タワー", "甲" * 15]


def test_what_makes_no_sense(client: FlaskClient) -> None:
    assert "action" in fails(client, "dance")
    assert "action" in fails(client, None)
    assert "vocabulary_id" in fails(client, "query_vocabulary")
    assert "not found" in fails(client, "delete_vocabulary", vocabulary_id="../x")
    assert "page_size" in fails(client, "list_vocabulary", page_size=0)
    for body in (b"{", b"[]", b'{"input": 3}'):
        answer = client.post(PATH, data=body)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "InvalidParameter")
