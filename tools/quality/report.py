"""The report as people read it: Markdown, and what the picture needs."""

from dataclasses import dataclass, field

from . import tables
from .chart import Bar
from .measure import Figures


@dataclass(slots=True)
class Report:
    server: str
    machine: str
    date: str
    command: str
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Figures] = field(default_factory=dict)  # in the order in which they ran
    bases: dict[str, str] = field(default_factory=dict)  # run → the one it is compared with
    took_s: float = 0.0

    def text(self) -> str:
        runs = self.figures
        parts = (
            ("Character error rate", tables.rates(runs)),
            ("Each stage against the one before", tables.differences(runs)),
            ("Against the same recordings without noise, without a list", tables.compared(runs, self.bases)),
            ("Hotwords", tables.hotwords(runs)),
            ("Punctuation", tables.punctuation(runs)),
            ("Times of sentences and words", tables.edges(runs)),
            ("Boundaries of sentences", tables.boundaries(runs)),
            ("Nobody speaks", tables.nonspeech(runs)),
            ("Faults", tables.faults(runs)),
        )
        minutes = sum(one.seconds for one in runs.values()) / 60
        lines = [
            "# Quality",
            "",
            f"`{self.command}`",
            "",
            f"{self.server}; {self.date}; {self.machine}. {minutes:.1f} minutes of audio in {self.took_s:.0f} s.",
            "",
            "Intervals: 95 %, bootstrap over recordings. CER is normalised (see docs/bench/quality.md); *raw* counts "
            "every mark and digit as it stands.",
            *(line for note in self.notes for line in ("", note)),
        ]
        lines += [line for title, body in parts if body for line in ("", f"## {title}", "", *body)]
        return "\n".join(lines) + "\n"

    def bars(self) -> list[Bar]:
        return [
            Bar(name, {stage: shown for stage in one.stages if (shown := one.interval(stage))})
            for name, one in tables.spoken(self.figures)
        ]
