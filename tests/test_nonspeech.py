"""The report on what becomes text: short, on the models that are there."""

from pathlib import Path

import numpy as np
import pytest

from tests.support import SPEECH
from tools import nonspeech
from tools.replay import Engines, read


@pytest.fixture(scope="module")
def engines(models: Path) -> Engines:
    return Engines(models)


def test_no_sound_becomes_text(engines: Engines) -> None:
    """Each kind once at some loudness; ``python -m tools.nonspeech`` plays half an hour."""
    found = nonspeech.nonspeech(engines, minutes=len(nonspeech.KINDS) * nonspeech.PIECE_S / 60)
    assert set(found) == set(nonspeech.KINDS) and all(heard.seconds == nonspeech.PIECE_S for heard in found.values())
    assert [text for heard in found.values() for text in (*heard.shown, *heard.settled)] == []


def test_quiet_and_noisy_speech_stays(engines: Engines) -> None:
    files = [SPEECH / "name_lintao.wav", SPEECH / "question.wav"]
    rows = list(nonspeech.quiet_and_noisy(engines, files))
    assert [name for name, _, _ in rows] == [
        "as it is",
        "-10 dB",
        "-20 dB",
        "-30 dB",
        *(f"SNR {n} dB" for n in (20, 10, 5)),
    ]
    assert all(lost == 0 for _, lost, _ in rows)
    assert all(rate <= 0.1 for name, _, rate in rows if name != "SNR 5 dB")


def test_a_report_says_what_became_text(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = read(SPEECH / "question.wav").astype(np.float32) / 32768
    monkeypatch.setattr(nonspeech, "KINDS", {"somebody": lambda rng, length: np.resize(said, length)})
    text, silent = nonspeech.report(models, None, nonspeech.PIECE_S / 60, [])
    assert not silent and "| somebody | 20 |" in text


def test_loudness_and_noise_are_what_they_are_called() -> None:
    wave = np.sin(np.arange(16_000) / 10).astype(np.float32)
    assert abs(int(nonspeech.at_level(wave, -20).max()) - 3276) <= 1
    assert not nonspeech.at_level(0 * wave, -3).any()
    audio = nonspeech.at_level(wave, -20)
    assert abs(int(nonspeech.attenuated(audio, 20).max()) - 327) <= 1
    noise = nonspeech.in_noise(audio, 10, np.random.default_rng(1)).astype(np.float64) - audio
    assert 10 * np.log10(np.mean(audio.astype(np.float64) ** 2) / np.mean(noise**2)) == pytest.approx(10, abs=1.5)
