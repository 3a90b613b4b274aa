"""A model directory loads quietly and completely, or fails with one sentence that names no path."""

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import utterances
from xingji.core.errors import EngineError
from xingji.core.messages import Decode, Transcribe
from xingji.core.scoring import cer
from xingji.core.types import Hypothesis
from xingji.engines import loading, stock
from xingji.engines.directory import read
from xingji.engines.export import KINDS
from xingji.engines.features import front_end
from xingji.engines.loading import Loaded, _in_half, load
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.sensevoice import SenseVoice


def by_torch(path: Path, kind: str, device: str = "cpu") -> Loaded:
    return load(path, device, kind, "torch")


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        target = tmp_path / name
        target.mkdir()
        for file in filter(Path.is_file, (models / name).iterdir()):
            shutil.copyfile(file, target / file.name)
        return target

    return copy


@pytest.mark.parametrize("name", KINDS)
def test_large_models_multiply_in_half_on_cuda(models: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [_in_half(device, KINDS[name], "auto") for device in ("cpu", "mps", "cuda:0")] == [
        False,
        False,
        name in ("paraformer", "sensevoice"),
    ]
    assert not _in_half("cuda", KINDS[name], "float32")
    full = by_torch(models / name, KINDS[name])
    monkeypatch.setattr(loading, "_in_half", lambda *_: True)
    half = by_torch(models / name, KINDS[name])
    assert (full.about.runtime, half.about.runtime) == ("torch float32", "torch float16")
    assert {network.zeros(3).dtype for network in half.networks.values()} == {torch.float16}


def test_text_in_half_the_bits(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> tuple[list[str], list[str]]:
        streaming = StreamingParaformer(models / "paraformer", "cpu", "torch")
        whole = SenseVoice(models / "sensevoice", "cpu", "torch")
        audio = [np.frombuffer(said.pcm, "<i2") for said in utterances()[:6]]
        jobs = [(streaming.open(), Decode(0, samples, 0, True, 9600, False)) for samples in audio]
        seconds = whole.transcribe([Transcribe(0, samples, "auto", True) for samples in audio])
        return streaming.decode(jobs), [second.text for second in seconds if isinstance(second, Hypothesis)]

    exact = read()
    monkeypatch.setattr(loading, "_in_half", lambda *_: True)
    for full, half in zip(exact, read(), strict=True):
        assert all(full) and cer(list(zip(full, half, strict=True))) <= 0.01


def refusal(path: Path, kind: str, device: str = "cpu") -> str:
    """What an engine says that is made from ``path``: of the model and of its front end."""
    with pytest.raises(EngineError) as caught:
        loaded = by_torch(path, kind, device)
        front_end(loaded.directory)
    assert str(path.parent) not in str(caught.value)
    return str(caught.value)


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = torch.load(path / "model.pt")
    change(weights)
    torch.save(weights, path / "model.pt")


@pytest.mark.parametrize("name", KINDS)
def test_loads_without_noise(models: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    loaded = by_torch(models / name, KINDS[name])
    assert capfd.readouterr() == ("", "")
    assert (root.handlers, root.level) == (handlers, level)
    assert torch.get_num_threads() == 1
    assert loaded.about.size == (models / name / "model.pt").stat().st_size


@pytest.mark.parametrize("name", KINDS)
def test_the_weights_are_those_that_funasr_would_load(models: Path, name: str) -> None:
    from funasr import AutoModel

    theirs = AutoModel(model=str(models / name), device="cpu", disable_update=True).model.state_dict()
    model = stock.load(read(models / name, KINDS[name]), "cpu")
    ours = model.state_dict()
    assert not model.training
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) and ours[key].dtype == theirs[key].dtype for key in theirs)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no /proc: what is mapped cannot be read")
def test_full_precision_weights_stay_in_their_file(copied: Callable[[str], Path]) -> None:
    path = copied("sensevoice")
    rewrite(path, lambda weights: weights.update({key: tensor.float() for key, tensor in weights.items()}))
    model = stock.load(read(path, "SenseVoiceSmall"), "cpu")
    mapped = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if str(path) in line]
    spans = [tuple(int(end, 16) for end in span.split("-")) for span in mapped]
    assert all(any(low <= p.data_ptr() < high for low, high in spans) for p in model.parameters())


