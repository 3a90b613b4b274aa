"""The report for programs: every figure, text and fault, as JSON holds it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from . import times
from .heard import Heard
from .manifest import Clip
from .measure import Figures, unrelated
from .rates import Interval
from .report import Report
from .tables import NOT_GIVEN
from .text import MARKS


def as_raw(report: Report, played: Mapping[str, tuple[Sequence[Clip], Sequence[Heard]]]) -> dict[str, Any]:
    """For JSON."""
    return {
        "server": report.server,
        "machine": report.machine,
        "date": report.date,
        "command": report.command,
        "notes": report.notes,
        "took_s": round(report.took_s, 1),
        "runs": [_raw_run(one, report.bases.get(name), report, *played[name]) for name, one in report.figures.items()],
    }


def _raw_run(
    one: Figures, base: str | None, report: Report, clips: Sequence[Clip], heard: Sequence[Heard]
) -> dict[str, Any]:
    stages = list(one.stages)
    return {
        "name": one.name,
        "base": base,
        "recordings": one.clips,
        "failed": one.errors,
        "seconds": round(one.seconds, 3),
        "hotwords_sent": one.hotwords,
        "characters_said": sum(one.lengths),
        "stages": {stage: _raw_stage(one, stage, report.figures[base] if base else None) for stage in stages},
        "against_the_stage_before": {
            after: {
                **_interval(one.against(after, before)),
                **asdict(one.changes[after]),
                "harm": one.changes[after].harm,
            }
            for before, after in pairwise(stages)
        },
        "sentences": _raw_times(one.sentences) if one.sentences.labelled else NOT_GIVEN,
        "words": _raw_times(one.words) if one.words else NOT_GIVEN,
        "rejected_edits": one.rejected,
        "taken_back_characters": one.shown,
        "faults": [asdict(fault) for fault in one.faults],
        "texts": [
            {"id": clip.id, "said": clip.text, **{stage: result.text(stage) for stage in stages}, "error": result.error}
            for clip, result in zip(clips, heard, strict=True)
        ],
    }


def _raw_stage(one: Figures, stage: str, base: Figures | None) -> dict[str, Any]:
    figures = one.stages[stage]
    seen, listed = figures.marks, figures.biasing
    raw: dict[str, Any] = {"cer": _interval(one.interval(stage)), "raw_cer": one.raw_cer(stage)}
    raw["edits"] = sum(figures.edits)
    if not one.speech:
        raw["inserted_per_minute"] = one.inserted_per_minute(stage)
    if base:
        raw["against_base"] = _interval(unrelated(one, base, stage))
    if one.hotwords:
        raw["hotwords"] = asdict(listed) | {
            name: getattr(listed, name) for name in ("recall", "precision", "b_cer", "u_cer")
        }
    if one.punctuated:
        raw["punctuation"] = {
            mark or "all": {"precision": seen.precision(mark), "recall": seen.recall(mark), "f1": seen.f1(mark)}
            for mark in (None, *MARKS)
        }
    return raw


def _raw_times(errors: times.Errors) -> dict[str, Any]:
    counts = {name: getattr(errors, name) for name in ("labelled", "joined", "cut", "missed", "invented")}
    spreads = {name: times.spread(getattr(errors, name)) for name in ("starts", "ends")}
    return counts | {name: seen and asdict(seen) for name, seen in spreads.items()}


def _interval(one: Interval | None) -> dict[str, Any]:
    return asdict(one) if one else {"value": None, "low": None, "high": None}
