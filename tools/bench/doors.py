"""What each protocol costs beside our own: ``python -m tools.bench.doors --help``.

One server; the same recordings are played through Socket.IO and through another door, one run after the other, in
turn which comes first. What is compared is the gateway's processor time from the first packet to the last, for the
models do the same work whoever asks, and how long after speech began the first text came.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from tests.support import RATE, ROOT, utterances

from .clients import Client
from .door_clients import DOORS
from .figures import milliseconds
from .load import FINAL_S, GOLDEN, SPREAD_S, Line, pace, say
from .resources import cpu_s, machine
from .run import settle
from .servers import Xingji, model_label
from .speech import even, speech

NATIVE = "socketio"
PACKET_MS = 100


@dataclass(frozen=True, slots=True)
class Play:
    """What the process of the clients is told."""

    url: str
    door: str
    clients: int
    seconds: float
    seed: int


@dataclass(slots=True)
class Heard:
    first_text: list[float] = field(default_factory=list)  # s; label's begin → first live text, a value a sentence
    finals: int = 0  # sentences with their final text
    errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    gateway: float  # share of a core
    heard: Heard


async def play(plan: Play) -> Heard:
    said = utterances()
    spoken = [speech(plan.seconds, plan.seed + number, said) for number in range(plan.clients)]
    lines = [
        Line(one, even(one.samples, plan.seed + number, PACKET_MS), (number * GOLDEN % 1) * SPREAD_S)
        for number, one in enumerate(spoken)
    ]
    clients: list[Client] = [await DOORS[plan.door].connect(plan.url) for _ in lines]
    await asyncio.gather(*(client.start() for client in clients))
    say({"phase": "playing"})
    zero = time.monotonic() + 0.2
    paced = await asyncio.gather(*(pace(client, line, zero) for client, line in zip(clients, lines, strict=True)))
    say({"phase": "stopped"})
    await asyncio.gather(*(client.finish(FINAL_S) for client in clients))
    heard, errors = Heard(), Counter[str]()
    for client, line, (begun, _, _) in zip(clients, lines, paced, strict=True):
        texts = [one.at - begun for one in client.heard if one.kind == "partial" and one.text]
        begins = [begin / RATE for begin, _ in line.said.labels if begin >= 0]
        for begin, after in pairwise([*begins, plan.seconds]):
            heard.first_text += [at - begin for at in texts if begin <= at < after][:1]
        heard.finals += sum(one.kind == "second" and one.text for one in client.heard)
        errors += client.errors
        if not any(one.kind == "final" for one in client.heard):
            errors["no final result"] += 1
    heard.errors = dict(errors)
    return heard


def run(server: Xingji, plan: Play) -> Run:
    """Raises RuntimeError where the clients fail."""
    settle(server)
    gateway = server.processes()["gateway"]
    command = [sys.executable, "-m", "tools.bench.doors", "--play", json.dumps(asdict(plan))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines: list[dict[str, Any]] = []
        marks: list[tuple[float, float]] = []
        for line in child.stdout:
            marks.append((time.monotonic(), cpu_s(gateway)))
            lines.append(json.loads(line))
    if len(lines) != 3:
        raise RuntimeError(f"the clients of {plan.door} failed; their message is above")
    (begun, before), (stopped, after) = marks[:2]
    return Run((after - before) / (stopped - begun), Heard(**lines[2]["heard"]))


def table(pairs: dict[str, list[tuple[Run, Run]]]) -> list[str]:
    """A line for each door: (Socket.IO, that door) for each round."""
    lines = [
        "| door | gateway, % of a core: Socket.IO, it | ratio: median (each) | first text after onset, ms, p50 / p95 / "
        "p99: Socket.IO | it | sentences | errors |",
        "|---|---|---|--:|--:|--:|---|",
    ]
    for door, runs in pairs.items():
        ratios = [other.gateway / native.gateway for native, other in runs]
        native, other = ([pair[side] for pair in runs] for side in (0, 1))
        errors = sum((Counter(one.heard.errors) for one in [*native, *other]), Counter[str]())
        shares = (f"{100 * median(one.gateway for one in side):.1f}" for side in (native, other))
        first = (milliseconds([s for one in side for s in one.heard.first_text]) for side in (native, other))
        sentences = (str(sum(one.heard.finals for one in side)) for side in (native, other))
        cells = [
            door,
            ", ".join(shares),
            f"{median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})",
            *first,
            ", ".join(sentences),
            ", ".join(f"{code} {count}" for code, count in errors.items()) or "none",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.doors", description=__doc__)
    parser.add_argument("--models", default="minipack", help="minipack or a directory")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--doors", nargs="+", default=[name for name in DOORS if name != NATIVE], choices=sorted(DOORS))
    parser.add_argument("--play", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.play:
        heard = asyncio.run(play(Play(**json.loads(options.play))))
        say({"heard": asdict(heard)})
        return
    pairs: dict[str, list[tuple[Run, Run]]] = {door: [] for door in options.doors}
    with Xingji(options.models, options.clients + 1, {}) as server:
        for round in range(options.rounds):
            for door in options.doors:
                order = (NATIVE, door) if round % 2 == 0 else (door, NATIVE)
                plans = (Play(server.url, one, options.clients, options.seconds, 1000 * round) for one in order)
                first, second = (run(server, plan) for plan in plans)
                pairs[door].append((first, second) if round % 2 == 0 else (second, first))
    print(machine())
    print(f"{model_label(options.models)}; {options.clients} recordings of {options.seconds:g} s at a time\n")
    print("\n".join(table(pairs)))


if __name__ == "__main__":
    main()
