"""Qwen3-ForcedAligner through its own library, which is played here."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xingji.core.errors import EngineError
from xingji.core.messages import Align
from xingji.core.types import Hypothesis, Span, Word
from xingji.engines.qwen3_aligner import LONGEST, Qwen3Aligner

SOUND = np.full(16_000, -16384, np.int16)


class Library:
    """``qwen_asr``: it says what ``answers`` hold, one list of (text, begin, end) in seconds for each text."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []
        self.answers: list[list[tuple[str, float, float]]] = []
        self.Qwen3ForcedAligner = SimpleNamespace(from_pretrained=self._load)

    def _load(self, path: str, **options: Any) -> "Library":
        self.loaded.append((path, options))
        return self

    def align(self, **asked: Any) -> list[Any]:
        self.asked.append(asked)
        return [
            [SimpleNamespace(text=text, start_time=begin, end_time=end) for text, begin, end in items]
            for items in self.answers
        ]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    played = Library()
    monkeypatch.setitem(sys.modules, "qwen_asr", played)  # type: ignore[arg-type]
    return played


def test_it_is_loaded_once_and_says_what_it_is(library: Library, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    about = Qwen3Aligner(tmp_path, "cuda:1").describe()
    assert (about.model, about.runtime, about.device, about.size) == (
        "Qwen3ForcedAligner",
        "transformers bfloat16",
        "cuda:1",
        100,
    )
    assert library.loaded == [(str(tmp_path), {"dtype": "bfloat16", "device_map": "cuda:1"})]


def test_why_it_cannot_run_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qwen_asr", None)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="needs an NVIDIA GPU; without one SenseVoice"):
        Qwen3Aligner(tmp_path, "cpu")
    with pytest.raises(EngineError, match=r"requirements-qwen3\.txt and QWEN3_ASR_PYTHON"):
        Qwen3Aligner(tmp_path, "cuda")


def test_what_it_is_given_and_what_becomes_of_its_answers(library: Library, tmp_path: Path) -> None:
    library.answers = [[("在", 0.1, 0.2), ("35", 0.2, 0.4), ("点", 0.4, 0.4)], [("ok", 0.0, 0.5)]]
    jobs = [Align(0, SOUND, "在3.5点。", "zh", begin=1_000), Align(1, SOUND, "OK?", "auto")]
    first, second = Qwen3Aligner(tmp_path, "cuda").align(jobs)
    (asked,) = library.asked
    assert (asked["text"], asked["language"]) == (["在3.5点。", "OK?"], ["Chinese", "Chinese"])
    for samples, rate in asked["audio"]:
        assert (samples.shape, rate, samples.dtype) == (SOUND.shape, 16_000, np.float32) and (samples == -0.5).all()
    assert first == Hypothesis(
        "在3.5点。",
        words=(
            Word("在", Span(2_600, 4_200)),
            Word("3.5", Span(4_200, 7_400)),
            Word("点", Span(7_400, 7_401)),
        ),
        timestamp_source="aligner",
    )
    assert [word.text for word in second.words] == ["OK"]


def test_what_it_cannot_align_it_is_not_asked(library: Library, tmp_path: Path) -> None:
    library.answers = [[("好", 0.0, 0.5)]]
    aligner = Qwen3Aligner(tmp_path, "cuda")
    jobs = [
        Align(0, np.zeros(LONGEST + 1, np.int16), "太长", "zh"),
        Align(1, SOUND, "好", "zh"),
        Align(2, SOUND, "……", "zh"),
        Align(3, SOUND[:0], "空", "zh"),
    ]
    found = aligner.align(jobs)
    assert [(len(reading.words), reading.timestamp_source) for reading in found] == [
        (0, None),
        (1, "aligner"),
        (0, None),
        (0, None),
    ]
    assert library.asked[0]["text"] == ["好"]
    assert aligner.align(jobs[:1]) == [Hypothesis("太长")] and len(library.asked) == 1
