"""``WebSocket接口文档.md`` says what is so: every event, field, option, limit and code, and its examples run."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, Server, utterance
from tools import check_docs, record_examples
from xingji.core.errors import CODES
from xingji.core.hotword_table import LARGEST_TABLE, LONGEST_WORD
from xingji.doors import sockets
from xingji.settings import Settings
from xingji.wire import PACES
from xingji.wire.socketio_read import MAX_LIST, read_audio, read_start

TEXT = record_examples.DOCUMENT.read_text("utf-8")
TYPES = {"字符串": str, "整数": int, "小数": float, "布尔": bool, "对象": dict, "列表": list, "null": type(None)}

Row = list[str]  # the cells of one line of a table


def sections(text: str, level: str) -> dict[str, str]:
    """What stands below each heading of this level, by its title."""
    found = re.split(rf"^{level} (.+)\n", text, flags=re.M)[1:]
    return {title.strip("` "): body for title, body in zip(found[::2], found[1::2], strict=True)}


def table(text: str, head: str) -> list[Row]:
    """The rows of the tables whose first column is called ``head``."""
    found = []
    for match in re.finditer(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)*)", text, re.M):
        found += [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in match[1].splitlines()]
    return found


CHAPTERS = sections(TEXT, "##")
ACCEPTED = sections(CHAPTERS["客户端 → 服务器"], "###")
EMITTED = sections(CHAPTERS["服务器 → 客户端"], "###")
GENERAL = CHAPTERS["客户端 → 服务器"].partition("\n### ")[0]


def named(row: Row) -> str:
    return row[0].strip("`")


# -- events -------------------------------------------------------------------------


class Listener:
    """Stands in for Flask-SocketIO, and for the server below it, and hears which events the doors take."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.server = self

    def on(self, name: str, handler: object) -> None:
        self.events.append(name)

    on_event = on


def test_every_event_that_is_accepted_is_described() -> None:
    listener = Listener()
    sockets.register(listener, here=None)  # type: ignore[arg-type]
    assert set(ACCEPTED) == set(listener.events) - {"connect", "disconnect", "*"}


def spoken(path: Path) -> Iterator[str]:
    """Names of events in a source: ``("name", body)`` and ``emit("name", …)``."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Tuple(elts=[ast.Constant(value=str(name)), ast.Dict() | ast.Call() | ast.Name()]):
                yield name
            case ast.Call(func=ast.Attribute(attr="emit"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def test_every_event_that_is_emitted_is_described() -> None:
    sources = [ROOT / "xingji" / "wire" / "socketio.py", *(ROOT / "xingji" / "doors").glob("*.py")]
    assert {name for source in sources for name in spoken(source)} == set(EMITTED)


# -- fields ---------------------------------------------------------------------------


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """``(path, value)`` of everything in ``value``, containers included."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}".lstrip("."))
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                for inner, leaf in leaves(item):
                    yield f"{path}[].{inner}", leaf


@pytest.mark.parametrize("section", ["general", *ACCEPTED, *EMITTED])
def test_fields_are_exactly_those_of_the_examples(section: str) -> None:
    body = GENERAL if section == "general" else ACCEPTED.get(section, EMITTED.get(section, ""))
    found: dict[str, set[type]] = {}
    for name, example in record_examples.examples(body).items():
        if name != section or section in EMITTED:  # an example with the name of a client's event is what is sent
            for path, value in leaves(example):
                found.setdefault(path, set()).add(type(value))
    rows = {named(row): row[1].split("，")[0].split("或") for row in table(body, "字段")}
    optional = {named(row) for row in table(body, "字段") if "可选" in row[1]}
    implied = {path for path, types in found.items() if types <= {dict, list} and path not in rows}
    assert set(found) - implied <= set(rows), "fields that are not described"
    assert set(rows) - optional <= set(found), "fields that do not occur"
    for path, types in found.items():
        for kind in types if path in rows else ():
            assert kind in {TYPES[name.strip()] for name in rows[path]}, path
    for path in implied:  # what is in a container that has no row of its own has to have one
        assert any(row.startswith((path + ".", path + "[")) for row in rows)


