"""Does memory stay flat? One recording in real time for many minutes, and what every process holds meanwhile.

``python -m tools.soak --minutes 20`` plays ``tests/data/speech`` over and over into a single recording and prints
resident megabytes and open files of gateway and workers as a Markdown table, a row a minute.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from tests.support import FRAME, RATE, Recorder, Server, utterances
from tools.bench.resources import machine, resident


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--models", help="model directory; default: the one the tests use")
    wanted = parser.parse_args()
    settings = {"XINGJI_MODELS": wanted.models} if wanted.models else {}
    pcm = b"".join(said.pcm for said in utterances())
    frames = itertools.cycle(pcm[at : at + FRAME] for at in range(0, len(pcm) // FRAME * FRAME, FRAME))
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), **settings) as server:
        pids = {"gateway": server.process.pid, **server.worker_pids()}
        print(f"{machine()}\n")
        print("| minute | " + " | ".join(f"{name} MB" for name in pids) + " | open files |")
        print("|--:|" + "--:|" * (len(pids) + 1))
        with Recorder(server.url) as client:
            client.start()
            begun = time.monotonic()
            for number in range(wanted.minutes * 60 * RATE * 2 // FRAME):
                time.sleep(max(0.0, begun + number * FRAME / 2 / RATE - time.monotonic()))
                client.client.emit("audio_data", next(frames))
                if number % 600 == 599:
                    held = [resident(pid) for pid in pids.values()]
                    files = sum(open_files(pid) for pid in pids.values())
                    print("| " + " | ".join(map(str, (number // 600 + 1, *held, files))) + " |", flush=True)
                    client.events.clear()
            final = client.stop()
        print(f"\n{len(final['sentences'])} sentences, {final['duration_ms'] / 60_000:.1f} min, error {final['error']}")


if __name__ == "__main__":
    main()
