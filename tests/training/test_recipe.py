"""Parts of the recipe that decide what is learnt and what is measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from training.minipack import corpus, provenance, recordings, speech, vocabulary
from training.minipack.__main__ import MADE_BY, Recipe
from training.minipack.evaluate import invents_first
from training.minipack.grammar import ENGLISH, units, written_characters
from training.minipack.vad import BEGIN_DELAY, END_ADVANCE, shorten

RECORDINGS = Path(__file__).parents[1] / "data" / "speech"
INDEX = RECORDINGS.with_suffix(".json")
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def labels(*runs: tuple[int, int]) -> np.ndarray:
    """Runs of (label, frames)."""
    return np.concatenate([np.full(frames, label, np.uint8) for label, frames in runs])


def test_speech_is_labelled_shorter_at_both_ends() -> None:
    before, after = (0, 20 + BEGIN_DELAY), (0, 30 + END_ADVANCE)
    expected = labels(before, (1, 50 - BEGIN_DELAY - END_ADVANCE), after)
    assert np.array_equal(shorten(labels((0, 20), (1, 50), (0, 30))), expected)


def test_speech_too_short_for_that_becomes_background() -> None:
    assert not shorten(labels((0, 20), (1, BEGIN_DELAY + END_ADVANCE), (0, 20))).any()


def test_speech_cut_by_the_sequence_is_not_shortened_there() -> None:
    assert np.array_equal(shorten(labels((1, 30))), labels((1, 30)))


@pytest.mark.parametrize(
    "expected, heard, invented",
    [
        ("打开空调", "打开空调", False),
        ("打开空调", "打打开空调", True),
        ("打开空调", "请打开空调", True),
        ("打开空调", "开空调", False),
        ("打开空调", "达开空调", False),
        ("谢谢大家", "谢谢大家", False),
        ("谢谢大家", "谢谢谢大家", True),
        ("打开空调", "", False),
    ],
)
def test_what_counts_as_an_invented_first_character(expected: str, heard: str, invented: bool) -> None:
    assert invents_first(expected, heard) is invented


def test_the_second_pass_vocabulary_has_one_piece_for_every_unit() -> None:
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.sentencepiece_model())
    ids = [pieces.piece_to_id(piece) for piece in (*written_characters(), *ENGLISH)]
    assert 0 not in ids and len(set(ids)) == len(ids)
    text = "请用Python检查PPT，OK？3点"
    assert pieces.decode([pieces.piece_to_id(unit) for unit in units(text)]) == text


def test_pauses_lie_between_the_sentences_only() -> None:
    wave = corpus._with_pauses([np.ones(100, np.float32)] * 3, Random(1))
    edges = np.flatnonzero(np.diff(np.pad(wave, 1)))
    assert len(edges) == 6 and edges[0] == 0 and edges[-1] == len(wave)
    pauses = np.diff(edges)[1::2] / speech.SAMPLE_RATE
    assert all(0.19 < pause <= 1.0 for pause in pauses)


@needs_espeak
def test_capitals_are_read_letter_by_letter() -> None:
    voice = speech.Voice("m8", 170, 50, 0)
    assert np.array_equal(speech.speak("打开API。", voice), speech.speak("打开A P I。", voice))
    assert not np.array_equal(speech.speak("打开Api。", voice), speech.speak("打开A P I。", voice))


@needs_espeak
def test_frozen_recordings_are_never_written_again_and_new_ones_are_added(tmp_path: Path) -> None:
    rows = json.loads(INDEX.read_text("utf-8"))
    index = tmp_path / "speech.json"
    index.write_text(json.dumps(rows[:-1]), "utf-8")
    recordings.freeze(tmp_path / "speech", index)
    assert [path.name for path in (tmp_path / "speech").iterdir()] == [rows[-1]["file"]]
    made = json.loads(index.read_text("utf-8"))
    assert made[:-1] == rows[:-1]
    assert made[-1] == {**rows[-1], "exact": None}


def test_a_changed_recording_is_named(tmp_path: Path) -> None:
    rows = json.loads(INDEX.read_text("utf-8"))
    for row in rows[:2]:
        shutil.copy(RECORDINGS / row["file"], tmp_path)
    index = tmp_path / "speech.json"
    index.write_text(json.dumps(rows[:2]), "utf-8")
    assert recordings.changed(tmp_path, index) == []
    with (tmp_path / rows[1]["file"]).open("ab") as file:
        file.write(b"\0")
    assert recordings.changed(tmp_path, index) == [rows[1]["file"]]


def test_a_stage_is_kept_while_its_sources_are_the_same_and_thrown_away_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Small(Recipe):
        def stages(self) -> dict[str, tuple[Path | None, Any]]:
            def make(name: str) -> Any:
                def run() -> None:
                    made.append(name)
                    (self._work / name).mkdir(parents=True, exist_ok=True)
                    (self._work / name / "done").touch()

                return run

            return {
                "vad": (self._work / "vad/done", make("vad")),
                "punctuation": (self._work / "punctuation/done", make("punctuation")),
                "pack": (None, make("pack")),
            }

    recipe = Small(tmp_path, tmp_path / "out")
    recipe.run()
    (tmp_path / "vad" / "half").touch()
    recipe.run()
    assert made == ["vad", "punctuation", "pack", "pack"]
    digest = provenance.digest
    monkeypatch.setattr(provenance, "digest", lambda modules: "0" * 64 if modules == ["vad"] else digest(modules))
    recipe.run()
    assert made[4:] == ["vad", "pack"]
    assert not (tmp_path / "vad" / "half").exists()
    recipe.run(only=["punctuation"])
    assert made[6:] == []


def test_a_digest_covers_what_a_module_imports_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provenance.closure(["vad"]) == {"vad", "corpus", "features", "grammar", "optimise", "sounds", "speech"}
    assert "vad" not in provenance.closure(MADE_BY["sensevoice"])
    assert all("evaluate" not in provenance.closure(modules) for modules in MADE_BY.values())
    sources = Path(shutil.copytree(provenance.SOURCES, tmp_path / "minipack"))
    before = {stage: provenance.digest(modules) for stage, modules in MADE_BY.items()}
    monkeypatch.setattr(provenance, "SOURCES", sources)
    assert {stage: provenance.digest(modules) for stage, modules in MADE_BY.items()} == before
    (sources / "punctuation.py").write_text("")
    changed = [stage for stage, modules in MADE_BY.items() if provenance.digest(modules) != before[stage]]
    assert changed == ["punctuation"]
    (sources / "grammar.py").write_text("")
    assert all(provenance.digest(modules) != before[stage] for stage, modules in MADE_BY.items())
    assert provenance.commit() is None
