"""The report: Markdown lines from runs. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .cost import Prediction, table
from .figures import LAG_S, LOAD, SECOND_PASS_S, Run, milliseconds, spread, together
from .search import Found

OTHERS = 0.2  # of a core; more of other work on the machine, and the figures are not the server's alone
LATE_S = 0.05  # a load generator that is later than this at its 99th percentile measures itself

DEFINITIONS = f"""\
Milliseconds are p50 / p95 / p99. *Partial lag*: the audio that a partial needs was sent → the partial came (≤: an \
upper bound, since some partials said nothing new; the server's own histogram is then the criterion). *First text*: \
speech begins (reference label) → the sentence's first text came. *Second pass*: `t_decided` (the client is told that \
speech ended) → second-pass text came. *End → second pass*: speech ends (reference label) → the same; 800 ms of it are \
the silence that ends a sentence. *Final*: `stop_recording` → `final_result`. A number of sessions is **held** when \
nothing was lost, the partial lag's p95 is at most {LAG_S:g} s, and the last third of the run waits no longer than the \
first. *Second pass held*: its p95 is at most {SECOND_PASS_S:g} s."""


@dataclass(slots=True)
class Report:
    models: str
    machine: str
    date: str
    seconds: float
    runs: list[Run] = field(default_factory=list)  # ours
    found: Found | None = None  # None where the numbers were given
    baseline: list[Run] = field(default_factory=list)
    baseline_found: Found | None = None
    pairs: list[tuple[Run, Run]] = field(default_factory=list)  # ours, theirs: one after the other
    predictions: list[Prediction] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        lines = [
            "# Load test",
            "",
            f"{self.date}; {self.machine}",
            f"Models: {self.models}; {self.seconds:g} s a client.",
            "",
        ]
        lines += [f"- {note}" for note in self.notes] + [""]
        lines += ["## Waits", "", DEFINITIONS, "", *waits(self.runs), ""]
        if self.found is not None:
            lines += [f"**Holds {self.found.holds} sessions** ({_why(self.found)}).", ""]
        lines += ["## Processor and memory", "", *resources(self.runs), "", "## Engines", "", *engines(self.runs), ""]
        if self.predictions:
            holds = self.found.holds if self.found else None
            lines += ["## Cost model", "", *table(self.predictions, holds), ""]
        if self.baseline or self.pairs:
            lines += ["## Beside FunASR's own websocket server", "", *self._baseline()]
        return "\n".join(lines).rstrip() + "\n"

    def _baseline(self) -> list[str]:
        lines = [
            "Same model sizes, audio, jitter and machine; its packets are of 60 ms, as its own client sends them. "
            "2pass mode, one process, `--ncpu 1`, its speaker model left out. Its second pass is the offline "
            "Paraformer, ours SenseVoice.",
            "",
        ]
        if self.baseline:
            lines += [*waits(self.baseline), "", *resources(self.baseline), ""]
        if self.found and self.baseline_found:
            ours, theirs = self.found.holds, self.baseline_found.holds
            ratio = f", {ours / theirs:.1f} times as many" if theirs else ""
            lines += [f"**Sessions held: ours {ours}, theirs {theirs}**{ratio}.", ""]
        if self.pairs:
            lines += ["In turn, at the same number of sessions:", "", *side_by_side(self.pairs), ""]
        return lines


def _why(found: Found) -> str:
    return {
        "found": f"{found.fails} are too many",
        "most": "more were not tried",
        "time": "the time was up" + (f"; {found.fails} are too many" if found.fails else ""),
    }[found.why]


def waits(runs: Sequence[Run]) -> list[str]:
    lines = [
        "| sessions | held | partial lag | server's own | first text | second pass | held | end → second pass | final "
        "| sentences | partials told | errors | sent late p99 |",
        "|--:|---|--:|--:|--:|--:|---|--:|--:|--:|--:|---|--:|",
    ]
    for run in sorted(runs, key=lambda run: run.clients):
        seen, late = run.observed, spread(run.observed.late)
        mark = "" if run.exact else "≤ "
        errors = ", ".join(f"{code} {count}" for code, count in sorted(seen.errors.items())) or "none"
        cells = [
            str(run.clients),
            ("yes" if run.held else "no") + (", falls behind" if run.diverges else ""),
            mark + milliseconds([lag for _, lag, _ in seen.partial]),
            str(run.server_lag or "–"),
            milliseconds(seen.first_text),
            milliseconds(seen.second_pass),
            {True: "yes", False: "no", None: "–"}[run.second_pass_held],
            milliseconds(seen.end_to_second),
            milliseconds(seen.final),
            str(seen.sentences),
            "–" if run.told is None else f"{run.told:.0%}",
            errors,
            "–" if late is None else f"{late.p99 * 1000:.0f}" + (" (!)" if late.p99 > LATE_S else ""),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def resources(runs: Sequence[Run]) -> list[str]:
    """Of one core in percent: all, and for each stream; memory as PSS. *Others* is whatever else the machine did."""
    if not runs:
        return []
    names = list(runs[0].processes)
    gpu = any(run.gpu_mb is not None for run in runs)
    head = ["sessions", *(f"{name} % (a stream), MB" for name in names), "server %", "% a stream", "others %"]
    head += ["GPU MB"] * gpu
    lines = ["| " + " | ".join(head) + " |", "|" + "--:|" * len(head)]
    for run in sorted(runs, key=lambda run: run.clients):
        cells = [str(run.clients)]
        for name in names:
            share = run.share(name) * 100
            cells.append(f"{share:.0f} ({share / run.clients:.2f}), {run.processes[name].pss_mb:.0f}")
        cells += [f"{run.server_share * 100:.0f}", f"{run.server_share * 100 / run.clients:.2f}"]
        cells += [f"{run.others_s / run.wall_s * 100:.0f}" + (" (!)" if run.others_s > OTHERS * run.wall_s else "")]
        cells += ["–" if run.gpu_mb is None else f"{run.gpu_mb:.0f}"] * gpu
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def engines(runs: Sequence[Run]) -> list[str]:
    """RTF is the model's own time over the audio it was given; a batch, the jobs in a call on average."""
    kinds = sorted({kind for run in runs for kind in run.engines})
    lines = [
        "| sessions | " + " | ".join(f"{kind} RTF, batch" for kind in kinds) + " | most jobs waiting |",
        "|--:|" + "--:|" * len(kinds) + "---|",
    ]
    for run in sorted(runs, key=lambda run: run.clients):
        cells = [str(run.clients)]
        for kind in kinds:
            engine = run.engines.get(kind)
            cells.append("–" if engine is None else f"{engine.rtf:.4f}, {engine.batch:.1f}")
        cells.append(", ".join(f"{role} {jobs:.0f}" for role, jobs in run.waiting.items()) or "–")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def side_by_side(pairs: Sequence[tuple[Run, Run]]) -> list[str]:
    """All rounds together; the ratio is theirs ÷ ours, so that more is better for us."""
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    mine, other = together(ours), together(theirs)
    rows = [
        (f"partial lag {part}, ms", _ms(mine.partial, part), _ms(other.partial, part)) for part in ("p50", "p95", "p99")
    ]
    for name, attribute in (("end → second pass p95, ms", "end_to_second"), ("final p95, ms", "final")):
        values = (spread(getattr(seen, attribute)) for seen in (mine, other))
        rows.append((name, *(None if one is None else one.p95 * 1000 for one in values)))  # type: ignore[arg-type]
    clients = sum(run.clients for run in ours) / len(ours)
    rows.append(("processor, % of a core a stream", _share(ours), _share(theirs)))
    rows.append(("memory (PSS), MB", _memory(ours), _memory(theirs)))
    lines = [f"| {clients:.0f} sessions, {len(pairs)} rounds | ours | theirs | theirs ÷ ours |", "|---|--:|--:|--:|"]
    for name, us, them in rows:
        ratio = f"{them / us:.2f}" if us and them else "–"
        lines.append(f"| {name} | {_cell(us)} | {_cell(them)} | {ratio} |")
    return lines


def _ms(partial: Sequence[tuple[float, float, float]], part: str) -> float | None:
    seen = spread([lag for _, lag, _ in partial])
    return None if seen is None else float(getattr(seen, part)) * 1000


def _share(runs: Sequence[Run]) -> float:
    return 100 * sum(run.server_share / run.clients for run in runs) / len(runs)


def _memory(runs: Sequence[Run]) -> float:
    return max(sum(usage.pss_mb for name, usage in run.processes.items() if name != LOAD) for run in runs)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2f}"
