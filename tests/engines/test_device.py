"""Models run on the device that was asked for; where it is absent or full, on the CPU, with the reason."""

import importlib
from pathlib import Path

import pytest
import torch

from xingji.engines.device import place
from xingji.engines.loading import load
from xingji.runtime import worker
from xingji.runtime.registry import official


@pytest.fixture
def devices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with so many CUDA devices, and perhaps Apple's."""
    cuda, mps = request.param
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


@pytest.mark.parametrize("devices", [(1, False)], indirect=True)
@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_full_device(devices: None, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: steps.append("empty"))

    def build(device: str) -> str:
        steps.append(device)
        if device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return device

    assert place(wanted, True, build) == ("cpu", "cuda_out_of_memory")
    assert steps == ["cuda:0", "empty", "cpu"]


def test_the_cpu_has_nothing_to_fall_back_to() -> None:
    def build(device: str) -> None:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        place("cpu", True, build)


def test_loading_does_not_blame_the_directory_for_a_full_device(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("funasr.AutoModel", full)
    with pytest.raises(torch.OutOfMemoryError):
        load(models / "vad", "cpu", "FsmnVADStreaming")


class Played:
    def __init__(self, models: dict[str, Path], device: str) -> None:
        self.device, self.warm = device, False

    def warm_up(self) -> None:
        self.warm = True


@pytest.mark.parametrize("devices", [(0, False)], indirect=True)
@pytest.mark.parametrize(("wanted", "reason"), [("cpu", None), ("auto", None), ("cuda", "cuda_unavailable")])
def test_a_worker_knows_why(devices: None, wanted: str, reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(worker.ROLES, "stream", Played)  # type: ignore[arg-type]
    role, degraded = worker.load("stream", {"models": {}, "device": wanted, "mps": True})
    assert isinstance(role, Played)
    assert (role.device, role.warm, degraded) == ("cpu", True, reason)


@pytest.mark.parametrize("id", official())
def test_the_registry_names_engines_that_are_there(id: str) -> None:
    module, name = official()[id].engine.split(":")
    assert isinstance(getattr(importlib.import_module(module), name), type)
