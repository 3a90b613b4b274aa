"""The real model classes on a small pack, and real synthesised speech to feed them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines.ct_punc import CtPunc
from xingji.engines.fsmn_vad import Fsmn
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.sensevoice import SenseVoice

PACK = ("vad", "paraformer", "punc", "sensevoice")
SENTENCE = "大家好，我是赵磊经理，欢迎参加今天的会议。"
Say = Callable[[str], Samples]


@pytest.fixture(scope="session")
def models() -> Path:
    named = Path(os.environ.get("XINGJI_MODELS", "-"))
    root = named if named.is_dir() else Path(__file__).parents[2] / "xingji" / "minipack"
    if not all((root / name).is_dir() for name in PACK):
        pytest.skip("no model directories: set XINGJI_MODELS or put the mini pack in xingji/minipack")
    return root


@pytest.fixture(scope="session")
def vad(models: Path) -> Fsmn:
    return Fsmn(models / "vad", "cpu", "torch")


@pytest.fixture(scope="session")
def paraformer(models: Path) -> StreamingParaformer:
    return StreamingParaformer(models / "paraformer", "cpu", "torch")


@pytest.fixture(scope="session")
def punc(models: Path) -> CtPunc:
    return CtPunc(models / "punc", "cpu", "torch")


@pytest.fixture(scope="session")
def sensevoice(models: Path) -> SenseVoice:
    return SenseVoice(models / "sensevoice", "cpu", "torch")


@pytest.fixture(scope="session")
def stock(models: Path) -> Callable[[str], Any]:
    """funasr's own AutoModel of one of the models: what the engines are compared with."""

    @cache
    def load(name: str) -> Any:
        from funasr import AutoModel

        auto = AutoModel(model=str(models / name), device="cpu", ncpu=1, disable_update=True, disable_pbar=True)
        if auto.kwargs["frontend"] is not None:
            auto.kwargs["frontend"].dither = 0.0  # the default adds noise
        return auto

    return load


@pytest.fixture(scope="session")
def say() -> Say:
    """Synthesise Mandarin: int16 ``(n,)`` at 16 kHz."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed: nothing to synthesise speech with")

    def speak(text: str) -> Samples:
        # The voice that reads pinyin is right for Han characters; plain "cmn" spells them in English.
        command = ["espeak-ng", "-v", "cmn-latn-pinyin+f4", "--stdout", text]
        wav = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
        rate = int.from_bytes(wav[24:28], "little")
        sound = np.frombuffer(wav[44:], np.int16).astype(np.float32)
        return (soxr.resample(sound, rate, SAMPLE_RATE) * 0.6).astype(np.int16)

    return speak


@pytest.fixture(scope="session")
def speech(say: Say) -> Samples:
    return say(SENTENCE)
