"""``docs/protocols`` and the READMEs' table of protocols say what is so, and their examples run."""

import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support import ROOT, Server, utterance
from tests.test_websocket_doc import shape, table
from tools import check_docs, record_protocols
from tools.record_examples import examples, refreshed
from xingji.wire.nls_status import OTHER, STATUS, SUCCESS
from xingji.wire.table import OVER_HTTP, TABLE

PROTOCOLS = (*TABLE, *OVER_HTTP)
DOCUMENTS = {entry.name: ROOT / entry.document for entry in PROTOCOLS}


def test_every_protocol_has_a_document_and_every_document_a_recording() -> None:
    assert {path.name for path in DOCUMENTS.values()} == set(record_protocols.RECORDINGS)
    assert {path.name for path in (ROOT / "docs" / "protocols").glob("*.md")} == set(record_protocols.RECORDINGS)


@pytest.mark.parametrize("readme", ["README.md", "README.en.md"])
def test_the_readmes_list_what_the_table_lists(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    rows = table(text, "协议" if readme == "README.md" else "protocol")
    titles = [entry.title if readme == "README.md" else entry.title_en for entry in PROTOCOLS]
    assert [re.sub(r"\[(.*)\]\(.*\)", r"\1", row[0]) for row in rows] == titles
    for row, entry in zip(rows, PROTOCOLS, strict=True):
        assert f"]({entry.document})" in row[0]
        assert tuple(re.findall(r"`(/[^`]*)`", row[1])) == entry.paths
        assert all(client in row[3] for client in entry.clients)


def test_every_status_of_nls_is_told() -> None:
    rows = table((ROOT / "docs" / "protocols" / "nls.md").read_text("utf-8"), "`status`")
    assert {int(row[0]) for row in rows} == {status for status, *_ in (*STATUS.values(), OTHER)} | {SUCCESS}


@pytest.mark.parametrize("name", record_protocols.RECORDINGS)
def test_examples_are_what_the_server_says_today(server: Server, name: str) -> None:
    recorded = record_protocols.RECORDINGS[name](server.url.replace("http:", "ws:"))
    text = (record_protocols.FOLDER / name).read_text("utf-8")
    said = examples(text)
    assert {key: shape(value) for key, value in said.items()} == {k: shape(v) for k, v in recorded.items()}
    for key, value in recorded.items():
        stable(said[key], value)
    assert set(examples(refreshed(text, recorded))) == set(recorded)


def stable(said: dict[str, Any], now: dict[str, Any]) -> None:
    """Final texts are the same in every run."""
    if said.get("is_final"):
        assert said.get("text") == now.get("text")


@pytest.mark.parametrize("name", record_protocols.RECORDINGS)
def test_the_python_example_runs(server: Server, name: str) -> None:
    found = [text for kind, text in check_docs.code_blocks(record_protocols.FOLDER / name) if kind == "python"]
    assert len(found) == 1
    command = [sys.executable, "-c", found[0].replace(":5006", f":{server.port}")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = utterance("name_lintao" if name == "simple.md" else "two_sentences")
    for sentence in said.sentences if said.exact else ():
        assert sentence["written"] in done.stdout
