"""The comparison of both ways to Qwen3-ASR runs, and says what differs and what was not answered."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.qwen3_asr_stub import AsrStub
from tests.runtime.qwen3_worker import SAYS, interpreter, weights
from tests.support import SPEECH
from tools import compare_qwen3


@pytest.mark.parametrize(
    ("mode", "text", "said", "status"),
    [
        ("normal", f"{SAYS}。", "The same text: 2 of 2; characters that differ: 0.00%", 0),
        ("normal", "别的。", "The same text: 0 of 2; characters that differ: ", 0),
        ("cut_short", "", "| HTTP | 0 |", 1),
    ],
)
def test_the_report(
    mode: str,
    text: str,
    said: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights(tmp_path / "cache")
    for name in ("clock.wav", "date.wav"):
        shutil.copy(SPEECH / name, tmp_path / name)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QWEN3_ASR_PYTHON", str(interpreter(tmp_path)))
    with AsrStub(text, mode=mode) as stub:
        command = ["x", "--model", "qwen3-asr-0.6b", "--port", str(stub.port), "--clips", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", command)
        assert compare_qwen3.main() == status
    out = capsys.readouterr().out
    assert said in out and "| embedded | 2 |" in out
