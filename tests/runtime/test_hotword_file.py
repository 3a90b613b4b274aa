"""The hotword file: read, watched and changed, and never emptied by accident."""

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest

from tests.runtime.fakes import PATIENCE_S, in_thread
from xingji.core.errors import XingjiError
from xingji.core.types import Hotword
from xingji.runtime.hotword_file import HotwordFile

Words = tuple[Hotword, ...]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hotwords.json"


@pytest.fixture
def heard() -> list[Words]:
    """Every table that was announced."""
    return []


@pytest.fixture
def load(path: Path, heard: list[Words]) -> Callable[[], HotwordFile]:
    return lambda: HotwordFile(path, heard.append)


def write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def texts(file: HotwordFile) -> list[str]:
    return [word.text for word in file.table.words]


# -- reading -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"hotwords": ["星纪", "DAC"], "description": "…"}', (Hotword("星纪"), Hotword("DAC"))),
        ('["星纪"]', (Hotword("星纪"),)),
        ('\ufeff["星纪"]', (Hotword("星纪"),)),
        ('{"hotwords": []}', ()),
        (
            '[{"text": "张伟", "weight": 90, "lang": "zh", "aliases": ["章伟"]}, "张伟"]',
            (Hotword("张伟", 90, ("章伟",), "zh"),),
        ),
    ],
    ids=["object", "list", "with a BOM", "empty", "full item, twice"],
)
def test_read(path: Path, load: Callable[[], HotwordFile], heard: list[Words], content: str, words: Words) -> None:
    path.write_text(content, "utf-8")
    file = load()
    assert (file.table.words, file.table.version, file.name) == (words, 1, "hotwords.json")
    assert heard == [words]


def test_a_missing_file_is_an_empty_table(load: Callable[[], HotwordFile], heard: list[Words]) -> None:
    assert (load().table.words, load().table.version) == ((), 1)
    assert heard == [(), ()]


BAD: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("half", '{"hotwords": ["星纪", "DA'.encode()),
    ("cut through a character", '["星'.encode()[:-1]),
    ("not UTF-8", '["星纪"]'.encode("gb18030")),
    ("another shape", b'{"words": []}'),
    ("a bad item", b'["ok", 7]'),
    ("a control character", rb'["a\u0000b"]'),
    ("too deep", b"[" * 100_000),
]


@pytest.mark.parametrize("content", [content for _, content in BAD], ids=[name for name, _ in BAD])
def test_a_bad_file_leaves_the_table(
    path: Path, load: Callable[[], HotwordFile], heard: list[Words], content: bytes
) -> None:
    write(path, ["星纪"])
    file = load()
    before = file.table
    path.write_bytes(content)
    with pytest.raises(XingjiError, match="invalid_hotwords"):
        file.reload()
    assert file.table == before
    write(path, ["星纪"])
    assert file.reload() == before, "the same content again is no change"
    assert len(heard) == 1


