"""What tests share: where models and recordings lie, a server in its own process, a client that records."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import socketio

ROOT = Path(__file__).resolve().parents[1]
SPEECH = ROOT / "tests" / "data" / "speech"
RATE = 16_000
FRAME = 3200  # bytes of 100 ms

GUNICORN = (sys.executable, "-m", "gunicorn", "asr_api_server:app")  # instead of the server's own
START_S = 120.0  # a busy machine may take this long to import torch twice
ANSWER_S = 60.0


def model_directory() -> Path | None:
    """The directory named by XINGJI_MODELS, else the embedded pack, else None."""
    named = os.environ.get("XINGJI_MODELS", "")
    root = Path(named) if named and Path(named).is_dir() else ROOT / "xingji" / "minipack"
    parts = ("vad", "paraformer", "punc", "sensevoice")
    return root if all((root / part / "model.pt").is_file() for part in parts) else None


@dataclass(frozen=True, slots=True)
class Utterance:
    """One frozen recording and what is said in it."""

    name: str
    pcm: bytes  # s16le, 16 kHz
    sentences: tuple[dict[str, Any], ...]  # spoken, written, begin_ms, end_ms
    exact: bool  # the pack gets its written form exactly right

    @property
    def written(self) -> str:
        return "".join(sentence["written"] for sentence in self.sentences)

    @property
    def spoken(self) -> str:
        return "".join(sentence["spoken"] for sentence in self.sentences)

    @property
    def milliseconds(self) -> int:
        return len(self.pcm) // 2 * 1000 // RATE


def read_wav(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return file.readframes(file.getnframes())


def utterances() -> list[Utterance]:
    listing = json.loads((ROOT / "tests" / "data" / "speech.json").read_text("utf-8"))
    return [
        Utterance(item["file"][:-4], read_wav(SPEECH / item["file"]), tuple(item["sentences"]), bool(item["exact"]))
        for item in listing
    ]


def utterance(name: str) -> Utterance:
    return next(item for item in utterances() if item.name == name)


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE))


class Server:
    """``command``, run in ``cwd``, on a free port and with its own hotword file; a context manager."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str] = (sys.executable, "asr_api_server.py"),
        cwd: Path = ROOT,
        **environment: str,
    ) -> None:
        self._command, self._cwd = command, cwd
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.hotwords = folder / "hotwords.json"
        self.hotwords.write_text('{"hotwords": []}', "utf-8")
        self.tables = folder / "hotword_tables"
        self.log = folder / "server.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("XINGJI_", "LLM_"))}
        self._environment = clean | {
            "XINGJI_PORT": str(self.port),
            "XINGJI_FUNASR_PORT": "0",  # many servers at a time, and one such port
            "XINGJI_MODELS": os.environ.get("XINGJI_MODELS") or "minipack",
            "XINGJI_HOTWORDS": str(self.hotwords),
            "XINGJI_HOTWORD_TABLES": str(self.tables),
            "XINGJI_JOBS_DIR": str(folder / "jobs"),
            "XINGJI_LIVE_LOAD": "0",  # a busy machine would make the server refuse what tests send
            "LLM_API_URL": "",
            **environment,
        }

    def __enter__(self) -> "Server":
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait(lambda: self.get("/api/ready").status_code == 200, START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Until ``done``; a server that is not there yet counts as not done."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            try:
                if done():
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not done within {seconds} s\n{self.log.read_text('utf-8')}")

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=ANSWER_S, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=ANSWER_S, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return requests.delete(self.url + path, timeout=ANSWER_S, **options)

    def worker_pids(self) -> dict[str, int]:
        """Process ids of the inference workers by name; gunicorn has a process between them and its own."""
        found, parents = {}, {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except (OSError, IndexError):
                    continue
                if b"xingji.runtime.worker" in words:
                    found[int(entry.name)] = words[words.index(b"xingji.runtime.worker") + 1].decode()
        above = {pid: {parents[pid], parents.get(parents[pid])} for pid in found}
        named: dict[str, int] = {}
        for pid, role in sorted(found.items()):
            if self.process.pid in above[pid]:
                others = sum(name.partition("_")[0] == role for name in named)
                named[f"{role}_{others + 1}" if others else role] = pid
        return named


class Recorder:
    """A Socket.IO client that keeps every event it gets, in order; a context manager."""

    def __init__(self, url: str, transports: tuple[str, ...] = ("websocket",), **connect: Any) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()
        self.client = socketio.Client(reconnection=False)
        self.client.on("*", self._take)
        try:
            self.client.connect(url, transports=list(transports), **connect)
        except socketio.exceptions.ConnectionError:
            self._hang_up()
            raise

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self._hang_up()

    def _hang_up(self) -> None:
        """engineio leaves the socket open where the server ended the connection."""
        if self.client.eio.ws is not None:
            self.client.eio.ws.shutdown()

    def _take(self, event: str, body: Any = None, *_: Any) -> None:
        with self._changed:
            self.events.append((event, body))
            self._changed.notify_all()

    def named(self, event: str) -> list[dict[str, Any]]:
        with self._changed:
            return [body for name, body in self.events if name == event]

    def expect(self, event: str, count: int = 1, seconds: float = ANSWER_S) -> dict[str, Any]:
        """Wait for the ``count``-th ``event`` and return it."""

        def there() -> bool:
            return sum(name == event for name, _ in self.events) >= count

        with self._changed:
            assert self._changed.wait_for(there, seconds), f"no {event} among {[name for name, _ in self.events]}"
        return self.named(event)[count - 1]

    def expect_where(
        self, event: str, fits: Callable[[dict[str, Any]], bool], seconds: float = ANSWER_S
    ) -> dict[str, Any]:
        """Wait for an ``event`` that ``fits`` and return the first one."""

        def found() -> dict[str, Any] | None:
            return next((body for name, body in self.events if name == event and fits(body)), None)

        with self._changed:
            body = self._changed.wait_for(found, seconds)
        assert body, f"no such {event} among {self.named(event)}"
        return body

    def start(self, **options: Any) -> dict[str, Any]:
        ack = self.client.call("start_recording", options, timeout=ANSWER_S)
        assert ack["ok"], ack
        return ack

    def play(self, pcm: bytes, pace: float = 1.0, frame: int = FRAME) -> None:
        """Send ``pcm``; ``pace`` 1 is real time, 0 as fast as it goes."""
        begun = time.monotonic()
        for number, at in enumerate(range(0, len(pcm), frame)):
            if pace:
                time.sleep(max(0.0, begun + number * frame / 2 / RATE / pace - time.monotonic()))
            self.client.emit("audio_data", pcm[at : at + frame])

    def stop(self) -> dict[str, Any]:
        """Stop and return the final result of this recording."""
        count = len(self.named("final_result")) + 1
        ack = self.client.call("stop_recording", timeout=ANSWER_S)
        assert ack["ok"], ack
        return self.expect("final_result", count)

    def partials(self) -> list[str]:
        """Texts that were shown before ``recording_stopped``."""
        names = [name for name, _ in self.events]
        until = names.index("recording_stopped") if "recording_stopped" in names else len(names)
        return [b["full_text"] for name, b in self.events[:until] if name == "transcription" and b["full_text"]]


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")
