"""Qwen3-ASR through its own library, which is played here: what it is given, and how its answers are read."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.engines.test_qwen3_asr import completion
from xingji.core.errors import EngineError
from xingji.core.messages import NoSpeech, Transcribe
from xingji.core.types import Hypothesis
from xingji.engines.qwen3_asr import reading as reading_over_http
from xingji.engines.qwen3_embedded import Qwen3Embedded
from xingji.engines.qwen3_parse import SHORTEST

SOUND = np.full(4000, -16384, np.int16)


class Library:
    """``qwen_asr``, with and without vLLM beside it."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.answers: list[tuple[str, str]] = []
        self.Qwen3ASRModel = SimpleNamespace(from_pretrained=self._load("transformers"), LLM=self._load("vllm"))

    def _load(self, how: str) -> Any:
        def load(*path: str, **options: Any) -> "Library":
            self.loaded.append((how, (*path, options)))
            return self

        return load

    def transcribe(self, **asked: Any) -> list[Any]:
        self.asked.append(asked)
        return [SimpleNamespace(language=language, text=text) for language, text in self.answers]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    monkeypatch.setitem(sys.modules, "qwen_asr", Library())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "vllm", None)  # type: ignore[arg-type]
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    return sys.modules["qwen_asr"]  # type: ignore[return-value]


def job(language: str = "auto", bias: tuple[str, ...] = ()) -> Transcribe:
    return Transcribe(0, SOUND, language, True, "qwen3-asr-1.7b", bias)


def test_it_runs_on_transformers_or_on_vllm(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(100))
    about = Qwen3Embedded(tmp_path, "cuda:1", 0.5).describe()
    assert (about.runtime, about.device, about.size) == ("transformers bfloat16", "cuda:1", 100)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(__version__="0.14.0"))  # type: ignore[arg-type]
    assert Qwen3Embedded(tmp_path, "cuda", 0.5).describe().runtime == "vllm 0.14.0"
    (_, (path, plain)), (how, (options,)) = library.loaded
    assert (path, plain["device_map"]) == (str(tmp_path), "cuda:1")
    assert (how, options["model"], options["gpu_memory_utilization"]) == ("vllm", str(tmp_path), 0.5)


def test_why_it_cannot_run_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qwen_asr", None)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
        Qwen3Embedded(tmp_path, "cpu", 0.8)
    with pytest.raises(EngineError, match=r"requirements-qwen3\.txt and QWEN3_ASR_PYTHON"):
        Qwen3Embedded(tmp_path, "cuda", 0.8)


def test_what_the_library_is_given(library: Library, tmp_path: Path) -> None:
    library.answers = [("Chinese", "好"), ("English", "ok")]
    Qwen3Embedded(tmp_path, "cuda", 0.8).transcribe([job("zh", ("星纪", "林滔")), job()])
    (asked,) = library.asked
    assert (asked["context"], asked["language"]) == (["星纪 林滔", ""], ["Chinese", None])
    for samples, rate in asked["audio"]:
        assert (len(samples), rate, samples.dtype) == (SHORTEST, 16_000, np.float32)
        assert (samples[:4000] == -0.5).all() and not samples[4000:].any()


@pytest.mark.parametrize(
    ("asked", "language", "text", "expected"),
    [
        ("auto", "Chinese", "今天 天气。", Hypothesis("今天 天气。", language="zh")),
        ("auto", "Chinese,English", "好 ok", Hypothesis("好 ok", language="zh")),
        ("en", "English", "ok", Hypothesis("ok", language="en")),
        ("auto", "", "", NoSpeech()),
        ("auto", "German", "gut", Hypothesis("gut")),
        ("zh", "Chinese", "", Hypothesis("")),
        ("auto", "Chinese", "是" * 99, Hypothesis("是", language="zh")),
    ],
)
def test_its_answers_are_read_as_those_over_http(
    asked: str, language: str, text: str, expected: object, library: Library, tmp_path: Path
) -> None:
    library.answers = [(language, text)]
    assert Qwen3Embedded(tmp_path, "cuda", 0.8).transcribe([job(asked)]) == [expected]
    raw = text if asked != "auto" else f"language {language or 'None'}<asr_text>{text}"
    assert reading_over_http(completion(raw), asked) == expected
