"""Exported networks: float32 is torch within 1e-4, int8 reads the same and no row knows of the others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from xingji.core.errors import EngineError
from xingji.core.messages import Transcribe
from xingji.core.types import Samples
from xingji.engines import graphs
from xingji.engines.graphs import PRECISIONS, Precision
from xingji.engines.loading import load, running
from xingji.engines.optimise import difference, optimise
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.paraformer_step import Chunk
from xingji.engines.sensevoice import SenseVoice

from .conftest import SENTENCE

pytestmark = pytest.mark.models

CHUNK = 9_600
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def optimised(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both recognisers with their graphs in both precisions."""
    root = tmp_path_factory.mktemp("optimised")
    for part in ("paraformer", "sensevoice"):
        shutil.copytree(models / part, root / part)
        for precision in PRECISIONS:
            optimise(part, root / part, precision)
    return root


@pytest.fixture(scope="module")
def sounds(speech: Samples) -> list[Samples]:
    return [speech, speech[:20_000], speech[30_000:70_000], speech[5_000:9_000]]


def logits(engine: SenseVoice, sounds: list[Samples], monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    network, kept = engine._network, []
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_network", lambda *given: kept.append(network(*given)) or kept[-1])
        engine.transcribe([Transcribe(1, sound, "auto", True) for sound in sounds])
    (answer,) = kept
    return torch.log_softmax(answer, dim=-1)


def test_segment_scores_in_float32_are_those_of_torch(
    optimised: Path, sensevoice: SenseVoice, sounds: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SenseVoice(optimised / "sensevoice", "cpu", "float32")
    ours, theirs = logits(engine, sounds, monkeypatch), logits(sensevoice, sounds, monkeypatch)
    for row, sound in enumerate(sounds):
        frames = 4 + len(sound) // 960
        assert float((ours[row, :frames] - theirs[row, :frames]).abs().max()) <= 1e-4


def chunks(engine: StreamingParaformer, sound: Samples) -> list[tuple[torch.Tensor, bool]]:
    """Features of every chunk, and whether it is the last."""
    memory: dict[str, object] = {}
    pieces = []
    for at in range(0, len(sound), CHUNK):
        piece, last = sound[at : at + CHUNK], at + CHUNK >= len(sound)
        wave = torch.from_numpy(piece.astype(np.float32) / 32768)[None]
        pieces.append((engine.loaded.frontend(wave, [len(piece)], cache=memory, is_final=last)[0][0].clone(), last))
    return pieces


def step_through(engine: StreamingParaformer, parts: list[tuple[int, Samples]]) -> list[list[torch.Tensor]]:
    """Scores of every step; each part begins at its step and shares it with all that are running."""
    fed = [(start, chunks(engine, sound)) for start, sound in parts]
    network = engine._network
    memories = [network.open(CHUNK // 960) for _ in fed]
    answers: list[list[torch.Tensor]] = [[] for _ in fed]
    for now in range(max(start + len(pieces) for start, pieces in fed)):
        live = [row for row, (start, pieces) in enumerate(fed) if start <= now < start + len(pieces)]
        with running():
            given = [Chunk(memories[row], *fed[row][1][now - fed[row][0]]) for row in live]
            for row, (memory, scores) in zip(live, network.step(given) if live else [], strict=True):
                memories[row] = memory
                answers[row].append(scores)
    return answers


@pytest.fixture(scope="module")
def parts(speech: Samples) -> list[tuple[int, Samples]]:
    return [(0, speech), (1, speech[7_000:52_345]), (3, speech[20_000:]), (3, speech[9_000:10_500])]


def test_streaming_scores_in_float32_are_those_of_torch(
    optimised: Path, paraformer: StreamingParaformer, parts: list[tuple[int, Samples]]
) -> None:
    engine = StreamingParaformer(optimised / "paraformer", "cpu", "float32")
    for ours, theirs in zip(step_through(engine, parts), step_through(paraformer, parts), strict=True):
        for mine, stock in zip(ours, theirs, strict=True):
            assert mine.shape == stock.shape
            if len(stock):
                assert float((mine - stock).abs().max()) <= 1e-4


def test_in_int8_no_segment_knows_who_shares_its_batch(
    optimised: Path, sounds: list[Samples], parts: list[tuple[int, Samples]], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = SenseVoice(optimised / "sensevoice", "cpu", "int8")
    together = logits(second, sounds, monkeypatch)
    for row, sound in enumerate(sounds):
        (alone,) = logits(second, [sound], monkeypatch)
        assert float((together[row, : len(alone)] - alone).abs().max()) <= 1e-3
    streaming = StreamingParaformer(optimised / "paraformer", "cpu", "int8")
    for ours, part in zip(step_through(streaming, parts), parts, strict=True):
        (theirs,) = step_through(streaming, [(0, part[1])])
        for mine, single in zip(ours, theirs, strict=True):
            assert mine.shape == single.shape
            if len(single):
                assert float((mine - single).abs().max()) <= 1e-3


def test_int8_reads_the_same(optimised: Path, speech: Samples) -> None:
    engine = SenseVoice(optimised / "sensevoice", "cpu", "int8")
    (heard,) = engine.transcribe([Transcribe(1, speech, "auto", True)])
    assert getattr(heard, "text", None) == SENTENCE
    for part in ("paraformer", "sensevoice"):
        assert difference(part, optimised / part, "int8", [speech, speech[20_000:]]) <= 0.05


@pytest.mark.parametrize("part", ["paraformer", "sensevoice"])
def test_with_graphs_no_weights_are_read(optimised: Path, part: str) -> None:
    engine = (SenseVoice if part == "sensevoice" else StreamingParaformer)(optimised / part, "cpu", "auto")
    assert all(tensor.is_meta for tensor in engine.loaded.model.parameters())
    said = engine.describe()
    assert (said.runtime, said.device) == ("onnxruntime int8", "cpu")
    assert said.size == sum(file.stat().st_size for file in (optimised / part / "graphs" / "int8").glob("*.onnx"))


@pytest.mark.parametrize(
    ("precision", "runtime"),
    [(None, "torch float32"), ("float32", "onnxruntime float32"), ("int8", "onnxruntime int8")],
)
def test_the_precision_asked_for_is_taken(optimised: Path, precision: Precision | None, runtime: str) -> None:
    assert SenseVoice(optimised / "sensevoice", "cpu", precision).describe().runtime == runtime


def test_without_graphs_torch_computes_and_int8_is_refused(models: Path) -> None:
    for precision in ("auto", "float32"):
        assert SenseVoice(models / "sensevoice", "cpu", precision).describe().runtime == "torch float32"
    with pytest.raises(EngineError, match="--optimize"):
        SenseVoice(models / "sensevoice", "cpu", "int8")


def spoil_weights(model: Path) -> None:
    os.utime(model / "model.pt", ns=(1, 1))


def spoil_graph(model: Path) -> None:
    (model / "graphs" / "int8" / "segment.onnx").write_bytes(b"half")


def spoil_listing(model: Path) -> None:
    (model / "graphs" / "int8" / "graphs.json").write_text("[]")


@pytest.mark.parametrize("spoil", [spoil_weights, spoil_graph, spoil_listing])
def test_graphs_that_do_not_fit_count_as_absent(optimised: Path, tmp_path: Path, spoil: object) -> None:
    model = tmp_path / "sensevoice"
    shutil.copytree(optimised / "sensevoice", model)
    assert graphs.find(model / "model.pt", "int8")
    spoil(model)  # type: ignore[operator]
    assert graphs.find(model / "model.pt", "int8") is None


def test_a_failed_export_leaves_the_old_graphs(optimised: Path) -> None:
    weights = optimised / "sensevoice" / "model.pt"

    def fail(folder: Path) -> None:
        (folder / "segment.onnx").write_bytes(b"half")
        raise OSError

    with pytest.raises(OSError):
        graphs.write(weights, "int8", fail)
    assert graphs.find(weights, "int8")


def test_graphs_are_for_the_cpu(optimised: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("xingji.engines.loading._load", lambda path, device, kind, weights: pytest.fail(device))
    with pytest.raises(pytest.fail.Exception, match="cuda:0"):
        load(optimised / "sensevoice", "cuda:0", "SenseVoiceSmall", "auto")


def test_one_command_writes_them_and_says_what_changes(models: Path, tmp_path: Path) -> None:
    for part in ("vad", "paraformer", "punc", "sensevoice"):
        shutil.copytree(models / part, tmp_path / part)
    done = subprocess.run(
        [sys.executable, ROOT / "download_models.py", "--optimize"],
        env=os.environ | {"XINGJI_MODELS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("%") == 2
    for part in ("paraformer", "sensevoice"):
        assert graphs.find(tmp_path / part / "model.pt", "int8")
