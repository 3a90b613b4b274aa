"""Hotwords change while the server runs: through the API and by editing the file, even under load."""

import json
import threading

import pytest
import requests

from tests.support import SPEECH, Recorder, Server, utterance

PATH = "/api/asr/hotwords"
TABLES = "/api/asr/hotword-tables"


@pytest.fixture(autouse=True)
def clean(server: Server) -> None:
    server.hotwords.write_text('{"hotwords": [], "note": "kept"}', "utf-8")
    assert server.post(PATH + "/reload").status_code == 200


def words(server: Server) -> list[str]:
    found: list[str] = server.get(PATH).json()["data"]["hotwords"]
    return found


def put(server: Server, body: object, **headers: str):  # type: ignore[no-untyped-def]
    return requests.put(server.url + PATH, json=body, headers=headers, timeout=10)


def delete(server: Server, path: str = "", body: object = None):  # type: ignore[no-untyped-def]
    return requests.delete(server.url + PATH + path, json=body, timeout=10)


def test_editing_the_file_changes_the_next_sentence_and_not_the_running_one(server: Server) -> None:
    said = utterance("name_lintao")
    middle = (said.sentences[0]["begin_ms"] + 1500) // 100 * 3200
    noise = [Recorder(server.url) for _ in range(3)]  # other recordings go on meanwhile
    load = [threading.Thread(target=lambda c=c: (c.start(), c.play(utterance("phone").pcm * 2))) for c in noise]
    with Recorder(server.url) as client:
        for thread in load:
            thread.start()
        client.start()
        client.play(said.pcm[:middle])
        server.wait(lambda: any(b["vad_event"] for b in client.named("transcription")), 30)
        server.hotwords.write_text('{"hotwords": ["林滔"]}', "utf-8")
        server.wait(lambda: words(server) == ["林滔"], 10)
        client.play(said.pcm[middle:], pace=0)
        client.play(said.pcm, pace=0)
        final = client.stop()
    for thread in load:
        thread.join()
    for other in noise:
        other.stop()
        other.client.disconnect()
    first, second = final["sentences"]
    assert "林涛" in first["text"] and first["hotword_hits"] == []
    assert "林滔" in second["text"]
    hit = {"word": "林滔", "replaced": "林涛", "stage": "second_pass"}
    assert [{key: h[key] for key in hit} for h in second["hotword_hits"]] == [hit]
    assert 0 < second["hotword_hits"][0]["score"] <= 1


def test_words_of_one_recording(server: Server) -> None:
    said = utterance("name_lintao")
    with Recorder(server.url) as client:
        client.start(hotwords=["林滔"])
        client.play(said.pcm, pace=0)
        assert "林滔" in client.stop()["sensevoice"]
        client.start()
        assert client.client.call("update_hotwords", {"hotwords": ["林滔"]})["ok"]
        client.play(said.pcm, pace=0)
        assert "林滔" in client.stop()["sensevoice"]
        client.start()
        client.play(said.pcm, pace=0)
        assert "林涛" in client.stop()["sensevoice"]


def test_a_named_table(server: Server) -> None:
    said, other = utterance("name_lintao"), utterance("name_zhaolei")
    assert server.post(TABLES, json={"id": "names", "hotwords": ["林滔", "赵垒"]}).status_code == 201
    try:
        assert server.get(TABLES).json()["data"]["tables"][0]["id"] == "names"
        with Recorder(server.url) as client:
            client.start(hotword_table="names")
            assert client.expect("recording_started")["config"]["hotword_table"] == "names"
            client.play(said.pcm, pace=0)
            assert requests.delete(server.url + TABLES + "/names", timeout=10).status_code == 200
            client.play(other.pcm, pace=0)  # a recording keeps the table that it started with
            text = client.stop()["sensevoice"]
            assert "林滔" in text and "赵垒" in text
            refused = client.client.call("start_recording", {"hotword_table": "names"}, timeout=10)
            assert refused == {"ok": False, "code": "bad_config", "field": "hotword_table"}
    finally:
        (server.tables / "names.json").unlink(missing_ok=True)


def test_a_named_table_for_an_upload(server: Server) -> None:
    id = server.post(TABLES, json=["林滔"]).json()["data"]["id"]
    try:
        with (SPEECH / "name_lintao.wav").open("rb") as file:
            answer = server.post("/api/asr/transcribe", files={"file": file}, data={"hotword_table": id})
        assert "林滔" in answer.json()["data"]["text"]
    finally:
        (server.tables / f"{id}.json").unlink()


