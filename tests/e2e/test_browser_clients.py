"""The demo pages of the browser client in a real Chromium: each protocol, Opus, a file, and VAD in the browser."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, SPEECH, Server, chromium, utterance
from xingji.core.scoring import cer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.e2e.browsing import browser, by, text_of  # noqa: E402  it needs playwright

CLIENT = ROOT / "clients" / "web"
SAID = utterance("two_sentences")

pytestmark = pytest.mark.skipif(chromium() is None, reason="no chromium on this machine (apt-get install chromium)")


@pytest.fixture
def page(server: Server, tmp_path: Path) -> Iterator[playwright.Page]:
    with browser(tmp_path, SAID.pcm) as found:
        yield found


@pytest.mark.parametrize(("protocol", "compressed"), [("socketio", True), ("dashscope", False)])
def test_the_microphone(page: playwright.Page, server: Server, protocol: str, compressed: bool) -> None:
    page.goto(f"http://localhost:{server.port}/clients/web/")
    by(page, "protocol").select_option(protocol)
    by(page, "compressed").set_checked(compressed)
    by(page, "record").click()
    assert text_of(page, "live", 4), "text while it is spoken"
    assert by(page, "status").text_content() == f"正在录音 recording（{'webm' if compressed else 's16le'}）"
    page.wait_for_timeout(SAID.sentences[1]["end_ms"])  # until the microphone has played it all
    by(page, "record").click()
    result = text_of(page, "result", 4)
    assert by(page, "status").text_content() == "完成 done"
    shown = by(page, "sentences").locator("li").all()
    assert shown and all(row.get_attribute("data-settled") == "true" for row in shown)
    if SAID.exact:
        assert result == SAID.written


@pytest.mark.parametrize("protocol", ["socketio", "dashscope"])
def test_a_file_with_a_hotword(page: playwright.Page, server: Server, protocol: str) -> None:
    said = utterance("name_lintao")
    page.goto(f"http://localhost:{server.port}/clients/web/")
    by(page, "protocol").select_option(protocol)
    by(page, "hotwords").fill("林滔")
    by(page, "file").set_input_files(str(SPEECH / f"{said.name}.wav"))
    assert text_of(page, "result", 4) == said.written.replace("林涛", "林滔")
    server.wait(lambda: not list(server.tables.glob("*.json")), 20)  # DashScope's vocabulary went with the task


def test_a_missing_key_is_told(page: playwright.Page, models: Path, tmp_path: Path) -> None:
    with Server(tmp_path, XINGJI_API_KEYS="secret") as guarded:
        page.goto(f"http://localhost:{guarded.port}/clients/web/")
        by(page, "file").set_input_files(str(SPEECH / "question.wav"))
        by(page, "status").get_by_text("unauthorized").wait_for()
        page.locator("[name=apiKey]").fill("secret")
        by(page, "file").set_input_files(str(SPEECH / "question.wav"))
        assert text_of(page, "result", 4) == utterance("question").written


def vad_web() -> bool:
    packages = json.loads((CLIENT / "vad-web.json").read_text("utf-8"))
    return all((CLIENT / "vad-web" / Path(name).name).is_file() for package in packages for name in package["files"])


@pytest.mark.skipif(not vad_web(), reason="vad-web is not there; with npm, make setup fetches it")
def test_sentences_that_the_browser_found(page: playwright.Page, server: Server) -> None:
    elsewhere: list[str] = []
    here = f"http://localhost:{server.port}/"
    page.on("request", lambda request: elsewhere.append(request.url) if not request.url.startswith(here) else None)
    page.goto(f"{here}clients/web/vad.html")
    page.locator("[data-testid=listen]:enabled").click()
    done = by(page, "sentences").locator("li[data-settled=true]")
    done.nth(len(SAID.sentences) - 1).wait_for(timeout=60_000)
    assert cer([(SAID.written, "".join(done.all_text_contents()))]) <= 0.05
    by(page, "listen").click()
    by(page, "status").get_by_text("已停 stopped").wait_for()
    assert elsewhere == []


def test_a_page_without_vad_web_says_what_is_missing(page: playwright.Page, server: Server) -> None:
    page.route("**/vad-web/**", lambda route: route.fulfill(status=404))
    page.goto(f"http://localhost:{server.port}/clients/web/vad.html")
    by(page, "status").get_by_text("make setup").first.wait_for()
    assert by(page, "listen").is_disabled()
