"""Does a set of models do its work here? One command, one Markdown report, exit status 1 if it does not.

``python -m tools.verify_official`` downloads the official models where they are missing, starts a
server with them and sends it a check set over Socket.IO as fast as it takes it. The set is

* ``--aishell DIR``: AISHELL-1's test part, from an unpacked ``data_aishell`` (``wav/test``, ``transcript``);
* ``--set LISTING.jsonl``: lines of ``{"file", "text", "subset"}``; paths are relative to the listing,
  ``text`` is what is said, numbers as words; ``subset`` may be absent;
* else the recordings of ``tests/data``.

Recordings are 16 kHz, mono, 16 bit. Texts are compared as spoken (``itn`` off), without punctuation. The
report gives the character error rate of the second pass and of the streamed text, the real-time factor, how
long people wait (``tools.bench.waits``, paced, on the recordings of ``tests/data``, whose speech is labelled),
memory, and which models and versions these were. Both error rates must be at most 5 %.
"""

import argparse
import importlib.metadata
import json
import sys
import tempfile
import time
import wave
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support import RATE, ROOT, SPEECH, Recorder, Server, utterances
from tools.bench.figures import milliseconds
from tools.bench.resources import machine, resident
from tools.bench.waits import Waits, record
from tools.replay import read
from xingji import __version__
from xingji.core.scoring import cer
from xingji.runtime.models import PART_OF, ModelSet, ModelsMissing, download, find
from xingji.runtime.registry import RegistryError, Store, digest, official
from xingji.settings import Settings

LIMIT = 0.05
PACKAGES = ("torch", "funasr", "numpy")
TRANSCRIPT = Path("transcript") / "aishell_transcript_v0.8.txt"


@dataclass(frozen=True, slots=True)
class Item:
    file: Path
    text: str
    subset: str


@dataclass(frozen=True, slots=True)
class Heard:
    item: Item
    seconds: float
    streamed: str
    second_pass: str
    whole: bool  # no stage is missing and nothing failed


def embedded() -> list[Item]:
    rows = json.loads((ROOT / "tests" / "data" / "speech.json").read_text("utf-8"))
    return [
        Item(
            SPEECH / row["file"],
            "".join(sentence["spoken"] for sentence in row["sentences"]),
            "clean" if row["noise_snr_db"] is None else "noisy",
        )
        for row in rows
    ]


def listed(path: Path) -> list[Item]:
    """Raises ValueError naming the line that is not as it must be."""
    items = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
                items.append(Item(path.parent / row["file"], row["text"], row.get("subset", "all")))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise ValueError(f"{path.name}, line {number}: needs file and text") from error
    return items


def aishell(root: Path) -> list[Item]:
    """The test part, one subset for each speaker; the few recordings without a transcript are left out."""
    lines = (root / TRANSCRIPT).read_text("utf-8").splitlines()
    said = {name: text for name, _, text in (line.partition(" ") for line in lines)}
    files = sorted((root / "wav" / "test").glob("*/*.wav"))
    return [Item(file, said[file.stem], file.parent.name) for file in files if file.stem in said]


def hear(url: str, item: Item) -> Heard:
    pcm = read(item.file).tobytes()
    with Recorder(url) as client:
        client.start(itn=False, partials=False, llm=False)
        client.play(pcm, pace=0)
        final = client.stop()
    whole = final["error"] is None and not any(sentence["missing"] for sentence in final["sentences"])
    return Heard(item, len(pcm) / 2 / RATE, final["paraformer"], final["sensevoice"], whole)


def hear_all(url: str, items: Sequence[Item], clients: int) -> tuple[list[Heard], float]:
    """All of them, ``clients`` at a time, and how many seconds it took."""
    begun, heard = time.monotonic(), list[Heard]()
    with ThreadPoolExecutor(clients) as pool:
        for one in pool.map(lambda item: hear(url, item), items):
            heard.append(one)
            if len(heard) % 100 == 0:
                print(f"{len(heard)} of {len(items)}", file=sys.stderr, flush=True)
    return heard, time.monotonic() - begun


def rates(heard: Iterable[Heard]) -> tuple[float, float]:
    """Character error rates: second pass, streamed."""
    pairs = [(one.item.text, one.second_pass, one.streamed) for one in heard]
    return cer((text, second) for text, second, _ in pairs), cer((text, streamed) for text, _, streamed in pairs)


