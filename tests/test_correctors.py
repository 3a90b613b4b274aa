"""The report on correctors, on a few sentences whose figures are known."""

import json
import sys
from pathlib import Path

import pytest

from tools.quality import correctors, harmless
from tools.quality.correctors import Correctors, corrected, difference, held_out, item, read, scored, share
from xingji.engines.lexicon import Jieba

SAID = [
    ("BAC009S0001W0001", "今天天气很好", "今天天汽很好", "今天天气很好"),
    ("BAC009S0002W0001", "我们明天去公园散步", "我们明天去公圆散步", "我们明天去公圆散步"),
    ("BAC009S0002W0002", "今天天气很好大家都来", "今天天汽很好大家都来", "今天天气很好大家都来"),
    ("BAC009S0002W0003", "请把会议的时间告诉他", "请把会议的时间告诉他", "请把会议的时间告诉她"),
]


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "hypotheses.jsonl"
    rows = [{"id": id, "reference": truth, "attention": a, "ctc_greedy": b, "rescoring": a} for id, truth, a, b in SAID]
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


def test_figures() -> None:
    utterances = [correctors.Utterance("s", "今天天气", {}), correctors.Utterance("s", "你好", {})]
    before, after = scored(utterances, ["今天天汽。", "你号"]), scored(utterances, ["今天天气", "你号"])
    assert (before.errors.tolist(), after.errors.tolist(), before.lengths.tolist()) == ([1, 1], [0, 1], [4, 2])
    assert (round(before.cer, 2), round(after.cer, 2)) == (33.33, 16.67)
    change, low, high = difference(before, after)
    assert low <= change <= high == 0.0 and round(change, 2) == -16.67
    assert share([]) == "–" and share([True, False]).startswith("50.0 % (0.0–100.0)")


def test_the_speakers_who_chose_constants_are_left_out(listing: Path) -> None:
    assert [u.speaker for u in held_out(read(listing))] == ["S0002"] * 3


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ((3, 4, "气"), {"from": "天", "to": "气", "n": 3}),
        ((2, 2, "的"), {"from": "天", "to": "天的", "n": 1}),
        ((0, 0, "在"), {"from": "今", "to": "在今", "n": 1}),
    ],
)
def test_an_edit_as_a_model_writes_it(place: tuple[int, int, str], written: dict[str, object]) -> None:
    assert item("今天天天", *place) == written


def test_the_one_that_knows_the_truth_mends_and_the_careless_ones_do_nothing() -> None:
    bases, others = [row[2] for row in SAID], [row[3] for row in SAID]
    truths = {row[2]: row[1] for row in SAID}
    by_name = Correctors(truths, dict(zip(bases, others, strict=True)), 1).by_name
    assert corrected(bases, others, by_name["knows the truth"]).texts == [row[1] for row in SAID]
    for name in ("rewrites", "answers", "obeys the speech", "truncates", "garbles"):
        outcome = corrected(bases, others, by_name[name])
        assert outcome.texts == bases and outcome.stood and not any(outcome.stood), name


def test_the_report(listing: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["correctors", str(listing)])
    correctors.main()
    told = capsys.readouterr().out
    assert told.startswith("3 utterances")
    rows = {line.split(" | ")[0].strip("| "): line for line in told.splitlines() if line.startswith("|")}
    # Two errors in 29 characters; the vote mends one of them, and the corrector that knows the other mends that.
    assert "| attention | ctc_greedy | 6.90 % | 3.45 % | -3.45" in told
    assert "| 100.0 % (100.0–100.0) | 1 | 1 | 0 | 0.0 %" in rows["knows the truth"]
    assert "| 0.0 % (0.0–0.0) | 0 | 0 | 0 | –" in rows["obeys the speech"]


def test_words_that_nobody_said(
    listing: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["harmless", str(listing)])
    monkeypatch.setattr(harmless, "SIZES", (5, 50))
    harmless.main()
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "4 sentences, 3 errors, CER 8.57 %"
    assert [line.split(" | ")[0] for line in told[4:]] == ["| 5", "| 50"]
    words = harmless.unsaid(read(listing), Jieba(), 200, 1)
    assert len(words) == 200 and not any(word.text in row[1] for word in words for row in SAID)
