"""How long people wait: paced recordings against a real server, as a table.

``python -m tools.bench --label "mini pack" --clients 1 2 4`` starts a server of its own for each number of
clients, plays ``tests/data/speech`` in real time from all of them at once, and prints a Markdown table:

* first text: speech begins (reference label) → the sentence's first partial with text arrives;
* second pass: speech ends (reference label) → the sentence's second pass arrives;
* final: ``stop_recording`` is sent → ``final_result`` arrives;
* RSS of gateway and workers at the end.

The clients share the machine with the server; figures are for comparing, not for bragging.
"""

import argparse
import os
import platform
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.support import FRAME, RATE, Recorder, Server, Utterance, utterances


@dataclass(slots=True)
class Waits:
    """Seconds."""

    first_text: list[float] = field(default_factory=list)
    second_pass: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)

    def add(self, other: "Waits") -> None:
        self.first_text += other.first_text
        self.second_pass += other.second_pass
        self.final += other.final


class Stopwatch(Recorder):
    """Remembers when each event came."""

    def __init__(self, url: str) -> None:
        self.came: list[tuple[float, str, dict[str, Any]]] = []
        super().__init__(url)

    def _take(self, event: str, body: Any = None, *rest: Any) -> None:
        self.came.append((time.monotonic(), event, body))
        super()._take(event, body, *rest)


def record(url: str, said: Utterance) -> Waits:
    """Play one recording in real time and measure."""
    waits = Waits()
    with Stopwatch(url) as client:
        client.start()
        begun = time.monotonic()
        for number, at in enumerate(range(0, len(said.pcm), FRAME)):
            # A frame is sent when a microphone would have filled it.
            time.sleep(max(0.0, begun + (number + 1) * FRAME / 2 / RATE - time.monotonic()))
            client.client.emit("audio_data", said.pcm[at : at + FRAME])
        stopped = time.monotonic()
        client.stop()
        sentences: dict[int, dict[str, float]] = {}
        for at, event, body in client.came:
            sentence = body.get("sentence") if isinstance(body, dict) else None
            if event == "transcription" and sentence and sentence["text"]:
                sentences.setdefault(sentence["id"], {}).setdefault("first", at)
            if event == "segment_result":
                sentences.setdefault(sentence["id"], {}).setdefault("second", at)
            if event == "final_result":
                waits.final.append(at - stopped)
        for truth, found in zip(said.sentences, (sentences[id] for id in sorted(sentences)), strict=False):
            if "first" in found:
                waits.first_text.append(found["first"] - begun - truth["begin_ms"] / 1000)
            if "second" in found:  # a sentence that was dropped has none
                waits.second_pass.append(found["second"] - begun - truth["end_ms"] / 1000)
    return waits


def run(clients: int, rounds: int, models: str | None) -> tuple[Waits, dict[str, int]]:
    """``clients`` recordings at a time, ``rounds`` of them one after another; RSS in MB by process."""
    said = utterances()
    waits, lock = Waits(), threading.Lock()

    def play(number: int) -> None:
        for turn in range(rounds):
            found = record(server.url, said[(number * rounds + turn) % len(said)])
            with lock:
                waits.add(found)

    settings = {"XINGJI_MODELS": models} if models else {}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), **settings) as server:
        threads = [threading.Thread(target=play, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pids = {"gateway": server.process.pid, **server.worker_pids()}
        memory = {name: resident(pid) for name, pid in pids.items()}
    return waits, memory


def resident(pid: int) -> int:
    """MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def spread(seconds: Sequence[float]) -> str:
    p50, p95, p99 = np.percentile(seconds, (50, 95, 99))
    return f"{p50 * 1000:.0f} / {p95 * 1000:.0f} / {p99 * 1000:.0f}"


def machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    return f"{cpu}, {os.cpu_count()} cores, load {load:.1f} before the run, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--label", required=True, help="which models these are, for the table")
    parser.add_argument("--models", help="model directory; default: the one the tests use")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=4, help="recordings of each client")
    wanted = parser.parse_args()
    print(f"{wanted.label}; {machine()}\n")
    print("| clients | first text p50/p95/p99 ms | second pass | final | RSS MB |")
    print("|--:|--:|--:|--:|---|")
    for clients in wanted.clients:
        waits, memory = run(clients, wanted.rounds, wanted.models)
        used = ", ".join(f"{name} {size}" for name, size in memory.items())
        cells = (clients, spread(waits.first_text), spread(waits.second_pass), spread(waits.final), used)
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