def accuracy(heard: Sequence[Heard]) -> list[str]:
    """A row for each subset, and the verdict on all."""
    lines = ["| subset | recordings | minutes | second pass CER | streamed CER |", "|---|--:|--:|--:|--:|"]
    for subset in sorted({one.item.subset for one in heard}):
        lines.append(_accuracy(subset, [one for one in heard if one.item.subset == subset]))
    verdicts = [f"{'pass' if rate <= LIMIT else 'FAIL'} (≤ {LIMIT:.0%})" for rate in rates(heard)]
    incomplete = sum(not one.whole for one in heard)
    return [
        *lines,
        _accuracy("**all**", heard),
        f"| **verdict** | | | {' | '.join(verdicts)} |",
        "",
        f"Recordings in which a stage failed: {incomplete}",
    ]


def _accuracy(name: str, heard: Sequence[Heard]) -> str:
    second, streamed = rates(heard)
    minutes = sum(one.seconds for one in heard) / 60
    return f"| {name} | {len(heard)} | {minutes:.1f} | {second:.2%} | {streamed:.2%} |"


def passed(heard: Sequence[Heard]) -> bool:
    return max(rates(heard)) <= LIMIT and all(one.whole for one in heard)


def identity(models: ModelSet, store: Store) -> list[str]:
    """Which weights these are: digests as of now, revisions as locked when they were downloaded."""
    locks = store.locked() if models.source == "official" else {}
    revisions = {PART_OF[entry.runs_on.role]: locks[id] for id, entry in official().items() if id in locks}
    lines = ["| part | model | from | weights | SHA-256 |", "|---|---|---|--:|---|"]
    for part, path in models.paths.items():
        lock, weights = revisions.get(part), digest(min(path.glob("model.*")))
        origin = f"{lock.hub} {lock.repo}@{lock.revision}" if lock else models.source
        size = f"{weights.size / 1e6:.1f} MB"
        lines.append(f"| {part} | {models.names[part]} | {origin} | {size} | `{weights.sha256}` |")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return [*lines, "", f"xingji {__version__}, {versions}"]


def verify(server: Server, items: Sequence[Item], clients: int, paced: int) -> tuple[list[str], bool]:
    """The measured part of the report, and whether all is well."""
    heard, took = hear_all(server.url, items, clients)
    waits = Waits()
    for said in utterances()[:paced]:
        waits.add(record(server.url, said))
    memory = {"gateway": server.process.pid, **server.worker_pids()}
    devices = {part: about["device"] for part, about in server.get("/api/health").json()["models"].items()}
    return [
        "## Accuracy",
        "",
        *accuracy(heard),
        "",
        "## Speed and memory",
        "",
        "| | |",
        "|---|---|",
        f"| real-time factor, {clients} at a time | {took / sum(one.seconds for one in heard):.3f} |",
        f"| first text p50/p95/p99 ms | {milliseconds(waits.first_text)} |",
        f"| second pass p50/p95/p99 ms | {milliseconds(waits.second_pass)} |",
        f"| final p50/p95/p99 ms | {milliseconds(waits.final)} |",
        f"| RSS MB | {', '.join(f'{name} {resident(pid)}' for name, pid in memory.items())} |",
        f"| devices | {', '.join(f'{part} {device}' for part, device in devices.items())} |",
    ], passed(heard)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.verify_official",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", default="official", help="official (default), minipack or a directory")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--set", type=Path, metavar="LISTING.jsonl")
    chosen.add_argument("--aishell", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N of them, spread over the set")
    parser.add_argument("--clients", type=int, default=1, help="recordings at a time (default 1)")
    parser.add_argument("--paced", type=int, default=8, help="recordings in real time, for the waits (default 8)")
    options = parser.parse_args()
    settings = Settings()
    store = Store(settings.models_cache, settings.hf_cache)
    wanted = options.models if options.models in ("official", "minipack") else str(Path(options.models).resolve())
    try:
        items = listed(options.set) if options.set else aishell(options.aishell) if options.aishell else embedded()
        if not items:
            parser.error("there is nothing to check")
        items = items[:: -(-len(items) // options.limit)] if options.limit else items
        if wanted == "official":
            download(store)
        about = identity(find(wanted, store), store)
        here = machine()
        with tempfile.TemporaryDirectory() as folder, Server(Path(folder), XINGJI_MODELS=wanted) as server:
            measured, fine = verify(server, items, options.clients, options.paced)
    except (OSError, EOFError, wave.Error, ValueError, ModelsMissing, RegistryError) as error:
        print(error, file=sys.stderr)
        return 2
    head = ["# Do these models do their work?", "", f"{time.strftime('%Y-%m-%d')}; {here}", ""]
    print("\n".join([*head, "## Models", "", *about, "", *measured]))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
