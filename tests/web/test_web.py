"""The recording page: its scripts pass their own tests, it loads nothing from elsewhere."""

import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
FOLDERS = (WEB, ROOT / "clients" / "web")
SOURCES = sorted(
    path for folder in FOLDERS for path in folder.iterdir() if path.suffix in {".js", ".css", ".html", ".svg"}
)


class Page(HTMLParser):
    """Every start tag with its attributes, those inside a label, and the text inside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.labelled: list[dict[str, str | None]] = []
        self.inline: list[str] = []
        self._labels = 0
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        self._labels += tag == "label"
        if self._labels:
            self.labelled.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self._labels -= tag == "label"

    def handle_data(self, data: str) -> None:
        if self._inside in {"script", "style"} and data.strip():
            self.inline.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page((WEB / "index.html").read_text(encoding="utf-8"))


def test_scripts_pass_their_own_tests() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the page's unit tests need Node.js 20 or later")
    tests = ROOT / "tests"
    files = sorted(str(path) for folder in ("web", "clients") for path in (tests / folder).glob("*.test.mjs"))
    done = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_vendored_files_are_what_the_list_says() -> None:
    listed = json.loads((WEB / "vendor" / "vendor.json").read_text(encoding="utf-8"))
    named = {"vendor.json"}
    for entry in listed:
        digests = {entry["file"]: entry["sha256"], entry["licence_file"]: entry["licence_sha256"]}
        for file, digest in digests.items():
            assert hashlib.sha256((WEB / "vendor" / file).read_bytes()).hexdigest() == digest, file
            named.add(file)
        assert entry["version"] in entry["source"]
    assert {path.name for path in (WEB / "vendor").iterdir()} == named


def test_the_page_refers_only_to_files_that_exist_here(page: Page) -> None:
    served_by_the_api = {"openapi.json"}
    references = [attrs[name] for _, attrs in page.tags for name in ("src", "href") if attrs.get(name)]
    assert references
    for reference in references:
        assert reference is not None
        if reference.startswith("#"):
            assert any(attrs.get("id") == reference[1:] for _, attrs in page.tags), reference
        elif reference not in served_by_the_api:
            assert reference.startswith("static/"), reference
            assert (WEB / reference.removeprefix("static/")).is_file(), reference


def test_the_demos_refer_only_to_files_that_lie_beside_them() -> None:
    folder = ROOT / "clients" / "web"
    for path in folder.glob("*.html"):
        for _, attrs in Page(path.read_text(encoding="utf-8")).tags:
            for reference in filter(None, (attrs.get("src"), attrs.get("href"))):
                assert (folder / reference).exists(), f"{path.name}: {reference}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.parent.name}-{path.name}")
def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    harmless = {"http://www.w3.org/2000/svg", "http://localhost", "http://127.0.0.1:5006"}  # a namespace; to the reader
    assert set(re.findall(r"\b(?:https?|wss?)://\w[\w./:-]*\b", text)) <= harmless
    assert not re.search(r"url\(|@import", text) or path.suffix != ".css"
    for module in re.findall(r"^(?:import|export)\b.* from '([^']+)'", text, re.M):
        here = path.parent / module.replace("/static/", "/web/")  # as the server calls the page's folder
        assert here.is_file(), module


@pytest.mark.parametrize("path", [path for path in SOURCES if path.suffix == ".html"], ids=lambda path: path.name)
def test_pages_need_no_unsafe_inline(path: Path) -> None:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.inline == []
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on") or name == "style"], (tag, attrs)


def test_ids_and_test_ids_are_unique(page: Page) -> None:
    for name in ("id", "data-testid"):
        values = [attrs[name] for _, attrs in page.tags if name in attrs]
        assert len(values) == len(set(values))


def test_every_id_that_a_script_asks_for_exists(page: Page) -> None:
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    for path in WEB.glob("*.js"):
        for wanted in re.findall(r"byId\('([^']+)'\)", path.read_text(encoding="utf-8")):
            assert wanted in ids, f"{path.name}: {wanted}"


def test_every_control_has_a_name(page: Page) -> None:
    """A label around it, words in it (buttons), or an ARIA name."""
    controls = {"input", "select", "textarea", "button", "progress"}
    named_by = {"aria-label", "aria-labelledby", "data-i18n", "lang"}  # the last: the language switch
    for tag, attrs in page.tags:
        if tag in controls:
            assert attrs in page.labelled or named_by & set(attrs), (tag, attrs)
