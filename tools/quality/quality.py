"""What ``python -m tools.quality`` does: make the recordings, play them, report."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.bench.resources import machine
from tools.bench.servers import Xingji, model_label

from . import espeak
from .chart import svg
from .client import Play, hear
from .heard import Heard
from .measure import Figures, measure
from .raw import as_raw
from .report import Report
from .runs import Run, Wishes, runs

# A server fed fast is still correcting when the recording ends; what is asked here is how right it is, not how soon.
PATIENCE = {"XINGJI_FINAL_WAIT_S": "120"}


def quality(options: argparse.Namespace) -> int:
    planned = runs(options.manifests, options.part, options.most, _wishes(options), options.folder.resolve())
    report = Report(_label(options), machine(), time.strftime("%Y-%m-%d"), shlex.join(["python", "-m", "tools.quality",
                                                                                        *sys.argv[1:]]))  # fmt: skip
    if not options.manifests and not espeak.available():
        report.notes.append("espeak-ng is not installed: only the recordings of this repository were played.")
    heard: dict[str, Sequence[Heard]] = {}
    begun = time.monotonic()
    with _server(options) as url:
        for run in planned:
            print(f"{run.name}: {len(run.clips)} recordings", file=sys.stderr, flush=True)
            heard[run.name] = hear(url, _plays(run), options.clients, options.pace)
            report.figures[run.name] = measure(run.name, run.clips, heard[run.name], run.sent())
    report.took_s = time.monotonic() - begun
    report.bases = {run.name: run.base for run in planned if run.base}
    _write(report, planned, heard, options)
    return _verdict(report.figures, planned, options.fail_above)


def _wishes(options: argparse.Namespace) -> Wishes:
    words = tuple(options.hotwords.read_text("utf-8").split("\n")) if options.hotwords else ()
    return Wishes(
        held_out=options.held_out,
        noisy=options.noisy,
        snr_db=options.snr,
        minutes=options.non_speech,
        unrelated=options.unrelated,
        seed=options.seed,
        hotwords=tuple(word.strip() for word in words if word.strip()),
    )


def _label(options: argparse.Namespace) -> str:
    if options.server:
        return f"server {options.server}"
    return ", ".join([model_label(options.models), *options.set])


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[str]:
    if options.server:
        yield options.server
        return
    models = options.models if options.models in ("minipack", "official") else str(Path(options.models).resolve())
    settings = PATIENCE | dict(pair.split("=", 1) for pair in options.set)
    with Xingji(models, 4 * options.clients, settings) as server:
        yield server.url


def _plays(run: Run) -> list[Play]:
    plays = []
    for clip, words in zip(run.clips, run.sent(), strict=True):
        options: dict[str, object] = {"hotwords": list(words)} if words else {}
        if clip.language:
            options["language"] = clip.language
        plays.append(Play(clip, options))
    return plays


def _write(
    report: Report, planned: Sequence[Run], heard: dict[str, Sequence[Heard]], options: argparse.Namespace
) -> None:
    text = report.text()
    print(text)
    for path in filter(None, (options.out, options.json, options.picture)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if options.out:
        options.out.write_text(text, "utf-8")
    if options.json:
        raw = as_raw(report, {run.name: (run.clips, heard[run.name]) for run in planned})
        options.json.write_text(json.dumps(raw, ensure_ascii=False, indent=1), "utf-8")
    if options.picture:
        options.picture.write_text(svg(f"Character error rate; {report.server}", report.bars()), "utf-8")


def _verdict(figures: dict[str, Figures], planned: Sequence[Run], fail_above: float | None) -> int:
    """The exit status; what is wrong goes to standard error."""
    failed = {name: one.errors for name, one in figures.items() if one.errors}
    for name, count in failed.items():
        print(f"{name}: {count} recordings failed", file=sys.stderr)
    worse = []
    for run in planned:
        rate = figures[run.name].cer("second_pass") if run.judged else None
        if fail_above is not None and rate is not None and 100 * rate > fail_above:
            worse.append(run.name)
            print(f"{run.name}: the second pass' CER is {100 * rate:.2f} %, above {fail_above:g} %", file=sys.stderr)
    return 1 if failed or worse else 0
