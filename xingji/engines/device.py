"""Which device the models of a process run on: the one asked for, else the CPU and the reason why.

ROCm builds of torch call their devices cuda, so they need no word of their own. torch is imported only where there
may be a device: without it a process starts in a tenth of the time.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# What a RuntimeError says where torch does not raise its own class: MPS and the CUDA runtime, then cuBLAS.
_FULL = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
# Where a Linux without any of these has no device: NVIDIA's, the one of Windows' subsystem, AMD's.
_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")


def place(wanted: str, mps: bool, build: Callable[[str], T]) -> tuple[T, str | None]:
    """``build(device)`` on the device asked for: what it made, and why that is on the CPU if it should not be.

    ``wanted``: auto, cpu, cuda, cuda:N or mps; without ``mps`` Apple's device counts as absent. Reasons, which
    are stable: ``cuda_unavailable``, ``mps_unavailable`` and those of ``out_of_memory``. ``auto`` takes the
    best there is; only a device that is full is worth a reason then.
    """
    device, reason = _choose(wanted, mps)
    try:
        return build(device), reason
    except RuntimeError as error:
        shortage = out_of_memory(device, error)
        if shortage is None:
            raise
    give_back(device)  # here, outside the handler, the traceback no longer holds what was built
    return build("cpu"), shortage


def out_of_memory(device: str, error: Exception) -> str | None:
    """``cuda_out_of_memory`` or ``mps_out_of_memory`` where ``error`` says so of ``device``; never of the CPU."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return None
    import torch

    full = isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _FULL)
    return f"{kind}_out_of_memory" if full else None


def give_back(device: str) -> None:
    """Let others have the memory of ``device`` that torch holds for later use."""
    import torch

    if device == "mps":
        torch.mps.empty_cache()
    else:
        torch.cuda.empty_cache()


def _choose(wanted: str, mps: bool) -> tuple[str, str | None]:
    kind, _, index = wanted.partition(":")
    if kind == "cpu" or (kind == "auto" and not _may_be_there()):
        return "cpu", None
    import torch

    cuda = torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()
    mps = mps and torch.backends.mps.is_available()
    match kind:
        case "auto":
            return ("cuda:0" if cuda else "mps" if mps else "cpu"), None
        case "cuda":
            return (f"cuda:{index or 0}", None) if cuda else ("cpu", "cuda_unavailable")
        case _:
            return ("mps", None) if mps else ("cpu", "mps_unavailable")


def _may_be_there() -> bool:
    return not sys.platform.startswith("linux") or any(Path(node).exists() for node in _NODES)
