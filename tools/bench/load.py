"""The load generator: a process of its own, so that its work can be told from the server's.

``python -m tools.bench.load '{"url", "wire", "clients", "seconds", "seed"}'`` plays that many recordings in real
time, on one thread, and prints a JSON object a line: ``{"phase": "playing"}`` when all are connected and begin,
``{"phase": "stopped"}`` when the last has stopped, at last ``{"observed": …}``.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from tests.support import utterances

from .clients import CLIENTS, Client
from .observe import CHUNK_MS, Observed, ours, theirs
from .speech import Arrivals, Packet, Speech, even, ragged, speech

SPREAD_S = 1.9  # the recordings begin within so long, on no common grid
GOLDEN = 0.618034
FINAL_S = 90.0


@dataclass(frozen=True, slots=True)
class Plan:
    url: str
    wire: str  # xingji or funasr
    clients: int
    seconds: float
    seed: int = 0
    chunk_ms: int = CHUNK_MS


@dataclass(frozen=True, slots=True)
class Line:
    """One client's part."""

    said: Speech
    packets: list[Packet]
    phase_s: float


def lines(plan: Plan) -> list[Line]:
    said, seeds = utterances(), range(plan.seed, plan.seed + plan.clients)
    cut = ragged if plan.wire == "xingji" else even
    spoken = [speech(plan.seconds, seed, said) for seed in seeds]
    return [
        Line(one, cut(one.samples, seed), (number * GOLDEN % 1) * SPREAD_S)
        for number, (one, seed) in enumerate(zip(spoken, seeds, strict=True))
    ]


async def pace(client: Client, line: Line, zero: float) -> tuple[float, float, list[float]]:
    """Say it all in real time and stop. The clock at the recording's begin and at its end, and how far behind its plan
    each packet was sent."""
    begun, late = zero + line.phase_s, list[float]()
    await asyncio.sleep(begun - time.monotonic())
    for packet in line.packets:
        due = begun + packet.due_s
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        late.append(time.monotonic() - due)
        await client.send(line.said.pcm[2 * packet.begin : 2 * packet.end])
    stopped = time.monotonic()
    await client.stop()
    return begun, stopped, late


async def record(client: Client, line: Line, zero: float, plan: Plan, stops: "Countdown") -> Observed:
    try:
        begun, stopped, late = await pace(client, line, zero)
    finally:
        stops.one()
    await client.finish(FINAL_S)
    told = client.heard, line.said, Arrivals(line.packets), begun, stopped
    seen = ours(*told, plan.chunk_ms) if plan.wire == "xingji" else theirs(*told)
    seen.late = late
    for code, count in client.errors.items():
        seen.fault(code, count)
    return seen


class Countdown:
    """Says when the last client has stopped."""

    def __init__(self, clients: int) -> None:
        self._left = clients

    def one(self) -> None:
        self._left -= 1
        if not self._left:
            say({"phase": "stopped"})


async def play(plan: Plan) -> Observed:
    parts = lines(plan)
    clients: list[Client] = [await CLIENTS[plan.wire].connect(plan.url) for _ in parts]
    await asyncio.gather(*(client.start() for client in clients))
    gc.collect()
    gc.freeze()  # the recordings' packets need no visits while time is measured
    say({"phase": "playing"})
    zero, stops = time.monotonic() + 0.2, Countdown(len(parts))
    pairs = zip(clients, parts, strict=True)
    ended = await asyncio.gather(
        *(record(client, line, zero, plan, stops) for client, line in pairs), return_exceptions=True
    )
    seen = Observed()
    for one in ended:
        seen.add(Observed(errors={type(one).__name__: 1}) if isinstance(one, BaseException) else one)
    return seen


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    seen = asyncio.run(play(plan))
    say({"observed": asdict(seen)})


if __name__ == "__main__":
    main()