def test_the_table_through_the_api(server: Server) -> None:
    before = server.get(PATH).json()["data"]["version"]
    answer = put(server, {"hotwords": ["备份演练", {"text": "DAC", "weight": 80, "aliases": ["大克"]}]})
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert (data["hotwords"], data["count"], data["version"]) == (["备份演练", "DAC"], 2, before + 1)
    assert data["items"][1] == {"text": "DAC", "weight": 80, "aliases": ["大克"]} and data["file"] == "hotwords.json"
    assert server.post(PATH, json={"hotwords": ["张玮"]}).status_code == 201
    assert delete(server, "/DAC").status_code == 200
    assert words(server) == ["备份演练", "张玮"]
    assert delete(server, "/DAC").status_code == 404
    assert delete(server, body=["张玮"]).status_code == 200
    document = json.loads(server.hotwords.read_text("utf-8"))
    assert document == {"hotwords": ["备份演练"], "note": "kept"}
    version = server.get(PATH).json()["data"]["version"]
    assert put(server, ["a"], **{"If-Match": f'"{version - 1}"'}).status_code == 412
    assert put(server, ["a"], **{"If-Match": f'"{version}"'}).status_code == 200


def test_a_dry_run_says_what_words_would_do(server: Server) -> None:
    put(server, ["林滔"])  # the server's own table takes no part
    said = utterance("name_lintao").written
    truth = said.replace("林涛", "林滔")
    words = ["林滔", "张玮", {"text": "一题", "weight": 100}]

    def tried(**fields: str):  # type: ignore[no-untyped-def]
        audio = (SPEECH / "name_lintao.wav").read_bytes()
        answers = []

        def answered() -> bool:  # a busy server asks to come again
            answers.append(server.post(PATH + "/test", files={"file": ("a.wav", audio)}, data=fields))
            return answers[-1].status_code != 429

        server.wait(answered, 60)
        return answers[-1]

    data = tried(words=json.dumps(words), text=truth).json()["data"]
    assert "林涛" in data["without"]["second_pass"] and "林滔" in data["with"]["second_pass"]
    assert "林滔" in data["with"]["streamed"] and data["changed"] is True
    assert {(hit["word"], hit["replaced"]) for hit in data["hits"]} >= {("林滔", "林涛")}
    assert [hit["stage"] for hit in data["hits"] if hit["word"] == "林滔"] == ["streamed", "second_pass"]
    assert "林滔" in data["acted"] and "林滔" not in data["false_alarms"] and data["missed"] == []
    assert data["cer"]["with"] <= data["cer"]["without"]
    wrong = tried(words=json.dumps(["林滔"]), text=said).json()["data"]
    assert wrong["false_alarms"] == ["林滔"] and wrong["cer"]["with"] > wrong["cer"]["without"]
    rivals = [{"text": word, "aliases": ["小张"]} for word in ("张玮", "张微")]
    idle = tried(words=json.dumps(rivals)).json()
    assert idle["data"]["acted"] == [] and idle["data"]["changed"] is False and idle["data"]["cer"] is None
    assert idle["data"]["warnings"] == [
        {"code": "alias_conflict", "alias": "小张", "words": ["张玮", "张微"], "used": "张玮"}
    ]
    id = server.post(TABLES, json=["林滔"]).json()["data"]["id"]
    try:
        assert tried(table=id).json()["data"]["acted"] == ["林滔"]
        assert tried(table=id, words="[]").status_code == 400
    finally:
        (server.tables / f"{id}.json").unlink()
    assert server.get(PATH).json()["data"]["hotwords"] == ["林滔"]


BAD = {
    "no list": {"hotwords": "x"},
    "a number": {"hotwords": [1]},
    "an empty word": {"hotwords": [""]},
    "a long word": {"hotwords": ["字" * 65]},
    "a control character": {"hotwords": ["a\u0000b"]},
    "a bad weight": {"hotwords": [{"text": "a", "weight": 101}]},
    "too many": {"hotwords": [str(n) for n in range(50_001)]},
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_tables_are_refused_and_change_nothing(server: Server, kind: str) -> None:
    put(server, ["备份演练"])
    answer = put(server, BAD[kind])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_hotwords")
    assert words(server) == ["备份演练"]


def test_a_half_written_file_never_empties_the_table(server: Server) -> None:
    put(server, ["备份演练"])
    server.hotwords.write_text('{"hotwords": ["备', "utf-8")
    answer = server.post(PATH + "/reload")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_hotwords")
    assert words(server) == ["备份演练"]
    server.hotwords.write_text('﻿{"hotwords": ["完整"]}', "utf-8")
    server.wait(lambda: words(server) == ["完整"], 10)
