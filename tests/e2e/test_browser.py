"""The page in a real Chromium whose microphone plays a wav: text while it plays, the final text after."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Server, Utterance, chromium, utterance

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.e2e.browsing import browser, by, text_of, write_wav  # noqa: E402  it needs playwright

SHOTS = os.environ.get("XINGJI_SCREENSHOTS")  # a folder; set it to look at the pages

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium on this machine (apt-get install chromium)")


@pytest.fixture(scope="module")
def said() -> Utterance:
    return utterance("two_sentences")


@pytest.fixture
def page(server: Server, said: Utterance, tmp_path: Path) -> Iterator[playwright.Page]:
    with browser(tmp_path, said.pcm) as found:
        found.goto(f"http://localhost:{server.port}/")
        found.wait_for_selector("[data-testid=connection-state][data-state=online]", timeout=30_000)
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
