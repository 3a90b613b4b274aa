"""The detector's report: its arithmetic, and one run on the pack whose labels are known."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support import ROOT, SPEECH
from tools import vad_report
from tools.vad_report import Agreement, Clip, Found

SPANS = [(100, 900), (2_000, 3_000)]


def test_edges_that_lie_close_agree_and_the_rest_are_named() -> None:
    other = [(110, 880), (1_200, 1_500), (2_000, 3_000)]
    assert vad_report.agreement(SPANS, other, 25) == Agreement(6, 4, 20, [], [1_200, 1_500])
    assert vad_report.agreement(other, SPANS, 25) == Agreement(6, 4, 20, [1_200, 1_500], [])
    assert vad_report.agreement(SPANS, other, 15).ours == [900]


def test_an_edge_agrees_with_one_other_only() -> None:
    assert vad_report.agreement([(0, 100), (10, 200)], [(0, 100)], 25) == Agreement(4, 2, 0, [10, 200], [])


def test_nothing_found_agrees_with_nothing() -> None:
    assert vad_report.agreement([], SPANS, 25) == Agreement(4, 0, 0, [], [100, 900, 2_000, 3_000])


def test_offsets_carry_their_sign() -> None:
    assert vad_report.offsets([90, 2_100], [100, 2_000]) == [-10, 100]


def test_missed_and_false_speech_is_counted_in_milliseconds() -> None:
    clip = Clip("clip", np.zeros(5 * 16_000, np.int16), [(200, 1_000), (1_300, 2_000), (4_000, 4_500)], None)
    found = Found([(100, 1_900)], [2_750])
    lines = vad_report.against_labels([(clip, found, clip.speech or [])], 800)
    # 600 ms are missed; 100 ms before the onset and a pause of 300 ms are covered beyond speech.
    assert lines[2] == "| clip | 2.0 | 600 | 400 | 300 | -100 | -100 | 750 |"
    assert lines[3].startswith("| all | 2.0 | 600 (30.0%) | 400 (20.0%) | 300 (15.0%) |")


def test_an_end_made_by_the_recordings_end_is_no_endpoint() -> None:
    clip = Clip("clip", np.zeros(16_000, np.int16), [(200, 900)], None)
    assert vad_report.against_labels([(clip, Found([(200, 1_000)], [1_000]), [(200, 900)])], 800)[2].endswith(
        "| +0 |  |  |"
    )


def test_the_detector_does_on_the_packs_speech_what_funasr_does(models: Path, tmp_path: Path) -> None:
    said = json.loads((ROOT / "tests" / "data" / "speech.json").read_text("utf-8"))[:2]
    rows = [
        {"file": str(SPEECH / item["file"]), "speech_ms": [[s["begin_ms"], s["end_ms"]] for s in item["sentences"]]}
        for item in said
    ]
    listing = tmp_path / "listing.jsonl"
    listing.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    lines = vad_report.report(models / "vad", listing, 800)
    assert lines[0].startswith("FsmnVADStreaming") and "2 clips" in lines[0]
    for item, line in zip(said, lines[4:6], strict=True):
        name, _, segments, edges, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        assert (name, segments) == (item["file"][:-4], str(len(item["sentences"])))
        agree, of = edges.split(" / ")
        assert agree == of
    missed = lines[-1].split("|")[3]
    assert float(missed.split("(")[1].rstrip("%) ")) < 2


def test_a_wav_of_another_rate_is_refused(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
    (tmp_path / "l.jsonl").write_text('{"file": "a.wav"}', "utf-8")
    with pytest.raises(ValueError, match="16 kHz"):
        vad_report.clips(tmp_path / "l.jsonl")
