"""Exported networks: float32 is torch within 1e-4, int8 reads the same and no row knows of the others."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from xingji.core.errors import EngineError
from xingji.core.messages import Detect, Transcribe
from xingji.core.types import Samples
from xingji.engines import graphs
from xingji.engines.ct_punc import CtPunc
from xingji.engines.export import KINDS, READERS, difference, export
from xingji.engines.fsmn_vad import Fsmn
from xingji.engines.graphs import PRECISIONS, Precision
from xingji.engines.loading import load
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.sensevoice import SenseVoice

from .conftest import SENTENCE
from .scores import Feats, assert_same, features, run, segment_scores

pytestmark = pytest.mark.models

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def optimised(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the models with their graphs in both precisions."""
    root = tmp_path_factory.mktemp("optimised")
    for part in KINDS:
        shutil.copytree(models / part, root / part, ignore=shutil.ignore_patterns("graphs"))
        for precision in PRECISIONS:
            export(part, root / part, precision)
    return root


@pytest.fixture(scope="module")
def plain(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the models without graphs."""
    root = tmp_path_factory.mktemp("plain")
    for part in KINDS:
        shutil.copytree(models / part, root / part, ignore=shutil.ignore_patterns("graphs"))
    return root


@pytest.fixture(scope="module")
def sounds(speech: Samples) -> list[Samples]:
    return [speech, speech[:20_000], speech[30_000:70_000], speech[5_000:9_000]]


def test_segment_scores_in_float32_are_those_of_torch(
    optimised: Path, sensevoice: SenseVoice, sounds: list[Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SenseVoice(optimised / "sensevoice", "cpu", "float32")
    ours, theirs = segment_scores(engine, sounds, monkeypatch), segment_scores(sensevoice, sounds, monkeypatch)
    for row, sound in enumerate(sounds):
        frames = 4 + len(sound) // 960
        assert_same(ours[row, :frames], theirs[row, :frames])


@pytest.fixture(scope="module")
def parts(paraformer: StreamingParaformer, speech: Samples) -> list[Feats]:
    return [
        features(paraformer, part) for part in (speech, speech[7_000:52_345], speech[20_000:], speech[9_000:10_500])
    ]


STARTS = [0, 1, 3, 3]


def test_streaming_scores_in_float32_are_those_of_torch(
    optimised: Path, paraformer: StreamingParaformer, parts: list[Feats]
) -> None:
    engine = StreamingParaformer(optimised / "paraformer", "cpu", "float32")
    for ours, theirs in zip(run(engine, parts, STARTS), run(paraformer, parts, STARTS), strict=True):
        for ours_now, theirs_now in zip(ours, theirs, strict=True):
            assert_same(ours_now, theirs_now)


def test_in_int8_no_segment_knows_who_shares_its_batch(
    optimised: Path, sounds: list[Samples], parts: list[Feats], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = SenseVoice(optimised / "sensevoice", "cpu", "int8")
    together = segment_scores(second, sounds, monkeypatch)
    for row, sound in enumerate(sounds):
        (alone,) = segment_scores(second, [sound], monkeypatch)
        assert_same(together[row, : len(alone)], alone)
    streaming = StreamingParaformer(optimised / "paraformer", "cpu", "int8")
    for ours, part in zip(run(streaming, parts, STARTS), parts, strict=True):
        (alone,) = run(streaming, [part], [0])
        for ours_now, alone_now in zip(ours, alone, strict=True):
            assert_same(ours_now, alone_now)


def test_int8_reads_the_same(optimised: Path, speech: Samples) -> None:
    engine = SenseVoice(optimised / "sensevoice", "cpu", "int8")
    (heard,) = engine.transcribe([Transcribe(1, speech, "auto", True)])
    assert getattr(heard, "text", None) == SENTENCE
    for part in ("paraformer", "sensevoice"):
        assert difference(part, optimised / part, "int8", [speech, speech[20_000:]]) <= 0.05


@pytest.mark.parametrize("precision", PRECISIONS)
def test_marks_and_edges_are_those_of_torch(
    optimised: Path, vad: Fsmn, punc: CtPunc, speech: Samples, precision: Precision
) -> None:
    recording = np.concatenate([np.zeros(16_000, np.int16), speech, np.zeros(16_000, np.int16)])
    edges = [
        engine.detect([(engine.open(), Detect(recording, 0, True, True, 12_800, 3_200))])
        for engine in (vad, Fsmn(optimised / "vad", "cpu", precision))
    ]
    assert edges[0] == edges[1] != [()]
    ours = CtPunc(optimised / "punc", "cpu", precision)
    bare = "".join(c for c in SENTENCE if c.isalnum())
    assert ours.revise([(ours.open(), bare, True)]) == punc.revise([(punc.open(), bare, True)])


def test_with_graphs_neither_torch_nor_the_weights_are_touched(optimised: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(optimised, models, copy_function=shutil.copy2)  # with their times, by which they are known
    for part in KINDS:
        weights = models / part / "model.pt"
        about = weights.stat()
        weights.write_bytes(bytes(about.st_size))
        os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    code = (
        "import sys; from pathlib import Path; from xingji.runtime.roles import ROLES\n"
        f"models = {{part: Path({str(models)!r}) / part for part in {list(KINDS)}}}\n"
        "for role in ('stream', 'segment'): ROLES[role](models, 'cpu', 'auto').warm_up()\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'funasr', 'librosa', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def test_in_int8_a_stream_remembers_in_half_the_bits(optimised: Path) -> None:
    sizes = []
    for precision in ("float32", "int8"):
        memory = StreamingParaformer(optimised / "paraformer", "cpu", precision).stepper.open(10)
        sizes.append(memory.encoder.frames.nbytes + memory.decoder.frames.nbytes)
    assert sizes[0] == 2 * sizes[1]


@pytest.mark.parametrize("part", list(KINDS))
def test_what_computes_is_said(optimised: Path, part: str) -> None:
    precision = "int8" if part in READERS else "float32"  # rounding what is small gains nothing
    loaded = load(optimised / part, "cpu", KINDS[part])
    assert (loaded.about.runtime, loaded.about.device) == (f"onnxruntime {precision}", "cpu")
    assert loaded.about.choice == "fastest_graphs"
    files = [file for file in (optimised / part / "graphs" / precision).iterdir() if file.suffix in (".onnx", ".npy")]
    assert loaded.about.size == sum(file.stat().st_size for file in files)
    assert loaded.about.parameters == load(optimised / part, "cpu", KINDS[part], "torch").about.parameters


@pytest.mark.parametrize(
    ("precision", "runtime"),
    [("torch", "torch float32"), ("float32", "onnxruntime float32"), ("int8", "onnxruntime int8")],
)
def test_the_precision_asked_for_is_taken(optimised: Path, precision: str, runtime: str) -> None:
    said = SenseVoice(optimised / "sensevoice", "cpu", precision).describe()
    assert (said.runtime, said.choice) == (runtime, "asked")


def test_without_graphs_torch_computes_and_int8_is_refused(plain: Path) -> None:
    for precision in ("auto", "float32"):
        said = SenseVoice(plain / "sensevoice", "cpu", precision).describe()
        assert (said.runtime, said.choice) == ("torch float32", "no_graphs")
    with pytest.raises(EngineError, match="--optimize"):
        SenseVoice(plain / "sensevoice", "cpu", "int8")


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
        graphs.write(weights, "int8", 1, fail)
    assert graphs.find(weights, "int8")


def test_graphs_are_for_the_cpu(optimised: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("xingji.engines.stock.load", lambda directory, device: pytest.fail(device))
    with pytest.raises(pytest.fail.Exception, match="cuda:0"):
        load(optimised / "sensevoice", "cuda:0", "SenseVoiceSmall", "auto")


def test_one_command_writes_them_and_says_what_changes(plain: Path, tmp_path: Path) -> None:
    for part in KINDS:
        shutil.copytree(plain / part, tmp_path / part)
    done = subprocess.run(
        [sys.executable, ROOT / "download_models.py", "--optimize"],
        env=os.environ | {"XINGJI_MODELS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("%") == 2
    for part in KINDS:
        assert graphs.find(tmp_path / part / "model.pt", "int8" if part in READERS else "float32")


def test_a_worker_that_lacks_them_says_so_in_one_sentence(plain: Path, tmp_path: Path) -> None:
    setup = {"models": {"sensevoice": str(plain / "sensevoice")}, "device": "cpu", "mps": False, "precision": "int8"}
    address = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as gateway:
        gateway.bind(address)
        gateway.listen()
        done = subprocess.run(
            [sys.executable, "-m", "xingji.runtime.worker", "segment", address],
            env=os.environ | {"XINGJI_WORKER": json.dumps(setup | {"token": "", "log_level": "WARNING"})},
            capture_output=True,
            text=True,
            timeout=120,
            cwd=ROOT,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "segment worker: sensevoice: no int8 graphs; run python download_models.py --optimize"
    ]
