"""The front end is funasr's to the last bit, however the samples come."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xingji.core.errors import EngineError
from xingji.core.types import Samples
from xingji.engines.directory import read
from xingji.engines.export import KINDS
from xingji.engines.features import FRAME, FrontEnd, front_end

pytestmark = pytest.mark.models


def of(models: Path, part: str) -> FrontEnd:
    return front_end(read(models / part, KINDS[part]))


def waveform(samples: Samples) -> torch.Tensor:
    return torch.from_numpy(samples / np.float32(32_768))[None]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.parametrize("part", ["vad", "paraformer"])
def test_a_stream_in_any_pieces(
    models: Path, stock: Callable[[str], Any], speech: Samples, part: str, data: st.DataObject
) -> None:
    samples = speech[: data.draw(st.integers(0, 40_000))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=8)))
    pieces = [samples[a:b] for a, b in zip([0, *cuts], [*cuts, len(samples)], strict=True)]
    walk, cache, frontend = of(models, part).open(), {}, stock(part).kwargs["frontend"]
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        ours = walk.push(piece, last)
        theirs, _ = frontend(waveform(piece), [len(piece)], cache=cache, is_final=last)
        assert np.array_equal(ours, theirs[0].numpy() if theirs.numel() else ours[:0])


@pytest.mark.parametrize("length", [0, 1, FRAME - 1, FRAME, FRAME + 159, FRAME + 160, 5_000, 80_000])
def test_a_whole_segment(models: Path, stock: Callable[[str], Any], speech: Samples, length: int) -> None:
    samples = speech[:length]
    ours = of(models, "sensevoice").whole(samples)
    if length < FRAME:
        assert ours.shape == (0, 560)
        return
    theirs, _ = stock("sensevoice").kwargs["frontend"](waveform(samples), [length])
    assert np.array_equal(ours, theirs[0].numpy())


def test_an_hour_is_not_kept(models: Path, speech: Samples) -> None:
    walk = of(models, "vad").open()
    for _ in range(200):
        walk.push(speech[:3_200], False)
        assert len(walk._waiting) < 8
    with pytest.raises(IndexError):
        walk._bank.get_frame(0)


def test_digital_silence_has_finite_features(models: Path) -> None:
    assert np.isfinite(of(models, "sensevoice").whole(np.zeros(16_000, np.int16))).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "do not fit"),
        ("<AddShift> 2 2\n<LearnRateCoef> 0 [ 1 2 ]\n<Rescale> 2 2\n<LearnRateCoef> 0 [ 1 2 ]\n", "do not fit"),
        ("<AddShift> 2 2\n<LearnRateCoef> 0 [ one two ]\n", "do not fit"),
        ("<AddShift>\n\n<Rescale>\n", "do not fit"),
    ],
)
def test_statistics_that_do_not_fit(models: Path, tmp_path: Path, content: str, words: str) -> None:
    folder = tmp_path / "vad"
    folder.mkdir()
    for file in filter(Path.is_file, (models / "vad").iterdir()):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "am.mvn").write_text(content)
    with pytest.raises(EngineError, match=words):
        front_end(read(folder, "FsmnVADStreaming"))


def test_another_front_end_is_refused(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vad"
    folder.mkdir()
    for file in filter(Path.is_file, (models / "vad").iterdir()):
        (folder / file.name).write_bytes(file.read_bytes())
    config = folder / "config.yaml"
    config.write_text(config.read_text("utf-8").replace("fs: 16000", "fs: 8000"), "utf-8")
    with pytest.raises(EngineError, match="unknown kind"):
        front_end(read(folder, "FsmnVADStreaming"))
