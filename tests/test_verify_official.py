"""The report on a set of models: reading check sets, counting errors, and one real run on the pack."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import SPEECH, utterance
from tools import verify_official
from tools.verify_official import Heard, Item
from xingji.core.scoring import cer
from xingji.runtime.models import find
from xingji.runtime.registry import Digest, Locked, Store, official

NAMES = ("name_lintao", "name_zhangwei", "two_sentences")
Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))

    def main(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["verify_official", *map(str, arguments)])
        return verify_official.main()

    return main


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


def heard(text: str, second: str, streamed: str, subset: str = "all", whole: bool = True) -> Heard:
    return Heard(Item(Path("a.wav"), text, subset), 30.0, streamed, second, whole)


def test_a_listing_names_files_beside_it(tmp_path: Path) -> None:
    rows = {"file": "a.wav", "text": "你好"}, {"file": "b/c.wav", "text": "再见", "subset": "far"}
    assert verify_official.listed(write(tmp_path / "set.jsonl", *rows)) == [
        Item(tmp_path / "a.wav", "你好", "all"),
        Item(tmp_path / "b" / "c.wav", "再见", "far"),
    ]


@pytest.mark.parametrize("line", ['{"file": "a.wav"}', "[1]", "no json"])
def test_a_bad_line_of_a_listing_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "set.jsonl").write_text('{"file": "a.wav", "text": "你好"}\n' + line, "utf-8")
    with pytest.raises(ValueError, match=r"set\.jsonl, line 2"):
        verify_official.listed(tmp_path / "set.jsonl")


def test_aishells_test_part_is_read_as_it_is_unpacked(tmp_path: Path) -> None:
    for name in ("test/S0764/BAC009S0764W0121", "test/S0764/BAC009S0764W0999", "train/S0002/BAC009S0002W0122"):
        file = tmp_path / "wav" / f"{name}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "transcript").mkdir()
    lines = "BAC009S0764W0121 甚至 出现 交易\nBAC009S0002W0122 而 对 楼市\n"
    (tmp_path / verify_official.TRANSCRIPT).write_text(lines, "utf-8")
    found = verify_official.aishell(tmp_path)
    assert found == [Item(tmp_path / "wav/test/S0764/BAC009S0764W0121.wav", "甚至 出现 交易", "S0764")]
    assert cer([(found[0].text, "甚至出现交易。")]) == 0


def test_error_rates_are_of_all_characters_and_by_subset() -> None:
    lines = verify_official.accuracy(
        [heard("一二三四", "一二三四", "一二"), heard("五六七八九十", "五六七八九", "", "far")]
    )
    assert lines[2:5] == [
        "| all | 1 | 0.5 | 0.00% | 50.00% |",
        "| far | 1 | 0.5 | 16.67% | 100.00% |",
        "| **all** | 2 | 1.0 | 10.00% | 80.00% |",
    ]
    assert lines[5].endswith("FAIL (≤ 5%) | FAIL (≤ 5%) |")


def test_five_percent_passes_and_more_does_not() -> None:
    text = "一" * 20
    assert verify_official.passed([heard(text, text, text[:19])])
    assert not verify_official.passed([heard(text, text, text[:18])])
    assert not verify_official.passed([heard(text, text[:18], text)])
    assert not verify_official.passed([heard(text, text, text, whole=False)])


def test_official_models_are_named_with_their_locked_revision(tmp_path: Path) -> None:
    store, locks = Store(tmp_path / "ms", tmp_path / "hf"), {}
    for id, entry in official().items():
        folder = store.folder("modelscope", entry.repo)
        folder.mkdir(parents=True)
        (folder / "model.pt").write_bytes(id.encode())
        (folder / "config.yaml").touch()
        files = {"model.pt": Digest(size=len(id), sha256=hashlib.sha256(id.encode()).hexdigest())}
        locks[id] = Locked(hub="modelscope", repo=entry.repo, revision="v9", files=files)
    store.lock(locks)
    lines = verify_official.identity(find("official", store), store)
    for id, line in zip(official(), lines[2:6], strict=True):
        assert f"modelscope {locks[id].repo}@v9" in line
        assert locks[id].files["model.pt"].sha256 in line


def test_the_report_on_the_pack(models: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = [utterance(name) for name in NAMES]
    rows = [{"file": str(SPEECH / f"{one.name}.wav"), "text": one.spoken, "subset": one.name} for one in said]
    status = run("--models", models, "--set", write(tmp_path / "set.jsonl", *rows), "--paced", 1, "--clients", 2)
    report = capsys.readouterr().out
    cells = {row[0]: row[1:] for row in (re.split(r" *\| *", line)[1:-1] for line in report.splitlines()) if row}
    for name in NAMES:
        assert cells[name][0] == "1"
    assert cells["**all**"][:2] == ["3", f"{sum(one.milliseconds for one in said) / 60_000:.1f}"]
    second, streamed = (float(rate.rstrip("%")) for rate in cells["**all**"][2:])
    assert second <= 10 and streamed <= 25, report
    assert status == (0 if second <= 5 and streamed <= 5 else 1)
    assert cells["**verdict**"][2:] == [("pass" if rate <= 5 else "FAIL") + " (≤ 5%)" for rate in (second, streamed)]
    assert "Recordings in which a stage failed: 0" in report
    assert 0 < float(cells["real-time factor, 2 at a time"][0]) < 5
    for wait in ("first text", "second pass", "final"):
        assert re.fullmatch(r"\d+ / \d+ / \d+", cells[f"{wait} p50/p95/p99 ms"][0])
    assert re.fullmatch(r"gateway \d+, (stream|segment) \d+, (stream|segment) \d+", cells["RSS MB"][0])
    for part in ("vad", "paraformer", "punc", "sensevoice"):
        assert cells[part][0] == f"directory/{part}"
        assert cells[part][3].strip("`") == hashlib.sha256((models / part / "model.pt").read_bytes()).hexdigest()


def test_what_is_missing_is_said_and_nothing_starts(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--models", tmp_path) == 2
    assert "missing in the model directory" in capsys.readouterr().err
    assert run("--models", tmp_path, "--set", tmp_path / "none.jsonl") == 2
    with pytest.raises(SystemExit):
        run("--set", write(tmp_path / "empty.jsonl"))
