"""One run: a started server, the load generator beside it, and everything that is measured meanwhile."""

import json
import queue
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import IO, Any

from tests.support import ROOT

from . import figures
from .clients import OPENING_S
from .figures import LAG_S, LOAD, Run
from .load import FINAL_S, Plan
from .observe import Observed
from .resources import Meter, cpu_s, gpu_mb
from .servers import Subject

SAMPLING_S = 2.0
SETTLING_S, IDLE = 120.0, 0.1  # at most so long; less than so much of a core
LAG = "xingji_partial_lag_seconds"


def run(subject: Subject, clients: int, seconds: float, seed: int = 0) -> Run:
    """Play ``clients`` recordings of ``seconds`` at a time. Raises RuntimeError where the load generator fails."""
    settle(subject)
    plan = Plan(subject.url, subject.wire, clients, seconds, seed, subject.chunk_ms)
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.bench.load", json.dumps(asdict(plan))],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        return _measured(subject, child, plan)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()


def settle(subject: Subject) -> None:
    """Until the server is idle: an overloaded run may leave it work that the next one must not wait for."""
    deadline = time.monotonic() + SETTLING_S
    while time.monotonic() < deadline:
        before = sum(map(cpu_s, subject.processes().values()))
        time.sleep(1.0)
        if sum(map(cpu_s, subject.processes().values())) - before < IDLE:
            return


def _measured(subject: Subject, child: subprocess.Popen[str], plan: Plan) -> Run:
    assert child.stdout is not None
    lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
    _await(lines, OPENING_S + plan.clients)
    before, begun = subject.metrics(), time.monotonic()
    meter = Meter(subject.processes() | {LOAD: child.pid})
    waiting: dict[str, float] = {}
    while (line := _next(lines, SAMPLING_S)) is None:
        for (name, _), jobs in subject.metrics().items():
            if name.endswith("_jobs_waiting"):
                role = name.removeprefix("xingji_").removesuffix("_worker_jobs_waiting")
                waiting[role] = max(waiting.get(role, 0.0), jobs)
        if time.monotonic() - begun > 2 * plan.seconds + FINAL_S:
            raise RuntimeError("the load generator does not end")
    processes, wall = meter.stop(), time.monotonic() - begun
    memory = gpu_mb()
    told = line if "observed" in line else _await(lines, FINAL_S + OPENING_S)
    samples = figures.grown(before, subject.metrics())
    return Run(
        subject.name,
        plan.clients,
        plan.seconds,
        _observed(told["observed"]),
        wall,
        processes,
        figures.engines(samples),
        figures.histogram(samples, LAG),
        figures.share_within(samples, LAG, LAG_S),
        waiting,
        memory,
        meter.others_s,
    )


def _read(output: IO[str], lines: "queue.Queue[dict[str, Any] | None]") -> None:
    for line in output:
        lines.put(json.loads(line))
    lines.put(None)


def _next(lines: "queue.Queue[dict[str, Any] | None]", seconds: float) -> dict[str, Any] | None:
    """None where nothing came. Raises RuntimeError at the end."""
    try:
        line = lines.get(timeout=seconds)
    except queue.Empty:
        return None
    if line is None:
        raise RuntimeError("the load generator ended early; its message is above")
    return line


def _await(lines: "queue.Queue[dict[str, Any] | None]", seconds: float) -> dict[str, Any]:
    line = _next(lines, seconds)
    if line is None:
        raise RuntimeError("the load generator does not answer")
    return line


def _observed(raw: dict[str, Any]) -> Observed:
    partial = [(at, lag, least) for at, lag, least in raw.pop("partial")]
    return Observed(partial=partial, **raw)
