"""What ``python -m tools.bench`` does: search, compare, report."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from . import cost
from .curve import Series, svg
from .figures import Run, Spread, as_raw
from .report import Report
from .resources import machine
from .run import run
from .search import Found, search
from .servers import Funasr, Subject, Xingji, model_label

Start = Callable[[], Subject]


def bench(options: argparse.Namespace) -> None:
    models = options.models if options.models in ("minipack", "official") else str(Path(options.models).resolve())
    report = Report(model_label(models), machine(), time.strftime("%Y-%m-%d"), options.seconds)
    most = max(options.clients or [options.max_clients])

    def ours() -> Subject:
        # A recording counts until its result is there, which may be the next run's.
        return Xingji(models, 2 * most, dict(pair.split("=", 1) for pair in options.set))

    with ours() as server:
        assert isinstance(server, Xingji)
        report.notes.append(", ".join([f"星纪 ASR: {server.runtimes()}", *options.set]))
        report.runs, report.found = measured(server, options, options.first)
    if options.baseline:
        _compare(report, options, ours, Path(models))
    report.predictions = _predictions(report, options)
    _write(report, options)


def measured(server: Subject, options: argparse.Namespace, first: int = 1) -> tuple[list[Run], Found | None]:
    """The runs that were asked for, or those of a search that begins with ``first`` clients."""
    runs: list[Run] = []

    def holds(clients: int) -> bool:
        done = run(server, clients, options.seconds)
        runs.append(done)
        print(f"{server.name}: {clients} sessions, partial lag {done.lag or '–'} ms, "
              f"{'held' if done.held else 'not held'}", file=sys.stderr, flush=True)  # fmt: skip
        return done.held

    if options.clients:
        for clients in options.clients:
            holds(clients)
        return runs, None
    deadline = time.monotonic() + 60 * options.limit_min
    return runs, search(holds, options.max_clients, lambda: time.monotonic() > deadline, first)


def _compare(report: Report, options: argparse.Namespace, ours: Start, models: Path) -> None:
    """What the baseline holds by itself, then both in turn at that number (one, where it holds none)."""

    def theirs() -> Subject:
        script, python = options.funasr_server.resolve(), options.funasr_python.absolute()
        return Funasr(script, python, models, options.funasr_silence_ms)

    silence = f"{options.funasr_silence_ms} ms" if options.funasr_silence_ms else "what funasr chooses"
    report.notes.append(f"funasr_wss_server.py: float32; the silence that ends a sentence: {silence}")
    with theirs() as server:
        report.baseline, report.baseline_found = measured(server, options)
    found = report.baseline_found
    clients = options.clients[0] if found is None else max(1, found.holds)
    for turn in range(options.rounds):
        both = []
        for start in (ours, theirs):
            with start() as server:
                both.append(run(server, clients, options.seconds, seed=1000 * (turn + 1)))
        report.pairs.append((both[0], both[1]))


def _predictions(report: Report, options: argparse.Namespace) -> list[cost.Prediction]:
    cores = os.cpu_count() or 1
    quiet = [one for one in report.runs if one.held]
    if not quiet:
        return []
    few, many = min(quiet, key=lambda one: one.clients), max(quiet, key=lambda one: one.clients)
    # The smallest run that is no longer one stream's own overhead, and the largest that was still held.
    predictions = [cost.extrapolated(few, cores)] + ([cost.extrapolated(many, cores)] if many is not few else [])
    gateway, part = many.share("gateway") / many.clients, cost.speaking(many.engines)
    for path, on_device in ((options.costs, False), (options.gpu_costs, True)):
        if path is not None:
            costs = cost.read(path)
            sizes = sorted({size for step in costs.values() for size in step.ms})
            predictions += [
                cost.predict(path.stem, costs, size, cores, gateway, part, on_device=on_device) for size in sizes
            ]
    return predictions


def _write(report: Report, options: argparse.Namespace) -> None:
    if options.out:
        options.out.write_text(report.text(), "utf-8")
    else:
        print(report.text())
    if options.json:
        raw = {
            "machine": report.machine,
            "models": report.models,
            "date": report.date,
            "found": [one and asdict(one) for one in (report.found, report.baseline_found)],  # ours, theirs
            "predictions": [{"source": one.source, "batch": one.batch, **one.limits} for one in report.predictions],
            "ours": [as_raw(one) for one in report.runs],
            "baseline": [as_raw(one) for one in report.baseline],
            "pairs": [[as_raw(one), as_raw(other)] for one, other in report.pairs],
        }
        options.json.write_text(json.dumps(raw, ensure_ascii=False), "utf-8")
    if options.curve:
        named = (("ours", report.runs), ("FunASR", report.baseline))
        series = [Series(name, points(runs)) for name, runs in named if points(runs)]
        options.curve.write_text(svg(f"Partial lag; {report.models}", series), "utf-8")


def points(runs: list[Run]) -> list[tuple[int, Spread]]:
    found = [(one.clients, one.lag) for one in runs if one.lag is not None]
    return sorted(found, key=lambda point: point[0])
