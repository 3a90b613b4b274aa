"""The command line's exit statuses and words, without a server; with one they are in ``tests/e2e``."""

from typing import Any

import pytest

from asr_audio import AudioError
from AsrClient import AsrError, Result
from xingji.client import __main__ as program


def run(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> int:
    def transcribe(_: Any) -> Result:
        if isinstance(outcome, BaseException):
            raise outcome
        found: Result = outcome
        return found

    monkeypatch.setattr(program, "transcribe", transcribe)
    return program.main(["any.wav"])


def result(interrupted: bool = False, **raw: Any) -> Result:
    return Result("好的。", (), 900, "rec_1", interrupted, raw)


@pytest.mark.parametrize(
    ("outcome", "status", "printed", "told"),
    [
        (result(), 0, "好的。\n", ""),
        (result(interrupted=True), 3, "好的。\n", "连接断了"),
        (result(error_code="backend_failed"), 1, "好的。\n", "backend_failed"),
        (AudioError("any.wav: 打不开"), 2, "", "打不开"),
        (AsrError("busy", {"message": "服务器已满", "message_en": "full"}), 1, "", "busy：服务器已满 full"),
        (AsrError("bad_config", {"message": "值不对", "field": "language"}), 1, "", "bad_config（language）：值不对"),
        (AsrError("unauthorized"), 1, "", "API key"),
        (AsrError("unreachable"), 3, "", "连不上"),
        (AsrError("connection_lost"), 3, "", "没有结果"),
        (AsrError("no_answer"), 3, "", "没有回应"),
        (KeyboardInterrupt(), 130, "", "已中断"),
    ],
    ids=lambda value: value.code if isinstance(value, AsrError) else None,
)
def test_status_output_and_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: Any,
    status: int,
    printed: str,
    told: str,
) -> None:
    assert run(monkeypatch, outcome) == status
    shown = capsys.readouterr()
    assert shown.out == printed and told in shown.err and bool(shown.err) == bool(told)


def test_frames_at_their_pace_or_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [100.0]

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        now[0] += seconds

    monkeypatch.setattr(program.time, "sleep", sleep)
    monkeypatch.setattr(program.time, "monotonic", lambda: now[0])

    class Bar:
        seconds = 0.0

        def update(self, more: float) -> None:
            self.seconds += more

    bar: Any = Bar()
    assert list(program._counted([b"a", b"b", b"c"], bar, realtime=True)) == [b"a", b"b", b"c"]
    assert slept == [0.0, 0.1, 0.1] and round(bar.seconds, 3) == 0.3
    assert list(program._counted([b"a", b"b"], bar, realtime=False)) == [b"a", b"b"] and len(slept) == 3
