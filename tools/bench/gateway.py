"""What sockets cost the gateway, whatever the models do: ``python -m tools.bench.gateway --help``.

Streaming: so many recordings of faint noise at a time, ten frames a second each, in which the detector finds no
speech; the gateway's share of a core, and how long an event of another connection takes there and back meanwhile.
Idle: so many connections that say nothing, and the memory that they take.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.support import RATE, ROOT

from .clients import Xingji, opened
from .figures import milliseconds
from .load import GOLDEN, say
from .resources import cpu_s, machine, pss_mb
from .run import settle
from .servers import Xingji as Server
from .servers import model_label

FRAME_S = 0.1
PROBE_S = 0.05
OPENED_AT_ONCE = 50
IDLE_S = 10.0


class Probe(Xingji):
    """Asks for an answer to an event, again and again."""

    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self.waits: list[float] = []
        self._answered = asyncio.Event()

    async def run(self, until: float) -> None:
        await self._put("40")
        await asyncio.sleep(1.0)
        while time.monotonic() < until:
            begun = time.monotonic()
            self._answered.clear()
            await self._put('421["ping_latency",{}]')
            await asyncio.wait_for(self._answered.wait(), 30)
            self.waits.append(time.monotonic() - begun)
            await asyncio.sleep(PROBE_S)

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, str) and message.startswith("431"):
            self._answered.set()
        else:
            await super()._take(message)


async def connect_all(url: str, count: int) -> list[Xingji]:
    clients: list[Xingji] = []
    while len(clients) < count:
        some = min(OPENED_AT_ONCE, count - len(clients))
        clients += await asyncio.gather(*(Xingji.connect(url) for _ in range(some)))
    return clients


async def stream(url: str, count: int, seconds: float) -> dict[str, Any]:
    noise = np.rint(np.random.default_rng(0).normal(0.0, 6.0, round(FRAME_S * RATE))).astype("<i2").tobytes()
    clients = await connect_all(url, count)
    for client in clients:
        await client.start()
    probe = Probe(await opened(url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"))
    begun = time.monotonic() + 0.5
    probing = asyncio.create_task(probe.run(begun + seconds))
    say({"phase": "playing"})

    async def play(number: int, client: Xingji) -> list[float]:
        late = list[float]()
        for frame in range(round(seconds / FRAME_S)):
            due = begun + (frame + number * GOLDEN % 1) * FRAME_S
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            late.append(time.monotonic() - due)
            await client.send(noise)
        return late

    late = await asyncio.gather(*(play(number, client) for number, client in enumerate(clients)))
    say({"phase": "stopped"})
    await probing
    for client in clients:
        await client.stop()
    await asyncio.gather(*(client.finish(60) for client in clients))
    errors = [code for client in clients for code in client.errors.elements()]
    return {"waits": probe.waits, "late": [s for one in late for s in one], "errors": errors}


async def idle(url: str, count: int) -> dict[str, Any]:
    clients = await connect_all(url, count)
    for client in clients:
        await client._put("40")
    await asyncio.sleep(IDLE_S / 2)
    say({"phase": "playing"})
    await asyncio.sleep(IDLE_S)
    say({"phase": "stopped"})
    await asyncio.gather(*(client.finish(0.01) for client in clients))
    return {"errors": [code for client in clients for code in client.errors.elements() if code != "timeout"]}


def measured(server: Server, kind: str, count: int, seconds: float) -> tuple[float, float, dict[str, Any]]:
    """Share of a core, MB that the gateway grew by, and what the clients tell. Raises RuntimeError where they fail."""
    settle(server)
    pid = server.processes()["gateway"]
    before_mb, marks = pss_mb(pid), list[tuple[float, float, float]]()
    plan = json.dumps({"url": server.url, "kind": kind, "count": count, "seconds": seconds})
    command = [sys.executable, "-m", "tools.bench.gateway", "--play", plan]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            marks.append((time.monotonic(), cpu_s(pid), pss_mb(pid)))
            lines.append(json.loads(line))
    if len(lines) != 3:
        raise RuntimeError("the clients failed; their message is above")
    (begun, before, _), (stopped, after, mb) = marks[:2]
    told: dict[str, Any] = lines[2]
    return (after - before) / (stopped - begun), mb - before_mb, told


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.gateway", description=__doc__)
    parser.add_argument("--models", default="minipack", help="minipack or a directory")
    parser.add_argument("--streaming", type=int, nargs="*", default=[1, 50, 100, 200])
    parser.add_argument("--idle", type=int, nargs="*", default=[500, 2000])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--play", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.play:
        plan = json.loads(options.play)
        url, count = plan["url"], plan["count"]
        told = stream(url, count, plan["seconds"]) if plan["kind"] == "streaming" else idle(url, count)
        say(asyncio.run(told))
        return
    print(machine())
    print(f"{model_label(options.models)}; {options.seconds:g} s a run; ms are p50 / p95 / p99\n")
    print("| sockets | gateway, % of a core | grew by, MB | event there and back, ms | sent late, ms | errors |")
    print("|--:|--:|--:|--:|--:|---|")
    with Server(options.models, max([1, *options.streaming]), {}) as server:
        for kind in ("streaming", "idle"):
            for count in getattr(options, kind):
                share, grown, told = measured(server, kind, count, options.seconds)
                waits, late = (milliseconds(told.get(name, [])) for name in ("waits", "late"))
                errors = ", ".join(sorted(set(told["errors"]))) or "none"
                print(f"| {count} {kind} | {100 * share:.1f} | {grown:.0f} | {waits} | {late} | {errors} |", flush=True)


if __name__ == "__main__":
    main()
