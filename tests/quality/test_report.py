"""The report and the picture, and a whole run against a real server whose truth is known."""

import json
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support import SPEECH, Server, utterance
from tools.quality import __main__ as command
from tools.quality import manifest
from tools.quality.chart import Bar, svg
from tools.quality.heard import Heard, Sentence
from tools.quality.manifest import Clip
from tools.quality.measure import measure
from tools.quality.rates import Interval
from tools.quality.report import Report

SVG = "{http://www.w3.org/2000/svg}"


def heard(streamed: str, second: str, corrected: str | None = None) -> Heard:
    readings = {"streamed": streamed, "second_pass": second, "corrected": corrected or second}
    told = readings["corrected"]
    return Heard(6.0, (Sentence(1, 0.5, 2.0, readings),), corrected is not None, settled={1: told}, merged=told)


def report() -> Report:
    clips = [Clip("a", Path("a.wav"), "今天天气好。"), Clip("b", Path("b.wav"), "走吧。")]
    plain = [heard("今天天汽好", "今天天汽好。", "今天天气好。"), heard("走把", "走吧。", "走把。")]
    made = Report("mini pack", "a machine", "2026-11-26", "python -m tools.quality", ["A note."])
    made.figures["mine"] = measure("mine", clips, plain, [(), ()])
    made.figures["mine, list"] = measure("mine, list", clips, plain, [("天气",), ("天气",)])
    made.figures["nobody speaks"] = measure("nobody speaks", [Clip("n", Path("n.wav"), "")], [Heard(30.0)], [()])
    made.bases = {"mine, list": "mine"}
    return made


def test_the_report_says_what_was_counted_by_hand() -> None:
    text = report().text()
    text = re.sub(r" \([^()|]*–[^()|]*\)| \([^()|]* … [^()|]*\)", "", text)  # the intervals
    assert "| mine | 2 | 7 | 28.57, 44.4 % | 14.29, 11.1 % | 14.29, 11.1 % |" in text
    assert "| mine | second pass → corrected | +0.00 | 2 | 2 | 1 | 1 | 50.0 % | +0 |" in text
    assert "| mine, list | second pass | 1 | 1 | 0.0 % | – | 50.0 % | 0.0 % |" in text
    assert "| mine, list | corrected | 1 | 1 | 100.0 % | 100.0 % | 0.0 % | 20.0 % |" in text
    assert "| mine | streamed | – | 0.0 % | 0.0 % | 0.0 % (2) |" in text
    assert "| nobody speaks | 0.5 | 0.00 | 0.00 | – | 0.00 |" in text
    assert "Word times not given (by the labels or by the server): mine." in text
    assert "Of the LLM's edits 0 were refused." in text
    assert "A note." in text and text.endswith("\n")


def test_every_row_of_a_table_has_the_columns_of_its_head() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", report().text(), re.M)
    assert len(tables) == 7
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table


def test_the_picture_has_a_bar_for_each_stage_as_long_as_its_rate() -> None:
    bars = [Bar("平 & so", {"streamed": Interval(0.1, 0.05, 0.2), "second_pass": Interval(0.05, 0.01, 0.1)})]
    root = ET.fromstring(svg("Rates", [*bars, Bar("none", {})]))
    each = [(one.get("class"), float(one.get("width", 0))) for one in root.iter(f"{SVG}rect")]
    widths = dict(each[2:])  # after the two of the legend
    assert widths["streamed"] == pytest.approx(2 * widths["second_pass"], abs=0.2)
    texts = [one.text for one in root.iter(f"{SVG}text")]
    assert {"Rates", "平 & so", "none", "10.0", "5.0", "streamed", "second pass"} <= set(texts)
    assert ET.fromstring(svg("Nothing", [])) is not None


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    """Recordings that the pack reads without a mistake, and truths of our own making about them."""
    said = {name: utterance(name) for name in ("clock", "name_lintao", "phone")}
    assert all(one.exact for one in said.values())
    for name in said:
        shutil.copy(SPEECH / f"{name}.wav", tmp_path)
    other = said["name_lintao"].written.replace("林涛", "林滔")
    wrong = said["phone"].written.replace("我的", "你")  # one replaced and one too many in what is heard
    clips = [
        Clip("clock", tmp_path / "clock.wav", said["clock"].written, language="zh"),
        Clip("name", tmp_path / "name_lintao.wav", other, hotwords=("林滔",)),
        Clip("phone", tmp_path / "phone.wav", wrong),
    ]
    manifest.write(tmp_path / "mine.jsonl", clips)
    return tmp_path / "mine.jsonl"


@pytest.mark.models
def test_a_run_against_a_real_server_counts_what_is_known(
    server: Server, listing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: tmp_path / f"out.{name}" for name in ("md", "json", "svg")}
    options = [str(listing), "--server", server.url, "--noisy", "0", "--non-speech", "0.5", "--unrelated", "20"]
    options += ["--folder", str(tmp_path / "made"), "--out", str(files["md"]), "--json", str(files["json"])]
    options += ["--picture", str(files["svg"])]
    monkeypatch.setattr(sys, "argv", ["quality", *options])
    assert command.main() == 0
    assert capsys.readouterr().out.startswith("# Quality") and files["md"].read_text("utf-8").startswith("# Quality")
    assert ET.parse(files["svg"]) is not None
    runs = {run["name"]: run for run in json.loads(files["json"].read_text("utf-8"))["runs"]}
    assert list(runs) == ["mine", "mine, list", "mine, 20 unrelated words", "nobody speaks"]
    plain, listed, strange = (runs[name]["stages"]["second_pass"] for name in list(runs)[:3])
    characters = runs["mine"]["characters_said"]
    assert (plain["edits"], listed["edits"], strange["edits"]) == (3, 2, 3)
    assert plain["cer"]["value"] == pytest.approx(3 / characters)
    assert listed["against_base"]["value"] == pytest.approx(-1 / characters)
    assert (listed["hotwords"]["recall"], listed["hotwords"]["precision"]) == (1, 1)
    assert strange["against_base"]["value"] == 0
    assert plain["punctuation"]["all"]["f1"] == 1
    assert runs["nobody speaks"]["stages"]["second_pass"]["inserted_per_minute"] == 0
    assert not any(run["failed"] for run in runs.values())

    monkeypatch.setattr(
        sys, "argv", ["quality", *options, "--unrelated", "0", "--non-speech", "0", "--fail-above", "5"]
    )
    assert 100 * 3 / characters > 5 and command.main() == 1
    assert "above 5 %" in capsys.readouterr().err


def test_what_cannot_be_used_is_said_in_a_sentence(
    listing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = [
        "--server",
        "http://127.0.0.1:9",
        "--noisy",
        "0",
        "--non-speech",
        "0",
        "--folder",
        str(tmp_path / "made"),
    ]
    monkeypatch.setattr(sys, "argv", ["quality", str(listing), *nowhere])
    assert command.main() == 1
    assert "no server of ours at http://127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["quality", str(tmp_path)])
    assert command.main() == 1
    assert "is no manifest" in capsys.readouterr().err
