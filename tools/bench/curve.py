"""Sessions → partial lag, as a picture: plain SVG, readable on light and on dark ground. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .figures import LAG_S, Spread

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 44, 48
TICKS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
LEAST_S = 0.01
PARTS = {"p50": "", "p95": "6 3", "p99": "2 3"}  # and how their lines are dashed

STYLE = """
  svg { color-scheme: light dark; font: 12px sans-serif; --ink: #1f2328; --grid: #d0d7de; --a: #0969da; --b: #bc4c00 }
  @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --grid: #3d444d; --a: #58a6ff; --b: #f0883e } }
  text { fill: var(--ink) } .grid { stroke: var(--grid) } .limit { stroke: var(--ink); stroke-dasharray: 1 3 }
  .line { fill: none; stroke-width: 2 } .s0 { stroke: var(--a) } .s1 { stroke: var(--b) }
  .d0 { fill: var(--a) } .d1 { fill: var(--b) }
"""


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    points: Sequence[tuple[int, Spread]]  # sessions, partial lag; rising


@dataclass(frozen=True, slots=True)
class _Frame:
    """Sessions in proportion, seconds by their logarithm."""

    most: int
    low: float
    high: float

    def x(self, sessions: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * sessions / self.most

    def y(self, seconds: float) -> float:
        part = math.log(max(seconds, self.low) / self.low) / math.log(self.high / self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(part, 1.0)


def svg(title: str, series: Sequence[Series]) -> str:
    """At most two series."""
    lags = [lag for one in series for _, spread in one.points for lag in (spread.p50, spread.p99)]
    most = max((sessions for one in series for sessions, _ in one.points), default=1)
    low = max((tick for tick in TICKS_S if tick <= max(min(lags, default=LEAST_S), LEAST_S)), default=LEAST_S)
    high = min((tick for tick in TICKS_S if tick >= max([*lags, 2 * LAG_S])), default=TICKS_S[-1])
    frame = _Frame(most, low, high)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
            f"<style>{STYLE}</style>",
            f"<title>{escape(title)}</title>",
            f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
            *_grid(frame),
            *(line for number, one in enumerate(series) for line in _series(frame, number, one)),
            "</svg>\n",
        ]
    )


def _grid(frame: _Frame) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for seconds in (tick for tick in TICKS_S if frame.low <= tick <= frame.high):
        y = frame.y(seconds)
        yield f'<path class="{"limit" if seconds == LAG_S else "grid"}" d="M{LEFT} {y:.1f}H{right}"/>'
        label = f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    step = max(1, 10 ** int(math.log10(frame.most)) // 2)
    step = next(size for size in (step, 2 * step, 4 * step) if frame.most // size <= 10)
    for sessions in range(0, frame.most + 1, step):
        yield f'<text x="{frame.x(sessions):.1f}" y="{bottom + 18}" text-anchor="middle">{sessions}</text>'
    yield f'<text x="{(LEFT + right) / 2}" y="{bottom + 38}" text-anchor="middle">sessions at a time</text>'


def _series(frame: _Frame, number: int, series: Series) -> Iterator[str]:
    placed: list[float] = []
    for part, dashes in PARTS.items():
        places = [(frame.x(sessions), frame.y(getattr(spread, part))) for sessions, spread in series.points]
        if not places:
            continue
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path class="line s{number}" stroke-dasharray="{dashes}" d="M{way}"/>'
        yield from (f'<circle class="d{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places)
        x, y = places[-1]
        while any(abs(y - other) < 13 for other in placed):
            y -= 1
        placed.append(y)
        yield f'<text class="d{number}" x="{x + 7:.1f}" y="{y + 4:.1f}">{escape(series.name)} {part}</text>'
