"""A server without a streaming model: text meanwhile is the second pass of what was said; in the end it is the same."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.e2e.test_websockets import address, play
from tests.qwen3_asr_stub import AsrStub
from tests.support import Recorder, Server, chromium, utterance
from xingji.core.scoring import cer

LONG = utterance("three_sentences")
QWEN = "qwen3-asr-1.7b"


@pytest.fixture(scope="module")
def stub() -> Iterator[AsrStub]:
    with AsrStub("千问说的是这一句。") as running:
        yield running


@pytest.fixture(scope="module")
def plain(models: Path, stub: AsrStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its directory of models has none that streams."""
    folder = tmp_path_factory.mktemp("plain")
    root = folder / "models"
    root.mkdir()
    for part in ("vad", "punc", "sensevoice"):
        (root / part).symlink_to(models / part)
    served = {"QWEN3_VLLM_HOST": "127.0.0.1", "QWEN3_VLLM_PORT": str(stub.port)}
    with Server(folder, XINGJI_MODELS=str(root), XINGJI_STREAMING_MODEL="none", **served) as running:
        yield running


def record(server: Server, pace: float = 1.0, **options: object) -> Recorder:
    with Recorder(server.url) as client:
        client.start(**options)
        client.play(LONG.pcm, pace=pace)
        client.stop()
    return client


def partials(client: Recorder) -> Iterator[list[dict[str, Any]]]:
    """Those of each sentence."""
    told = [body["sentence"] for body in client.named("transcription") if body["sentence"]]
    for id in sorted({sentence["id"] for sentence in told}):
        yield [s for s in told if s["id"] == id and s["stage"] == "partial"]


def test_text_meanwhile_and_the_same_text_in_the_end(plain: Server, server: Server) -> None:
    client, streamed = record(plain), record(server, pace=0)
    assert client.partials(), "no text before stop"
    assert not client.named("error")
    for shown in partials(client):
        for before, after in pairwise(shown):
            assert after["stable_chars"] >= before["stable_chars"]
            assert after["text"].startswith(before["text"][: before["stable_chars"]])
    assert any(s["stable_chars"] for shown in partials(client) for s in shown), "nothing was ever sure"
    (final,), (other,) = client.named("final_result"), streamed.named("final_result")
    assert final["paraformer"] == "" and final["error"] is None
    assert final["sensevoice"] == final["llm_merged"] == other["llm_merged"]
    if LONG.exact:
        assert final["sensevoice"] == LONG.written
    for one, same in zip(final["sentences"], other["sentences"], strict=True):
        assert (one["start_ms"], one["end_ms"], one["source"]) == (same["start_ms"], same["end_ms"], "sensevoice")
        assert set(one["readings"]) == {"sensevoice"} and one["missing"] == []


def test_packets_and_pace_change_nothing(plain: Server) -> None:
    results = []
    for frame in (333, 64_000):
        with Recorder(plain.url) as client:
            client.start()
            client.play(LONG.pcm, pace=0, frame=frame)
            final = client.stop()
        results.append([final[key] for key in ("sensevoice", "timestamps", "duration_ms")])
    assert results[0] == results[1]


def test_who_wants_no_text_meanwhile_gets_none(plain: Server) -> None:
    client = record(plain, pace=0, partials=False)
    assert not [shown for shown in partials(client) if shown] and client.named("final_result")[0]["sensevoice"]


def test_over_a_websocket_that_streams(plain: Server) -> None:
    with connect(address(plain, "/ws/asr?mode=stream")) as client:
        play(client, LONG.pcm + bytes(64_000), pause_s=0.1)
        results: list[dict[str, Any]] = []
        while sum(result["is_final"] for result in results) < len(LONG.sentences):
            results.append(json.loads(client.recv(timeout=60)))
    final = [result["text"] for result in results if result["is_final"]]
    assert any(not result["is_final"] and result["text"] for result in results), "no text meanwhile"
    assert cer([(LONG.written, "".join(final))]) <= 0.05


def test_qwen3_asr_over_http_shows_text_meanwhile(plain: Server, stub: AsrStub) -> None:
    stub.heard.clear()
    client = record(plain, model=QWEN)
    shown = [s["text"] for sentence in partials(client) for s in sentence]
    assert shown and set(shown) == {"千问说的是这一句"}
    (final,) = client.named("final_result")
    assert {s["source"] for s in final["sentences"]} == {QWEN} and set(final["sentences"][0]["readings"]) == {QWEN}
    assert len(stub.heard) > len(final["sentences"]), "beginnings as well"


def test_what_is_told_about_models(plain: Server) -> None:
    told = plain.get("/api/asr/models").json()["data"]
    assert (
        told["asr_model"] is None and told["sensevoice_model"] and set(told["engines"]) == {"vad", "punc", "sensevoice"}
    )
    (paraformer,) = [one for one in told["models"] if one["id"] == "paraformer"]
    assert not paraformer["available"] and not paraformer["default"]
    health = plain.get("/api/health").json()
    assert health["models_loaded"] and set(health["models"]) == {"vad", "punc", "sensevoice"}


@pytest.mark.skipif(chromium() is None, reason="no chromium on this machine (apt-get install chromium)")
def test_the_page_shows_it(plain: Server, tmp_path: Path) -> None:
    from tests.e2e.test_browser import by, opened, text_of

    with opened(plain, LONG, tmp_path) as page:
        by(page, "record-button").click()
        assert text_of(page, "live-text", 4)
        page.wait_for_timeout(LONG.milliseconds)
        by(page, "record-button").click()
        by(page, "final-sensevoice").wait_for(state="visible", timeout=60_000)
        assert len(by(page, "final-sensevoice").text_content() or "") >= len(LONG.written) // 2
