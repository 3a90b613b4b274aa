"""What processes use, read from /proc (Linux), and what machine this is."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FLAGS = ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES = ("torch", "onnxruntime", "funasr")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_s: float  # over the run
    pss_mb: float  # at its end; pages shared by n processes count 1/n in each


def cpu_s(pid: int) -> float:
    """Processor seconds so far, user and system, all threads; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def resident(pid: int) -> int:
    """MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def all_cpu_s() -> float:
    """Processor seconds that the whole machine has spent working so far."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


class Meter:
    """What each process uses between its beginning and ``stop``, and what else the machine does (``others_s``)."""

    others_s = 0.0

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}

    def stop(self) -> dict[str, Usage]:
        return {name: Usage(max(0.0, cpu_s(pid) - self._before[name]), pss_mb(pid)) for name, pid in self._pids.items()}


def gpu_mb() -> float | None:
    """Memory in use on all GPUs; None where there is no nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    return None if told.returncode else sum(float(line) for line in told.stdout.split())


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    cpu = facts.get("model name", platform.processor())
    flags = " ".join(flag for flag in FLAGS if flag in facts.get("flags", "").split()) or "no avx2"
    load = os.getloadavg()[0]
    versions = "".join(f", {name} {version}" for name in PACKAGES if (version := _version(name)))
    return (
        f"{cpu} ({flags}), {os.cpu_count()} cores, load {load:.1f} before the run, "
        f"Python {platform.python_version()}{versions}"
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