def test_a_bad_file_at_start_is_an_empty_table_until_it_is_mended(
    path: Path, load: Callable[[], HotwordFile], heard: list[Words], caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b'["half')
    file = load()
    assert (file.table.words, file.table.version) == ((), 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    write(path, ["星纪"])
    assert file.reload().version == 2
    assert heard == [(), (Hotword("星纪"),)]


def test_a_directory_in_its_place_is_a_bad_file(path: Path, load: Callable[[], HotwordFile]) -> None:
    path.mkdir()  # what a container's volume makes of a file that was not there
    file = load()
    assert texts(file) == []
    with pytest.raises(XingjiError, match="invalid_hotwords"):
        file.reload()


def test_reload_counts_versions(path: Path, load: Callable[[], HotwordFile], heard: list[Words]) -> None:
    write(path, ["a"])
    file = load()
    assert file.reload().version == 1
    write(path, ["b"])
    assert (file.reload().version, texts(file)) == (2, ["b"])
    path.unlink()
    assert (file.reload().version, texts(file)) == (3, []), "asked for, it is no accident"
    assert [len(words) for words in heard] == [1, 1, 0]


# -- changing ------------------------------------------------------------------------

Change = Callable[..., Any]
CHANGES: list[tuple[str, Change, list[str]]] = [
    ("replace", lambda file, *version: file.replace(["c", {"text": "d", "weight": 7}], *version), ["c", "d"]),
    ("add", lambda file, *version: file.add({"hotwords": ["c"]}, *version), ["a", "b", "c"]),
    ("remove", lambda file, *version: file.remove(["a"], *version), ["b"]),
]
changes = pytest.mark.parametrize(
    ("change", "after"), [(change, after) for _, change, after in CHANGES], ids=[name for name, *_ in CHANGES]
)


@changes
@pytest.mark.parametrize("version", [(), (None,), (1,)], ids=repr)
def test_a_change_is_written_announced_and_counted(
    path: Path, load: Callable[[], HotwordFile], heard: list[Words], change: Change, after: list[str], version: Any
) -> None:
    write(path, {"description": "会议", "hotwords": ["a", {"text": "b", "weight": 3}], "owner": {"x": 1}})
    file = load()
    assert change(file, *version) is file.table
    assert (texts(file), file.table.version) == (after, 2)
    assert [word.text for word in heard[-1]] == after
    document = json.loads(path.read_text("utf-8"))
    assert (document["description"], document["owner"]) == ("会议", {"x": 1})
    assert HotwordFile(path, lambda _: None).table.words == file.table.words
    assert file.reload().version == 2, "what was written by ourselves is no edit"
    assert [item.name for item in path.parent.iterdir()] == ["hotwords.json"], "nothing is left behind"


@changes
@pytest.mark.parametrize("version", [0, 2, -1])
def test_a_change_of_another_version_is_refused(
    path: Path, load: Callable[[], HotwordFile], heard: list[Words], change: Change, after: list[str], version: int
) -> None:
    write(path, ["a", "b"])
    file, before = load(), path.read_bytes()
    with pytest.raises(XingjiError, match="version_conflict") as caught:
        change(file, version)
    assert caught.value.detail == {"version": 1}
    assert (path.read_bytes(), texts(file), len(heard)) == (before, ["a", "b"], 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda file: file.replace(["ok", 7]), "invalid_hotwords"),
        (lambda file: file.replace("a, b"), "invalid_hotwords"),
        (lambda file: file.add([{"text": ""}]), "invalid_hotwords"),
        (lambda file: file.remove(["a", "nowhere"]), "not_found"),
        (lambda file: file.remove([]), "not_found"),
    ],
)
def test_a_bad_change_changes_nothing(
    path: Path, load: Callable[[], HotwordFile], heard: list[Words], change: Change, code: str
) -> None:
    write(path, ["a", "b"])
    file, before = load(), path.read_bytes()
    with pytest.raises(XingjiError, match=code):
        change(file)
    assert (path.read_bytes(), texts(file), file.table.version, len(heard)) == (before, ["a", "b"], 1, 1)


def test_adding_a_word_that_is_there_merges_them(path: Path, load: Callable[[], HotwordFile]) -> None:
    write(path, [{"text": "张伟", "aliases": ["章伟"]}])
    file = load()
    file.add([{"text": "张伟", "weight": 90, "lang": "zh", "aliases": ["张维"]}])
    assert file.table.words == (Hotword("张伟", 90, ("章伟", "张维"), "zh"),)


def test_plain_words_stay_plain_in_the_file(path: Path, load: Callable[[], HotwordFile]) -> None:
    full = {"text": "张伟", "weight": 90, "lang": "zh", "aliases": ["章伟"]}
    load().replace(["星纪", {"text": "DAC", "weight": 50}, full])
    assert json.loads(path.read_text("utf-8")) == {"hotwords": ["星纪", "DAC", full]}


