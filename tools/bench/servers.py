"""The servers under test, each in processes of its own, as things that can be started and asked."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.support import ROOT, Server

from .figures import Samples, read_metrics
from .observe import CHUNK_MS

LOADING_S = 300.0
SHIM = Path(__file__).with_name("funasr_shim.py")


class Subject(Protocol):
    """A context manager: entering starts it and returns when it takes clients."""

    name: str
    wire: str
    chunk_ms: int  # the streaming recogniser's step

    @property
    def url(self) -> str: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def processes(self) -> dict[str, int]:
        """Process ids by name."""

    def metrics(self) -> Samples:
        """What it tells of itself; nothing where it tells nothing."""


class Xingji:
    """Ours, as ``python asr_api_server.py`` runs it, without LLM and with room for every client."""

    name, wire = "星纪 ASR", "xingji"

    def __init__(self, models: str, most: int, settings: Mapping[str, str]) -> None:
        """``settings``: more of them, by the names of their variables."""
        self._folder = tempfile.TemporaryDirectory()
        fixed = {
            "XINGJI_MODELS": models,
            "XINGJI_MAX_SESSIONS": str(most),
            "XINGJI_LIVE_LOAD": "0",  # how many it holds is what is asked; refusing more is another matter
            "XINGJI_LOG_LEVEL": "WARNING",
        }
        self._server = Server(Path(self._folder.name), **{**settings, **fixed})
        self.chunk_ms = int(settings.get("XINGJI_CHUNK_MS", CHUNK_MS))

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()
        self._folder.cleanup()

    def processes(self) -> dict[str, int]:
        return {"gateway": self._server.process.pid, **dict(sorted(self._server.worker_pids().items(), reverse=True))}

    def metrics(self) -> Samples:
        return read_metrics(self._server.get("/metrics").text)

    def runtimes(self) -> str:
        """What each recogniser computes with."""
        parts = self._server.get("/api/health").json()["models"]
        return ", ".join(f"{name} {about['runtime'] or 'torch'} on {about['device']}" for name, about in parts.items())


class Funasr:
    """FunASR's published Python websocket server, one process, through our shim (which see)."""

    name, wire, chunk_ms = "funasr_wss_server.py", "funasr", CHUNK_MS

    def __init__(self, script: Path, python: Path, models: Path, end_silence_ms: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        flags = ["--host", "127.0.0.1", "--port", str(self._port), "--certfile", ""]
        flags += ["--ngpu", "0", "--device", "cpu", "--ncpu", "1"]
        self._command = [str(python), str(SHIM), str(script), str(models), str(end_silence_ms), *flags]
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "server.log"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder.name, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + LOADING_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1.0).close()
            except OSError:
                time.sleep(0.2)
            else:
                return self
        told = self._log.read_text("utf-8", "replace")[-3000:]
        self.__exit__()
        raise RuntimeError(f"the baseline did not start\n{told}")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def processes(self) -> dict[str, int]:
        return {"server": self._process.pid}

    def metrics(self) -> Samples:
        return {}


def model_label(models: str) -> str:
    if models == "minipack":
        return "mini pack"
    if not Path(models).is_dir():
        return models
    random = (Path(models) / "RANDOM_WEIGHTS").exists()
    return "official size, random weights" if random else f"models in {Path(models).name}"


def prepare(models: Path, offline: bool) -> None:
    """Models of official size in ``models``, and their int8 graphs, made where they are missing."""
    folders = ["paraformer", "punc", "sensevoice", "vad"] + (["paraformer_offline"] if offline else [])
    if not all((models / name / "model.pt").is_file() for name in folders):
        flags = ["--offline"] if offline else []
        _do("-m", "tools.fullsize", str(models.resolve()), *flags)
    if not any((models / "paraformer").glob("graphs/*int8*")):
        _do("download_models.py", "--optimize", XINGJI_MODELS=str(models.resolve()))


def _do(*words: str, **environment: str) -> None:
    """What it says goes where the progress of the runs goes. Raises CalledProcessError."""
    subprocess.run([sys.executable, *words], cwd=ROOT, env=os.environ | environment, stdout=sys.stderr, check=True)
