"""The page in a real Chromium whose microphone plays a wav: text while it plays, the final text after."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.qwen3_asr_stub import AsrStub
from tests.support import SPEECH, Server, Utterance, chromium, utterance

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.e2e.browsing import browser, by, text_of, write_wav  # noqa: E402  it needs playwright

SHOTS = os.environ.get("XINGJI_SCREENSHOTS")  # a folder; set it to look at the pages

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium on this machine (apt-get install chromium)")


@pytest.fixture(scope="module")
def said() -> Utterance:
    return utterance("two_sentences")


@pytest.fixture
def page(server: Server, said: Utterance, tmp_path: Path) -> Iterator[playwright.Page]:
    with opened(server, said, tmp_path) as found:
        yield found


@contextmanager
def opened(
    server: Server, said: Utterance, tmp_path: Path, state: str = "online", query: str = ""
) -> Iterator[playwright.Page]:
    """The page, as soon as its connection is in that ``state``."""
    with browser(tmp_path, said.pcm) as found:
        found.goto(f"http://localhost:{server.port}/{query}")
        found.wait_for_selector(f"[data-testid=connection-state][data-state={state}]", timeout=30_000)
        yield found


def shoot(page: playwright.Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def test_recording_shows_text_at_once_and_the_final_text_after(page: playwright.Page, said: Utterance) -> None:
    by(page, "record-button").click()
    partial = text_of(page, "live-text", 4)
    shoot(page, "recording")
    second = said.sentences[1]
    page.wait_for_timeout(second["end_ms"])  # until the microphone has played it all
    by(page, "record-button").click()
    by(page, "final-sensevoice").wait_for(state="visible", timeout=60_000)
    shoot(page, "final")
    assert partial.strip()
    final = by(page, "final-sensevoice").text_content() or ""
    assert len(final.strip()) >= len(said.written) // 2
    if said.exact:
        assert said.written in final
    assert by(page, "option-model").is_hidden(), "one model is no choice"
    assert "SenseVoice" in (by(page, "second-pass-by").text_content() or "")
    assert by(page, "final-paraformer").text_content()
    rows = by(page, "sentences").locator(".sentence").all()
    assert rows
    for row in rows:
        readings = row.locator(".layers dd").all_text_contents()
        assert len(readings) == 2 and readings[1] == row.locator(".sentence-text").text_content()


def test_an_upload_shows_its_text(page: playwright.Page, said: Utterance, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "会议.wav", said.pcm)
    by(page, "upload-input").set_input_files(str(file))
    shown = text_of(page, "upload-result", 10)
    shoot(page, "upload")
    if said.exact:
        assert said.sentences[0]["written"] in shown and said.sentences[1]["written"] in shown


def test_hotwords_are_edited_on_the_page(page: playwright.Page, server: Server) -> None:
    editor = by(page, "hotword-editor")
    editor.scroll_into_view_if_needed()
    editor.fill("章薇\n备份演练 | 80")
    by(page, "hotword-save").click()
    server.wait(lambda: server.get("/api/asr/hotwords").json()["data"]["hotwords"] == ["章薇", "备份演练"], 20)
    shoot(page, "hotwords")
    server.hotwords.write_text('{"hotwords": []}', "utf-8")
    server.wait(lambda: server.get("/api/asr/hotwords").json()["data"]["count"] == 0, 20)


def test_the_key_is_asked_for_once_and_kept(models: Path, said: Utterance, tmp_path: Path) -> None:
    with (
        Server(tmp_path, XINGJI_API_KEYS="the-key") as guarded,
        opened(guarded, said, tmp_path, "unauthorized") as page,
    ):
        for key, state in (("wrong", "unauthorized"), ("the-key", "online")):
            by(page, "api-key").fill(key)
            by(page, "api-key").press("Enter")
            page.wait_for_selector(f"[data-testid=connection-state][data-state={state}]", timeout=30_000)
        page.reload()
        page.wait_for_selector("[data-testid=connection-state][data-state=online]", timeout=30_000)
        assert by(page, "api-key").count() == 0
        by(page, "upload-input").set_input_files(str(SPEECH / "question.wav"))
        assert text_of(page, "upload-result", 4)
        by(page, "record-button").click()
        assert text_of(page, "live-text", 4)
        by(page, "record-button").click()
        by(page, "final-sensevoice").wait_for(state="visible", timeout=60_000)


def test_a_server_that_is_open_to_others_is_warned_of(models: Path, said: Utterance, tmp_path: Path) -> None:
    with Server(tmp_path, XINGJI_HOST="0.0.0.0") as open_to_all, opened(open_to_all, said, tmp_path) as page:
        by(page, "notice-no_api_keys").wait_for(state="visible", timeout=30_000)
        shoot(page, "open")
        assert "XINGJI_API_KEYS" in (by(page, "notice-no_api_keys").text_content() or "")
        assert by(page, "notice-minipack").count() == open_to_all.get("/api/health").json()["minipack"]


def test_another_model_hears_what_came_compressed(models: Path, said: Utterance, tmp_path: Path) -> None:
    sent: list[str | bytes] = []
    with AsrStub("千问说的。") as stub:
        place = {"QWEN3_VLLM_HOST_1_7B": "127.0.0.1", "QWEN3_VLLM_PORT_1_7B": str(stub.port)}
        with Server(tmp_path, **place) as running, opened(running, said, tmp_path, query="?codec=opus") as page:
            page.on("websocket", lambda line: line.on("framesent", lambda payload: sent.append(payload)))
            page.reload()
            by(page, "option-model").wait_for(state="visible", timeout=30_000)
            assert by(page, "option-opus").is_checked() and not by(page, "option-fillers").is_checked()
            by(page, "option-fillers").check()
            by(page, "option-model").select_option("qwen3-asr-1.7b")
            by(page, "record-button").click()
            assert text_of(page, "live-text", 4)
            page.wait_for_timeout(said.sentences[1]["end_ms"])
            by(page, "record-button").click()
            by(page, "final-sensevoice").wait_for(state="visible", timeout=60_000)
            shoot(page, "another_model")
            assert "千问说的。" in (by(page, "final-sensevoice").text_content() or "")
            assert "Qwen3-ASR" in (by(page, "second-pass-by").text_content() or "")
            start = next(frame for frame in sent if isinstance(frame, str) and "start_recording" in frame)
            assert '"model_id":"qwen3-asr-1.7b"' in start and '"remove_fillers":true' in start
    audio = [frame for frame in sent if isinstance(frame, bytes)]
    assert audio[0].startswith(b"\x1aE\xdf\xa3"), "WebM"
    assert sum(map(len, audio)) < len(said.pcm) / 3