def test_a_write_that_fails_leaves_file_and_table(
    path: Path, load: Callable[[], HotwordFile], heard: list[Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, ["a"])
    file, before = load(), path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        file.add(["b"])
    assert (path.read_bytes(), texts(file), file.table.version, len(heard)) == (before, ["a"], 1, 1)
    assert [item.name for item in path.parent.iterdir()] == ["hotwords.json"]


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664])
def test_a_change_keeps_the_permissions(path: Path, load: Callable[[], HotwordFile], mode: int) -> None:
    write(path, ["a"])
    path.chmod(mode)
    load().add(["b"])
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_can_be_read_by_others(path: Path, load: Callable[[], HotwordFile]) -> None:
    load().add(["a"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_readers_never_see_half_a_file(path: Path, load: Callable[[], HotwordFile]) -> None:
    write(path, ["a"])
    file = load()
    over = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not over.is_set():
            seen.append(len(json.loads(path.read_text("utf-8"))))

    reader = in_thread(read)
    for n in range(30):
        file.replace([f"word {i}" for i in range(200 * (n % 2) + 1)])
    over.set()
    reader.join(PATIENCE_S)
    assert seen


def test_changes_from_several_threads_all_count(path: Path, load: Callable[[], HotwordFile]) -> None:
    file = load()

    def add(name: int) -> None:
        for i in range(5):
            file.add([f"{name}-{i}"])

    threads = [in_thread(partial(add, name)) for name in range(4)]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(texts(file)) == sorted(f"{n}-{i}" for n in range(4) for i in range(5))
    assert file.table.version == 21


# -- watching ------------------------------------------------------------------------


class Over(Exception):
    """Ends ``watch``, which has no end of its own."""


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Queue[Callable[[], object]]:
    """What happens to the file while ``watch`` sleeps, one entry a round; then it ends."""
    steps: Queue[Callable[[], object]] = Queue()

    def sleep(_: float) -> None:
        if steps.empty():
            raise Over
        steps.get()()

    monkeypatch.setattr("xingji.runtime.hotword_file.time", SimpleNamespace(sleep=sleep, time=time.time))
    return steps


@pytest.fixture
def watch(load: Callable[[], HotwordFile], path: Path) -> Iterator[Callable[[], HotwordFile]]:
    def watch() -> HotwordFile:
        file = load()
        with pytest.raises(Over):
            file.watch()
        return file

    yield watch


def test_an_edit_is_noticed(
    path: Path, watch: Callable[[], HotwordFile], rounds: Queue[Callable[[], object]], heard: list[Words]
) -> None:
    write(path, ["a"])
    rounds.put(lambda: None)
    rounds.put(lambda: write(path, ["b"]))
    rounds.put(lambda: None)
    rounds.put(lambda: write(path, ["c"]))
    file = watch()
    assert [[word.text for word in words] for words in heard] == [["a"], ["b"], ["c"]]
    assert file.table.version == 3


def test_an_edit_of_the_same_size_and_time_is_noticed(
    path: Path, watch: Callable[[], HotwordFile], rounds: Queue[Callable[[], object]]
) -> None:
    write(path, ["a"])
    was = path.stat()

    def edit() -> None:
        write(path, ["b"])
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))

    rounds.put(edit)
    assert texts(watch()) == ["b"]


def test_a_half_written_or_missing_file_is_passed_over(
    path: Path, watch: Callable[[], HotwordFile], rounds: Queue[Callable[[], object]], heard: list[Words]
) -> None:
    write(path, ["a"])
    rounds.put(lambda: path.write_bytes(b'["a", "b'))
    rounds.put(path.unlink)
    rounds.put(lambda: None)
    rounds.put(path.mkdir)
    rounds.put(path.rmdir)
    rounds.put(lambda: write(path, ["a", "b"]))
    file = watch()
    assert texts(file) == ["a", "b"]
    assert [len(words) for words in heard] == [1, 2], "the table was never empty"


def test_a_file_that_appears_is_noticed(
    path: Path, watch: Callable[[], HotwordFile], rounds: Queue[Callable[[], object]]
) -> None:
    rounds.put(lambda: write(path, ["a"]))
    assert texts(watch()) == ["a"]


def test_our_own_writing_is_no_edit(
    path: Path,
    load: Callable[[], HotwordFile],
    rounds: Queue[Callable[[], object]],
    heard: list[Words],
) -> None:
    write(path, ["a"])
    file = load()
    rounds.put(lambda: file.add(["b"]))
    rounds.put(lambda: None)
    with pytest.raises(Over):
        file.watch()
    assert (file.table.version, len(heard)) == (2, 2)
