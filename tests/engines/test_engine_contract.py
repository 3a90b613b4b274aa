"""What every engine promises, whatever it does: one result per item, from that item alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from xingji.core.messages import Decode, Detect, NoSpeech, Transcribe
from xingji.engines import Revision

Run = Callable[[Sequence[Any]], list[Any]]  # fresh streams, one whole job each


@pytest.fixture(params=["vad", "paraformer", "sensevoice", "punc"])
def case(request: pytest.FixtureRequest) -> tuple[Run, list[Any], Any, Any]:
    """(run, three different inputs, an input without speech, its answer)"""
    engine = request.getfixturevalue(request.param)
    quiet = np.zeros(32_000, np.int16)
    if request.param == "punc":
        words = ["大家好我是张伟经理欢迎参加今天的会议", "请打开空调", "你觉得语音识别怎么样"]
        return lambda w: engine.revise([(engine.open(), x, True) for x in w]), words, "", Revision("", 0)
    speech = request.getfixturevalue("speech")
    padded = np.concatenate([quiet, speech, quiet])
    sounds = [padded, padded[20_000:90_000], padded[40_000:]]
    match request.param:
        case "vad":

            def run(sounds: Sequence[Any]) -> list[Any]:
                return engine.detect([(engine.open(), Detect(x, 0, True, True, 12_800, 3_200)) for x in sounds])

            return run, sounds, quiet, ()
        case "paraformer":

            def run(sounds: Sequence[Any]) -> list[Any]:
                return engine.decode([(engine.open(), Decode(1, x, 0, True, 9_600, True)) for x in sounds])

            return run, sounds, quiet, ""
        case _:

            def run(sounds: Sequence[Any]) -> list[Any]:
                return engine.transcribe([Transcribe(1, x, "auto", True) for x in sounds])

            return run, sounds, quiet, NoSpeech()


def test_one_result_per_item(case: Any) -> None:
    run, inputs, *_ = case
    assert run([]) == []
    assert len(run(inputs[:1])) == 1
    assert len(run(inputs)) == 3


def test_batch_of_n_equals_n_of_one_in_any_order(case: Any) -> None:
    run, inputs, *_ = case
    alone = [run([x])[0] for x in inputs]
    assert all(alone) and len(set(map(str, alone))) == 3  # the inputs do give something, each its own
    assert run(inputs) == alone
    assert run(inputs[::-1]) == alone[::-1]


def test_repeatable(case: Any) -> None:
    run, inputs, *_ = case
    assert run(inputs) == run(inputs)


def test_no_speech_gives_no_text(case: Any) -> None:
    run, inputs, nothing, answer = case
    assert run([nothing]) == [answer]
    assert run([inputs[0], nothing, inputs[0]])[1] == answer


@pytest.mark.parametrize("length", [0, 1, 159, 399, 400, 401, 560])
def test_very_short_sound(case: Any, length: int) -> None:
    run, inputs, nothing, answer = case
    assert run([nothing[:length]]) == [answer]
    assert len(run([inputs[0][:length], inputs[0][-length:]])) == 2


@pytest.mark.parametrize("case", ["vad", "paraformer", "sensevoice"], indirect=True)
@pytest.mark.parametrize("length", [1, 300, 399, 400, 900, 4_000])
def test_full_scale_noise_of_any_length_does_not_fail(case: Any, length: int) -> None:
    run, *_ = case
    noise = np.random.default_rng(0).integers(-32_768, 32_768, length).astype(np.int16)
    assert len(run([noise, np.full(length, -32_768, np.int16)])) == 2


def test_prints_nothing(case: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run, inputs, nothing, _ = case
    run([*inputs, nothing])
    assert capfd.readouterr().out == ""


def test_describes_itself(vad: Any, paraformer: Any, punc: Any, sensevoice: Any) -> None:
    names = []
    for engine in (vad, paraformer, punc, sensevoice):
        description = engine.describe()
        assert description.parameters > 1_000 and description.size > 1_000 and description.device == "cpu"
        names.append(description.model)
    assert names == ["FsmnVADStreaming", "ParaformerStreaming", "CTTransformerStreaming", "SenseVoiceSmall"]