class Spy(dict[str, Any]):
    """A payload that remembers which keys were looked for."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.seen: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.append(key)
        return super().get(key, default)


def test_options_are_exactly_those_that_are_read() -> None:
    options, frame = Spy(), Spy(audio=b"")
    opened = read_start(options)
    read_audio(frame)
    rows = {named(row): row[2].strip("`") for row in table(ACCEPTED["start_recording"], "参数")}
    assert set(rows) == set(options.seen)
    assert {named(row) for row in table(ACCEPTED["audio_data"], "参数")} == set(frame.seen)
    assert rows["sample_rate"] == str(opened.format.rate) and rows["format"] == opened.format.codec
    pace = opened.wishes.pace
    times = {"max_sentence_silence_ms": pace.end_silence, "max_sentence_ms": pace.longest, "preroll_ms": pace.preroll}
    assert {name: rows[name] for name in times} == {name: str(samples // 16) for name, samples in times.items()}
    assert all(f"`{name}`" in ACCEPTED["start_recording"] for name in PACES)
    assert rows["language"] == opened.wishes.language
    for name in ("punctuation", "itn", "remove_fillers", "second_pass", "partials"):
        assert rows[name] == str(getattr(opened.wishes, name)).lower()
    assert set(record_examples.OPTIONS) <= set(rows)


def test_every_detail_of_an_error_is_described() -> None:
    rows = {named(row) for row in table(EMITTED["error"], "字段")}
    for source in ("runtime/hub.py", "runtime/gate.py", "doors/sockets.py"):
        text = (ROOT / "xingji" / source).read_text("utf-8")
        for detail in re.findall(r"\bdetail\b[^{\n]*=\s*\{([^}]*)\}", text):
            assert set(re.findall(r'"(\w+)":', detail)) <= rows


# -- codes, limits ------------------------------------------------------------------------


def test_the_table_of_codes_is_that_of_the_code() -> None:
    said = [(named(row), row[1], row[2]) for row in table(CHAPTERS["错误码"], "代码")]
    assert said == [(code, meaning.zh, "是" if meaning.retryable else "否") for code, meaning in CODES.items()]


def test_limits_are_those_of_the_settings() -> None:
    rows = table(CHAPTERS["限制"], "限制")
    assert len(rows) >= 8
    for _, value, name in rows:
        field = name.strip("`").removeprefix("XINGJI_").lower()
        assert float(value.strip("`")) == Settings.model_fields[field].default
    for number in (MAX_LIST, LONGEST_WORD, LARGEST_TABLE):
        assert f" {number} 个" in CHAPTERS["限制"]


# -- examples ---------------------------------------------------------------------------------


def shape(value: Any) -> Any:
    """Keys and types, without the values; of a list the shapes that occur in it."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted({str(shape(item)) for item in value})
    return type(value).__name__


def test_examples_are_what_the_server_says_today(server: Server) -> None:
    recorded = record_examples.record(server.url)
    said = record_examples.examples(TEXT)
    assert {name: shape(value) for name, value in said.items()} == {k: shape(v) for k, v in recorded.items()}
    assert set(record_examples.examples(record_examples.refreshed(TEXT, recorded))) == set(recorded)


def test_layout_of_examples_keeps_their_value() -> None:
    said = record_examples.examples(TEXT)
    assert record_examples.refreshed(TEXT, said) == TEXT


def script(language: str) -> str:
    found = [text for kind, text in check_docs.code_blocks(record_examples.DOCUMENT) if kind == language]
    assert len(found) == 1
    return found[0]


def run(server: Server, command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert record_examples.WORD in last or not utterance(record_examples.SAID).exact
    assert last.endswith("。")


def test_the_python_example_runs(server: Server) -> None:
    run(server, [sys.executable, "-c", script("python").replace(":5006", f":{server.port}")])


def test_the_javascript_example_runs(server: Server, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; this example needs Node.js 20 or later")
    client = (ROOT / "web" / "vendor" / "socket.io.esm.min.js").as_uri()
    source = script("js").replace(":5006", f":{server.port}").replace('"socket.io-client"', f'"{client}"')
    (tmp_path / "example.mjs").write_text(source, "utf-8")
    run(server, [node, "--experimental-websocket", str(tmp_path / "example.mjs")])
