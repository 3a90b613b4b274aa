"""How fast a long file is transcribed, alone and beside live recordings. ``python -m tools.bench.upload --models DIR``

Uploads a file of ``--minutes`` (the recordings of ``tests/data/speech`` over and over, with their pauses) to a server
of its own, first alone, then while ``--live`` people speak, and prints both as a Markdown table: times faster than real
time, processor time by process, and how late the live texts were meanwhile.
"""

import argparse
import io
import threading
import time
import wave
from pathlib import Path

import requests

from tests.support import RATE, utterances

from .figures import Run, value
from .resources import cpu_s, machine
from .run import run
from .servers import Xingji, model_label


def recording(minutes: float) -> bytes:
    """A WAV file."""
    once = b"".join(said.pcm for said in utterances())
    pcm = (once * int(minutes * 60 * RATE * 2 // len(once) + 1))[: 2 * int(minutes * 60 * RATE)]
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(pcm)
    return file.getvalue()


def upload(server: Xingji, file: bytes) -> tuple[float, dict[str, float], int]:
    """Seconds that it took, processor seconds by process, and the text's length."""
    before = {name: cpu_s(pid) for name, pid in server.processes().items()}
    begun = time.monotonic()
    answer = requests.post(f"{server.url}/api/asr/transcribe", files={"file": ("long.wav", file)}, timeout=3600)
    took = time.monotonic() - begun
    answer.raise_for_status()
    spent = {name: cpu_s(pid) - before[name] for name, pid in server.processes().items()}
    return took, spent, int(answer.json()["data"]["length"])


def beside(server: Xingji, file: bytes, live: int, seconds: float) -> tuple[tuple[float, dict[str, float], int], Run]:
    """The upload while ``live`` people speak for ``seconds``; it begins when they do and should end before."""
    heard: list[Run] = []
    talk = threading.Thread(target=lambda: heard.append(run(server, live, seconds)))
    talk.start()
    deadline = time.monotonic() + 60
    while value(server.metrics(), "xingji_recordings_active") < live and time.monotonic() < deadline:
        time.sleep(0.1)
    done = upload(server, file)
    talk.join()
    return done, heard[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.upload", description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="minipack", help="minipack (default), official or a directory")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--live", type=int, default=4)
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the server")
    options = parser.parse_args()
    models = options.models if options.models in ("minipack", "official") else str(Path(options.models).resolve())
    settings = {"XINGJI_MAX_UPLOAD_BYTES": str(1 << 30), **dict(pair.split("=", 1) for pair in options.set)}
    file = recording(options.minutes)
    print(f"{model_label(models)}; {', '.join(options.set) or 'one worker of each role'}; {machine()}\n")
    print(
        "| live recordings | file | took | times real time | processor s | live partial lag p50 / p95 / p99 ms | text |"
    )
    print("|--:|--:|--:|--:|---|---|--:|")
    with Xingji(models, 100, settings) as server:
        took, spent, length = upload(server, file)
        row(0, options.minutes, took, spent, "", length)
        if options.live:
            seconds = 3 * took + 10
            (took, spent, length), heard = beside(server, file, options.live, seconds)
            row(options.live, options.minutes, took, spent, str(heard.lag or "–"), length)


def row(live: int, minutes: float, took: float, spent: dict[str, float], lag: str, length: int) -> None:
    work = ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent.items())
    cells = [live, f"{minutes:g} min", f"{took:.1f} s", f"{60 * minutes / took:.1f}", work, lag, f"{length} characters"]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