def test_weights_in_the_old_format_load(copied: Callable[[str], Path]) -> None:
    path = copied("vad")
    weights = torch.load(path / "model.pt")
    torch.save({"state_dict": weights}, path / "model.pt", _use_new_zipfile_serialization=False)
    assert by_torch(path, "FsmnVADStreaming").about.parameters > 1000


def test_a_tensor_outside_the_encoder_may_be_missing_and_is_told(
    copied: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = copied("punc")
    rewrite(path, lambda weights: weights.__delitem__("decoder.bias"))
    model = stock.load(read(path, "CTTransformerStreaming"), "cpu")
    assert not any(parameter.is_meta for parameter in model.parameters())
    assert [record.message for record in caplog.records] == ["weights incomplete"]


def test_funasr_does_not_write_into_the_log(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        by_torch(models / "vad", KINDS["vad"])
        logging.getLogger().warning("others may log on the root")
    assert caplog.messages == ["others may log on the root"]


def test_importing_the_promises_imports_no_model_library() -> None:
    code = "import sys, xingji.engines; sys.exit(any(m in sys.modules for m in ('torch', 'funasr')))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)


@pytest.mark.parametrize("name", KINDS)
def test_loads_without_a_listing(copied: Callable[[str], Path], name: str) -> None:
    path = copied(name)
    (path / "configuration.json").unlink()
    for file in path.glob("*.bpe.model"):
        file.rename(path / "bpe.model")
    assert by_torch(path, KINDS[name]).about.model == KINDS[name]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("listed", [True, False])
def test_names_what_is_missing(copied: Callable[[str], Path], name: str, listed: bool) -> None:
    path = copied(name)
    if not listed:
        (path / "configuration.json").unlink()
    (path / "model.pt").unlink()
    assert "missing" in (text := refusal(path, KINDS[name])) and "model.pt" in text
    for file in path.iterdir():
        if file.name != "configuration.json":
            file.unlink()
    text = refusal(path, KINDS[name])
    assert "config.yaml" in text and "model.pt" in text
    assert ("am.mvn" in text) == (name != "punc")


def test_no_directory(tmp_path: Path) -> None:
    assert refusal(tmp_path / "vad", "FsmnVADStreaming") == "vad: no such model directory"


def test_another_kind_of_model(models: Path) -> None:
    assert refusal(models / "punc", "SenseVoiceSmall") == "punc: not a SenseVoiceSmall model"


def test_no_such_device(models: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert "CUDA" in refusal(models / "vad", "FsmnVADStreaming", "cuda:0")


@pytest.mark.parametrize("file", ["model.pt", "am.mvn", "config.yaml", "configuration.json"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00nonsense", b"{"])
def test_damaged_file(copied: Callable[[str], Path], file: str, content: bytes) -> None:
    path = copied("vad")
    (path / file).write_bytes(content)
    assert refusal(path, "FsmnVADStreaming").startswith("vad: ")


def test_cut_off_weights(copied: Callable[[str], Path]) -> None:
    path = copied("vad")
    (path / "model.pt").write_bytes((path / "model.pt").read_bytes()[:50_000])
    assert refusal(path, "FsmnVADStreaming").startswith("vad: ")


def test_weights_that_lack_tensors(copied: Callable[[str], Path]) -> None:
    """funasr prints a line and goes on with random numbers."""
    path = copied("vad")
    rewrite(path, lambda weights: weights.__delitem__(next(iter(weights))))
    assert refusal(path, "FsmnVADStreaming") == "vad: the weights lack 1 of the model's tensors"


def test_weights_of_another_shape(copied: Callable[[str], Path]) -> None:
    path = copied("vad")
    rewrite(path, lambda weights: weights.update({k: v[..., :3] for k, v in list(weights.items())[:1]}))
    assert refusal(path, "FsmnVADStreaming").startswith("vad: cannot be loaded")


def test_weights_that_are_not_finite(copied: Callable[[str], Path]) -> None:
    path = copied("vad")
    rewrite(path, lambda weights: next(iter(weights.values())).view(-1)[:1].fill_(torch.nan))
    assert "not finite" in refusal(path, "FsmnVADStreaming")


def test_extra_files_in_the_listing_are_not_needed(copied: Callable[[str], Path]) -> None:
    path = copied("paraformer")
    listing = json.loads((path / "configuration.json").read_text())
    listing["file_path_metas"]["tokenizer_conf"]["seg_dict_file"] = "seg_dict"
    (path / "configuration.json").write_text(json.dumps(listing))
    assert by_torch(path, "ParaformerStreaming").about.parameters > 0
