"""The shipped pack and the frozen recordings are the bytes that were measured."""

from __future__ import annotations

import hashlib
import json
import wave
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACK = ROOT / "xingji/minipack"
MODELS = ("vad", "punc", "paraformer", "sensevoice")
LARGEST_PACK = 15_000_000
LARGEST_RECORDINGS = 5_000_000


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return json.loads((PACK / "manifest.json").read_text())


@pytest.fixture(scope="module")
def recordings() -> list[dict[str, Any]]:
    return json.loads((ROOT / "tests/data/speech.json").read_text())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_manifest_names_every_file_and_its_bytes(manifest: dict[str, Any]) -> None:
    present = {
        path.relative_to(PACK).as_posix() for name in MODELS for path in (PACK / name).iterdir() if path.is_file()
    }
    assert set(manifest["files"]) == present
    for name, entry in manifest["files"].items():
        assert (PACK / name).stat().st_size == entry["bytes"], name
        assert digest(PACK / name) == entry["sha256"], name


def test_the_pack_is_small(manifest: dict[str, Any]) -> None:
    total = sum(entry["bytes"] for entry in manifest["files"].values())
    assert manifest["bytes"] == total <= LARGEST_PACK


@pytest.mark.parametrize("name", MODELS)
def test_every_model_brings_what_its_configuration_names(name: str) -> None:
    configuration = json.loads((PACK / name / "configuration.json").read_text())

    def files(node: Any) -> list[str]:
        return [node] if isinstance(node, str) else [file for part in node.values() for file in files(part)]

    for file in files(configuration["file_path_metas"]):
        assert (PACK / name / file).is_file()


def test_the_manifest_says_what_the_pack_is_for(manifest: dict[str, Any]) -> None:
    assert manifest["licence"] == "Apache-2.0"
    assert "espeak-ng" in manifest["note"]["en"] and "espeak-ng" in manifest["note"]["zh"]


# What the other tests lean on, of the basic part of the domain, on held-out sentences and voices.


@pytest.mark.parametrize("condition, second_pass, streaming", [("clean", 0.02, 0.05), ("noisy", 0.03, 0.07)])
def test_it_recognises_what_it_never_heard(
    manifest: dict[str, Any], condition: str, second_pass: float, streaming: float
) -> None:
    held_out = manifest["held_out"]
    second = {name: rate for name, rate in held_out["second_pass_cer"].items() if name.endswith(condition)}
    streamed = {name: rate for name, rate in held_out["streaming_cer"].items() if name.endswith(condition)}
    assert len(second) == len(streamed) == 2
    assert max(second.values()) <= second_pass and max(streamed.values()) <= streaming, (second, streamed)


def test_it_seldom_invents_a_first_character(manifest: dict[str, Any]) -> None:
    invented, streams = map(int, manifest["held_out"]["invented_first_character"].split("/"))
    assert streams >= 400 and invented / streams <= 0.01


def test_it_marks_sentences(manifest: dict[str, Any]) -> None:
    assert all(manifest["held_out"]["punctuation_f1"][mark] >= 0.93 for mark in "，。？")


@pytest.mark.parametrize("condition", ["clean", "snr_30_db", "snr_15_db"])
def test_it_finds_where_speech_begins_and_ends(manifest: dict[str, Any], condition: str) -> None:
    found = manifest["held_out"]["vad"][condition]
    assert abs(found["found"] - found["expected"]) <= 1
    for edge in ("begin_error_ms", "end_error_ms"):
        early, median, late = found[edge]
        assert abs(median) <= 80, (edge, found)
        assert early >= -100 and late <= 100, (edge, found)


def test_it_takes_nothing_else_for_speech(manifest: dict[str, Any]) -> None:
    alarms = manifest["held_out"]["vad"]["false_alarms"]
    assert {"silence", "noise", "tone", "music", "tune"} <= set(alarms)
    assert not any(int(share.split("/")[0]) for share in alarms.values()), alarms


def test_the_wide_part_is_measured_apart(manifest: dict[str, Any]) -> None:
    wide = manifest["held_out"]["wide"]
    assert max(wide["second_pass_cer"].values()) <= 0.10 and max(wide["streaming_cer"].values()) <= 0.20


def test_the_recordings_are_the_frozen_ones(recordings: list[dict[str, Any]]) -> None:
    folder = ROOT / "tests/data/speech"
    assert {row["file"] for row in recordings} == {path.name for path in folder.glob("*.wav")}
    for row in recordings:
        assert digest(folder / row["file"]) == row["sha256"], row["file"]
    assert sum((folder / row["file"]).stat().st_size for row in recordings) <= LARGEST_RECORDINGS


def test_the_recordings_are_16_khz_mono_and_hold_their_sentences(recordings: list[dict[str, Any]]) -> None:
    for row in recordings:
        with wave.open(str(ROOT / "tests/data/speech" / row["file"])) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
            length_ms = sound.getnframes() / 16
        times = [time for sentence in row["sentences"] for time in (sentence["begin_ms"], sentence["end_ms"])]
        assert times == sorted(times)
        assert times[0] >= 500 and times[-1] <= length_ms - 1200, row["file"]


def test_some_recordings_are_known_to_come_out_exactly(recordings: list[dict[str, Any]]) -> None:
    assert all(isinstance(row["exact"], bool) for row in recordings)
    assert sum(row["exact"] for row in recordings) >= len(recordings) // 2
