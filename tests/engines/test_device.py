"""Models run on the device that was asked for; where it is absent or full, on the CPU, with the reason."""

import importlib
from pathlib import Path

import pytest
import torch

from xingji.core.errors import EngineError
from xingji.engines.device import give_back, out_of_memory, place
from xingji.engines.loading import load
from xingji.runtime import worker
from xingji.runtime.registry import ENGINES


@pytest.fixture
def devices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with so many CUDA devices, and perhaps Apple's."""
    cuda, mps = request.param
    monkeypatch.setattr("xingji.engines.device._may_be_there", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("devices", "wanted", "mps", "expected"),
    [
        ((0, False), "auto", True, ("cpu", None)),
        ((1, False), "auto", True, ("cuda:0", None)),
        ((1, True), "auto", True, ("cuda:0", None)),
        ((0, True), "auto", True, ("mps", None)),
        ((0, True), "auto", False, ("cpu", None)),
        ((2, True), "cpu", True, ("cpu", None)),
        ((1, False), "cuda", True, ("cuda:0", None)),
        ((2, False), "cuda:1", True, ("cuda:1", None)),
        ((1, False), "cuda:1", True, ("cpu", "cuda_unavailable")),
        ((0, False), "cuda", True, ("cpu", "cuda_unavailable")),
        ((0, True), "cuda:0", True, ("cpu", "cuda_unavailable")),
        ((0, True), "mps", True, ("mps", None)),
        ((0, True), "mps", False, ("cpu", "mps_unavailable")),
        ((1, False), "mps", True, ("cpu", "mps_unavailable")),
    ],
    indirect=["devices"],
)
def test_the_best_there_is(devices: None, wanted: str, mps: bool, expected: tuple[str, str | None]) -> None:
    assert place(wanted, mps, lambda device: device) == expected


def test_where_no_device_can_be_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xingji.engines.device._may_be_there", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked"))
    assert place("auto", True, lambda device: device) == ("cpu", None)


CUDA_FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 36.00 MiB.")
MPS_FULL = RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GiB, max allowed: 18.1 GiB).")
CUBLAS_FULL = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize(
    ("devices", "wanted", "device", "error", "reason"),
    [
        ((1, False), "auto", "cuda:0", CUDA_FULL, "cuda_out_of_memory"),
        ((1, False), "cuda", "cuda:0", CUDA_FULL, "cuda_out_of_memory"),
        ((0, True), "auto", "mps", MPS_FULL, "mps_out_of_memory"),
    ],
    indirect=["devices"],
)
def test_a_full_device(
    devices: None, wanted: str, device: str, error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: steps.append("empty cuda:0"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: steps.append("empty mps"))

    def build(device: str) -> str:
        steps.append(device)
        if device != "cpu":
            raise error
        return device

    assert place(wanted, True, build) == ("cpu", reason)
    assert steps == [device, f"empty {device}", "cpu"]


@pytest.mark.parametrize(
    ("device", "error", "reason"),
    [
        ("cuda:1", CUDA_FULL, "cuda_out_of_memory"),
        ("cuda:0", torch.AcceleratorError("CUDA error: out of memory"), "cuda_out_of_memory"),
        ("cuda:0", CUBLAS_FULL, "cuda_out_of_memory"),
        ("mps", MPS_FULL, "mps_out_of_memory"),
        ("cpu", CUDA_FULL, None),
        ("cuda:0", RuntimeError("CUDA error: an illegal memory access was encountered"), None),
        ("cuda:0", ZeroDivisionError(), None),
        ("cuda:0", EngineError("the recogniser was given a part of a chunk"), None),
    ],
)
def test_what_counts_as_out_of_memory(device: str, error: Exception, reason: str | None) -> None:
    assert out_of_memory(device, error) == reason


def test_memory_can_be_given_back_where_there_is_no_device() -> None:
    give_back("cuda:0")


def test_the_cpu_has_nothing_to_fall_back_to() -> None:
    def build(device: str) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        place("cpu", True, build)


@pytest.mark.parametrize("error", [CUDA_FULL, MPS_FULL], ids=type)
def test_loading_does_not_blame_the_directory_for_a_full_device(
    models: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise error

    monkeypatch.setattr("funasr.AutoModel", full)
    with pytest.raises(type(error)):
        load(models / "vad", "mps", "FsmnVADStreaming", "torch")


class Played:
    def __init__(self, models: dict[str, Path], device: str, precision: str) -> None:
        self.device, self.warm = device, False

    def warm_up(self) -> None:
        self.warm = True


@pytest.mark.parametrize("devices", [(0, False)], indirect=True)
@pytest.mark.parametrize(("wanted", "reason"), [("cpu", None), ("auto", None), ("cuda", "cuda_unavailable")])
def test_a_worker_knows_why(devices: None, wanted: str, reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(worker.ROLES, "stream", Played)  # type: ignore[arg-type]
    role, degraded = worker.load("stream", {"models": {}, "device": wanted, "mps": True, "precision": "auto"})
    assert isinstance(role, Played)
    assert (role.device, role.warm, degraded) == ("cpu", True, reason)


@pytest.mark.parametrize("id", ENGINES)
def test_the_registry_names_engines_that_are_there(id: str) -> None:
    module, name = ENGINES[id].path.split(":")
    assert isinstance(getattr(importlib.import_module(module), name), type)
