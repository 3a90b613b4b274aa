"""Options about how text is written, over real sockets, with recognisers that hear people hesitate."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_upload import FORMATS, encode, upload
from tests.support import Recorder, Server, utterance

SAID = utterance("three_sentences")
MARKS = set("，。？！、；：,.?!;:")


@pytest.fixture(scope="module")
def hesitant(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hesitant")
    script = Path(__file__).with_name("hesitant_server.py")
    with Server(folder, (sys.executable, str(script), str(folder))) as running:
        yield running


def record(server: Server, **options: Any) -> tuple[dict[str, Any], Recorder]:
    with Recorder(server.url) as client:
        client.start(**options)
        client.play(SAID.pcm, pace=8)
        return client.stop(), client


def shown(client: Recorder) -> list[str]:
    return [body["sentence"]["text"] for body in client.named("transcription") if body["sentence"]]


def test_fillers_stay_unless_they_are_not_wanted(hesitant: Server) -> None:
    plain, _ = record(hesitant)
    clean, client = record(hesitant, remove_fillers=True)
    for layer in ("paraformer", "sensevoice", "llm_merged"):
        assert plain[layer].count("嗯，") == len(SAID.sentences)
        assert clean[layer] == plain[layer].replace("嗯，", "")
    assert client.expect("recording_started")["config"]["remove_fillers"] is True
    later = [text for text in shown(client) if len(text) > 4]
    assert later and not any("嗯" in text for text in later)
    assert "".join(b["text"] for b in client.named("transcription")).count("嗯") > 0  # as it was recognised


def test_what_is_called_stable_stays(hesitant: Server) -> None:
    _, client = record(hesitant, remove_fillers=True, second_pass=False)
    firm: dict[int, str] = {}
    for body in client.named("transcription"):
        if sentence := body["sentence"]:
            assert sentence["text"].startswith(firm.get(sentence["id"], ""))
            firm[sentence["id"]] = sentence["text"][: sentence["stable_chars"]]
    assert any(firm.values())


def test_marks_can_be_switched_off_in_every_layer(hesitant: Server) -> None:
    final, client = record(hesitant, punctuation=False)
    texts = [final["paraformer"], final["sensevoice"], final["llm_merged"], *shown(client)]
    assert final["sensevoice"] and not any(MARKS & set(text) for text in texts)


def test_text_ends_in_one_mark_also_as_it_is_spoken(hesitant: Server) -> None:
    final, _ = record(hesitant, itn=False)
    for sentence in final["sentences"]:
        assert sentence["text"][-1] in "。？！" and sentence["text"][-2] not in MARKS
        assert sentence["text"][0] not in MARKS


def test_an_upload_can_leave_out_fillers(hesitant: Server) -> None:
    wav = encode(SAID.pcm, *FORMATS["wav"])
    plain, clean = (upload(hesitant, wav, remove_fillers=wanted).json()["data"]["text"] for wanted in ("false", "true"))
    assert "嗯，" in plain and clean == plain.replace("嗯，", "")
    assert upload(hesitant, wav, remove_fillers="maybe").json()["code"] == "bad_parameter"


def test_what_nobody_can_have_said_is_not_taken(hesitant: Server) -> None:
    final, _ = record(hesitant, language="ja")
    assert final["sensevoice"] == "" and final["llm_merged"] == final["paraformer"] != ""
    assert all(sentence["missing"] == ["second_pass"] for sentence in final["sentences"])
    assert final["error"] is None, "no part has failed"
    answer = upload(hesitant, encode(SAID.pcm, *FORMATS["wav"]), language="ja").json()["data"]
    assert answer["text"] == "" and answer["timestamps"] == []


def test_fillers_is_a_flag(hesitant: Server) -> None:
    with Recorder(hesitant.url) as client:
        ack = client.client.call("start_recording", {"remove_fillers": "yes"}, timeout=10)
    assert (ack["code"], ack["field"]) == ("bad_config", "remove_fillers")
