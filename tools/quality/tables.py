"""The tables of the report, in Markdown. ``plain`` runs are those without a list of hotwords: marks and times do not
depend on one."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from . import times
from .faults import Fault
from .measure import Figures, unrelated
from .rates import Interval
from .text import MARKS

NAMES = {"streamed": "streamed", "second_pass": "second pass", "corrected": "corrected"}
EXAMPLES = 3
NOT_GIVEN = "not given"

Runs = Mapping[str, Figures]  # in the order in which they ran


def spoken(runs: Runs) -> Iterator[tuple[str, Figures]]:
    return ((name, one) for name, one in runs.items() if one.speech)


def rates(runs: Runs) -> list[str]:
    rows = []
    for name, one in spoken(runs):
        cells = [name, str(one.clips) + (f", {one.errors} failed" if one.errors else ""), str(sum(one.lengths))]
        for stage in _stages(runs):
            known = stage in one.stages
            cells.append(f"{_percent(one.interval(stage))}, {_part(one.raw_cer(stage))}" if known else "–")
        rows.append(cells)
    stages = [f"{NAMES[stage]} % (interval), raw" for stage in _stages(runs)]
    return _table(["run", "recordings", "characters said", *stages], rows)


def differences(runs: Runs) -> list[str]:
    head = [
        "run",
        "stages",
        "difference, points",
        "sentences",
        "changed",
        "better",
        "worse",
        "harm rate",
        "edits saved",
    ]
    rows = []
    for name, one in spoken(runs):
        for before, after in pairwise(one.stages):
            done = one.changes[after]
            counts = map(str, (done.sentences, done.changed, done.better, done.worse))
            stages = f"{NAMES[before]} → {NAMES[after]}"
            difference = _points(one.against(after, before))
            rows.append([name, stages, difference, *counts, _part(done.harm), f"{done.edits_saved:+d}"])
    corrected = any("corrected" in one.stages for one in runs.values())
    refused = sum(one.rejected for one in runs.values())
    note = f"Of the LLM's edits {refused} were refused." if corrected else "Correction: no LLM was set."
    return _noted(_table(head, rows, 2), note if rows else "")


def compared(runs: Runs, bases: Mapping[str, str]) -> list[str]:
    rows = []
    for name, base in bases.items():
        one, other = runs[name], runs[base]
        each = (unrelated(one, other, stage) if stage in one.stages else None for stage in _stages(runs))
        rows.append([name, base, *map(_points, each)])
    return _table(["run", "against", *(f"{NAMES[stage]}, points" for stage in _stages(runs))], rows, 2)


def hotwords(runs: Runs) -> list[str]:
    rows = []
    for name, one in spoken(runs):
        for stage, figures in one.stages.items():
            seen = figures.biasing
            if one.hotwords:
                parts = map(_part, (seen.recall, seen.precision, seen.b_cer, seen.u_cer))
                rows.append([name, NAMES[stage], str(one.hotwords), str(seen.said), *parts])
    return _table(["run", "stage", "words sent", "said", "recall", "precision", "B-CER", "U-CER"], rows, 2)


def punctuation(runs: Runs) -> list[str]:
    plain = list(_plain(runs))
    used = [mark for mark in MARKS if any(_said(one, mark) for _, one in plain)]
    rows, bare = [], []
    for name, one in plain:
        if not one.punctuated:
            bare.append(name)
            continue
        for stage, figures in one.stages.items():
            seen = figures.marks
            each = (f"{_part(seen.f1(mark))} ({seen.wanted[mark]})" if seen.wanted[mark] else "–" for mark in used)
            rows.append([name, NAMES[stage], *map(_part, (seen.precision(), seen.recall(), seen.f1())), *each])
    head = ["run", "stage", "precision", "recall", "F1", *(f"F1 {mark} (said)" for mark in used)]
    return _noted(_table(head, rows, 2), bare and f"Marks {NOT_GIVEN} (by the texts): {', '.join(bare)}.")


def edges(runs: Runs) -> list[str]:
    near, far = (f"within {_ms(limit)} ms" for limit in (times.NEAR_S, times.FAR_S))
    rows, without = [], []
    for name, one in _plain(runs):
        for what, errors in (("sentence", one.sentences), ("word", one.words)):
            for edge, values in (("start", errors.starts), ("end", errors.ends)) if errors else ():
                if seen := times.spread(values):
                    sizes = f"{_ms(seen.p50)} / {_ms(seen.p95)}"
                    cells = [str(seen.count), f"{seen.bias * 1000:+.0f}", sizes, _part(seen.near), _part(seen.far)]
                    rows.append([name, f"{what} {edge}", *cells])
        if one.words is None:
            without.append(name)
    table = _table(["run", "what", "compared", "median, ms", "error p50 / p95, ms", near, far], rows, 2)
    return _noted(table, without and f"Word times {NOT_GIVEN} (by the labels or by the server): {', '.join(without)}.")


def boundaries(runs: Runs) -> list[str]:
    head = ["run", "sentences said", "boundaries not heard", "cut inside", "missed", "where nobody speaks"]
    rows = []
    for name, one in _plain(runs):
        seen = one.sentences
        if seen.labelled:
            rows.append([name, *map(str, (seen.labelled, seen.joined, seen.cut, seen.missed, seen.invented))])
    return _table(head, rows)


def nonspeech(runs: Runs) -> list[str]:
    rows = []
    for name, one in runs.items():
        if not one.speech:
            each = [f"{one.inserted_per_minute(stage):.2f}" if stage in one.stages else "–" for stage in _stages(runs)]
            back = one.shown * 60 / one.seconds if one.seconds else 0.0
            rows.append([name, f"{one.seconds / 60:.1f}", *each, f"{back:.2f}"])
    return _table(
        ["characters a minute", "minutes", *map(NAMES.__getitem__, _stages(runs)), "told and taken back"], rows
    )


def faults(runs: Runs) -> list[str]:
    kinds: defaultdict[tuple[str, str], list[tuple[str, Fault]]] = defaultdict(list)
    for name, one in runs.items():
        for fault in one.faults:
            kinds[fault.kind, fault.stage].append((name, fault))
    rows = []
    for (kind, stage), found in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        each = (f"{_cell(fault.example)} ({_cell(name)}: {_cell(fault.clip)})" for name, fault in found[:EXAMPLES])
        rows.append([kind, NAMES.get(stage, ""), "<br>".join(each), str(len(found))])
    return _table(["fault", "stage", "for example", "recordings"], rows, 3) or ["None of those that are looked for."]


def _stages(runs: Runs) -> list[str]:
    """Every stage that any run has."""
    return [stage for stage in NAMES if any(stage in one.stages for one in runs.values())]


def _plain(runs: Runs) -> Iterator[tuple[str, Figures]]:
    return ((name, one) for name, one in spoken(runs) if not one.hotwords)


def _said(one: Figures, mark: str) -> int:
    return max((figures.marks.wanted[mark] for figures in one.stages.values()), default=0)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """The first ``left`` columns are words, the rest numbers; nothing where there are no rows."""
    rule = "|" + "---|" * left + "--:|" * (len(head) - left)
    return [_row(head), rule, *map(_row, rows)] if rows else []


def _noted(table: list[str], note: object) -> list[str]:
    """``note`` is a sentence, or nothing."""
    return [*table, *[""] * bool(table), str(note)] if note else table


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _percent(one: Interval | None) -> str:
    return "–" if one is None else f"{100 * one.value:.2f} ({100 * one.low:.2f}–{100 * one.high:.2f})"


def _points(one: Interval | None) -> str:
    """Bold where zero lies outside the interval."""
    if one is None:
        return "–"
    mark = "**" if one.sure else ""
    return f"{mark}{100 * one.value:+.2f}{mark} ({100 * one.low:+.2f} … {100 * one.high:+.2f})"


def _part(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"
