"""Error rates as a picture: a bar for each stage of each run, with its interval. Plain SVG, for light and for dark
ground. Pure."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .rates import Interval

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 220, 70, 64, 40
BAR, GAP = 11, 9  # pixels: a bar is high, runs are apart
Scale = Callable[[float], float]  # a rate to a place, pixels
STAGES = ("streamed", "second_pass", "corrected")
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

STYLE = """
  svg { color-scheme: light dark; font: 12px sans-serif; --ink: #1f2328; --grid: #d0d7de; --streamed: #8c959f;
    --second_pass: #0969da; --corrected: #1a7f37 }
  @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --grid: #3d444d; --streamed: #848d97;
    --second_pass: #58a6ff; --corrected: #3fb950 } }
  text { fill: var(--ink) } .grid { stroke: var(--grid) } .whisker { stroke: var(--ink) }
  .streamed { fill: var(--streamed) } .second_pass { fill: var(--second_pass) } .corrected { fill: var(--corrected) }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    stages: Mapping[str, Interval]


def svg(title: str, bars: Sequence[Bar]) -> str:
    shown = [stage for stage in STAGES if any(stage in bar.stages for bar in bars)]
    most = max((one.high for bar in bars for one in bar.stages.values()), default=0.0)
    step = next((tick for tick in TICKS if most / tick <= 6), TICKS[-1])
    top = step * max(1, math.ceil(most / step))
    block = BAR * max(1, len(shown)) + GAP
    height = TOP + block * len(bars) + BOTTOM

    def x(rate: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * rate / top

    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">',
            f"<style>{STYLE}</style>",
            f"<title>{escape(title)}</title>",
            f'<text x="16" y="22" font-size="14">{escape(title)}</text>',
            *_legend(shown),
            *(line for number in range(round(top / step) + 1) for line in _tick(number * step, x, height)),
            *(line for number, bar in enumerate(bars) for line in _bar(bar, TOP + number * block, shown, x)),
            "</svg>\n",
        ]
    )


def _legend(stages: Sequence[str]) -> Iterator[str]:
    for number, stage in enumerate(stages):
        x = LEFT + 120 * number
        yield f'<rect class="{stage}" x="{x}" y="38" width="12" height="{BAR}"/>'
        yield f'<text x="{x + 18}" y="48">{stage.replace("_", " ")}</text>'


def _tick(rate: float, x: Scale, height: int) -> Iterator[str]:
    yield f'<path class="grid" d="M{x(rate):.1f} {TOP}V{height - BOTTOM}"/>'
    yield f'<text x="{x(rate):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{100 * rate:g} %</text>'


def _bar(bar: Bar, y: int, stages: Sequence[str], x: Scale) -> Iterator[str]:
    middle = y + BAR * len(stages) / 2 + 4
    yield f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end">{escape(bar.name)}</text>'
    for number, stage in enumerate(stages):
        if (one := bar.stages.get(stage)) is None:
            continue
        top, centre = y + number * BAR, y + number * BAR + BAR / 2
        yield (
            f'<rect class="{stage}" x="{LEFT}" y="{top}" width="{x(one.value) - LEFT:.1f}" height="{BAR - 1}"/>'
            f'<path class="whisker" d="M{x(one.low):.1f} {centre}H{x(one.high):.1f}"/>'
            f'<text x="{x(one.high) + 4:.1f}" y="{centre + 4}" font-size="10">{100 * one.value:.1f}</text>'
        )
