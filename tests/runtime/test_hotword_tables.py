"""Named tables: found by id, changed through files or calls, kept by who uses them, and never outside their folder."""

import gc
import json
import os
from pathlib import Path

import pytest

from tests.runtime.fakes import Unpronounceable
from xingji.core.errors import XingjiError
from xingji.core.types import Hotword, Stage
from xingji.runtime import hotword_tables
from xingji.runtime.hotword_tables import HotwordTables


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tables"


@pytest.fixture
def tables(folder: Path) -> HotwordTables:
    return HotwordTables(folder, Unpronounceable())


def write(folder: Path, id: str, content: str) -> None:
    """As an editor does, with a time of change that differs from the one before."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{id}.json"
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(content, "utf-8")
    os.utime(path, ns=(before + 10**9, before + 10**9))


def texts(tables: HotwordTables, id: str) -> list[str]:
    return [word.text for word in tables.read(id).words]


def code(error: pytest.ExceptionInfo[XingjiError]) -> tuple[str, str | None]:
    return error.value.code, error.value.field


# -- making and changing --------------------------------------------------------------------


def test_without_a_folder_there_are_no_tables(tables: HotwordTables, folder: Path) -> None:
    assert tables.all() == {}
    assert not folder.exists()


def test_a_table_with_an_id_of_its_own(tables: HotwordTables, folder: Path) -> None:
    id, table = tables.create({"id": "names", "hotwords": ["张玮", {"text": "DAC", "weight": 80}]}, "names")
    assert (id, table.words) == ("names", (Hotword("张玮"), Hotword("DAC", 80)))
    assert json.loads((folder / "names.json").read_text("utf-8")) == {
        "hotwords": ["张玮", {"text": "DAC", "weight": 80}]
    }
    assert HotwordTables(folder, Unpronounceable()).read("names").words == table.words, "after a restart"
    assert [*tables.all()] == ["names"]


def test_ids_that_are_made_here_differ(tables: HotwordTables) -> None:
    made = {tables.create(["甲"])[0], tables.create(["甲"])[0]}
    assert len(made) == 2 and {*tables.all()} == made
    assert all(hotword_tables.ID.fullmatch(id) for id in made)


@pytest.mark.parametrize("id", ["", "a/b", "../names", ".", "表", "x" * 81, "a\n", "a.json", 7, ["a"], {}], ids=repr)
def test_bad_ids_make_and_find_nothing(tables: HotwordTables, folder: Path, id: object) -> None:
    folder.mkdir()
    (folder.parent / "names.json").write_text('["外面"]', "utf-8")
    with pytest.raises(XingjiError) as caught:
        tables.create(["甲"], id)
    assert code(caught) == ("invalid_hotwords", "id")
    assert [*folder.iterdir()] == []
    if isinstance(id, str):
        for use in (tables.read, tables.index, tables.delete, lambda id: tables.replace(id, [])):
            with pytest.raises(XingjiError, match="not_found"):
                use(id)


def test_an_id_is_taken_once(tables: HotwordTables) -> None:
    _, first = tables.create(["甲"], "names")
    with pytest.raises(XingjiError, match="version_conflict") as caught:
        tables.create(["乙"], "names")
    assert caught.value.detail == {"version": first.version}
    assert texts(tables, "names") == ["甲"]


def test_bad_words_make_no_table_and_change_none(tables: HotwordTables) -> None:
    with pytest.raises(XingjiError) as caught:
        tables.create([{"text": "甲", "weight": 101}], "names")
    assert code(caught) == ("invalid_hotwords", "hotwords[0].weight")
    assert tables.all() == {}
    tables.create(["甲"], "names")
    with pytest.raises(XingjiError, match="invalid_hotwords"):
        tables.replace("names", [1])
    assert texts(tables, "names") == ["甲"]


def test_there_is_a_limit(tables: HotwordTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotword_tables, "MOST_TABLES", 2)
    tables.create(["甲"])
    tables.create(["甲"], "names")
    with pytest.raises(XingjiError, match="invalid_hotwords"):
        tables.create(["甲"])
    tables.delete("names")
    tables.create(["甲"])


def test_replacing_raises_the_version_and_keeps_what_is_not_ours(tables: HotwordTables, folder: Path) -> None:
    write(folder, "names", '{"hotwords": ["甲"], "note": "kept"}')
    before = tables.read("names").version
    assert tables.replace("names", ["乙"], before).version > before
    assert json.loads((folder / "names.json").read_text("utf-8")) == {"hotwords": ["乙"], "note": "kept"}
    for change in (lambda: tables.replace("names", [], before), lambda: tables.delete("names", before)):
        with pytest.raises(XingjiError, match="version_conflict"):
            change()
    assert texts(tables, "names") == ["乙"]
    tables.delete("names", tables.read("names").version)
    assert tables.all() == {} and not [*folder.iterdir()]


# -- the folder is the truth -------------------------------------------------------------------


def test_what_happens_in_the_folder_counts_at_the_next_use(tables: HotwordTables, folder: Path) -> None:
    write(folder, "names", '["甲"]')
    assert texts(tables, "names") == ["甲"]
    write(folder, "names", '["乙"]')
    assert texts(tables, "names") == ["乙"]
    (folder / "names.json").unlink()
    with pytest.raises(XingjiError, match="not_found"):
        tables.read("names")
    write(folder, "names", '["丙"]')
    assert texts(tables, "names") == ["丙"]


def test_a_half_written_file_changes_nothing(tables: HotwordTables, folder: Path) -> None:
    write(folder, "names", '["甲"]')
    kept = tables.read("names")
    write(folder, "names", '["乙')
    assert tables.read("names") is kept
    write(folder, "names", '["乙"]')
    assert texts(tables, "names") == ["乙"]


def test_other_files_are_no_tables(tables: HotwordTables, folder: Path) -> None:
    write(folder, "names", "[]")
    write(folder, "会议", "[]")
    (folder / "names.txt").write_text("[]", "utf-8")
    (folder / ".hotwords-abc").write_text("[]", "utf-8")
    assert [*tables.all()] == ["names"]


# -- in use ---------------------------------------------------------------------------------------


def mended(tables: HotwordTables, id: str) -> str:
    return tables.index(id).mend("星际", Stage.SECOND_PASS)[0]


def test_an_index_is_shared_while_it_is_used_and_made_anew_after_a_change(tables: HotwordTables, folder: Path) -> None:
    tables.create([{"text": "星纪", "aliases": ["星际"]}], "names")
    used = tables.index("names")
    assert tables.index("names") is used
    tables.replace("names", [{"text": "新机", "aliases": ["星际"]}])
    assert mended(tables, "names") == "新机"
    assert used.mend("星际", Stage.SECOND_PASS)[0] == "星纪", "who has it keeps it"
    write(folder, "names", "[]")
    assert mended(tables, "names") == "星际"
    tables.delete("names")
    tables.create([{"text": "行迹", "aliases": ["星际"]}], "names")
    assert mended(tables, "names") == "行迹"


def test_an_index_that_nobody_uses_is_let_go(tables: HotwordTables) -> None:
    tables.create(["星纪"], "names")
    tables.index("names")
    gc.collect()
    assert len(tables._indexes) == 0
