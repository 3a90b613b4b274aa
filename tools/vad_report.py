"""How a detector does on recordings whose speech is known, as a Markdown report.

``python -m tools.vad_report MODEL_DIR LISTING.jsonl [--end-silence-ms 800]``. A line of the listing
is ``{"file", "speech_ms", "reference_ms"}``: a 16 kHz mono 16-bit wav, its path relative to the
listing; ``[begin, end]`` pairs of labelled speech; and segments published for the same model. Either
list may be absent. The detector is ours, fed hop by hop as live; its segments are compared with

* funasr's own streaming call on the same weights, within a frame (25 ms);
* the published segments, within 50 ms;
* the labels: onsets and endpoints against the nearest labelled one (an endpoint that only the end of
  the recording made is left out), speech that no segment covers, and what a segment covers beyond speech.
  Labels may mark pauses far shorter than the end silence: inside a segment these are no mistake and are
  counted apart.
"""

import argparse
import io
import json
import platform
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from tools.replay import read
from xingji.core.messages import Detect
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines.fsmn_vad import Fsmn

MS = SAMPLE_RATE // 1000
HOP = SAMPLE_RATE // 5
FRAME_MS = 25  # at the end of a recording funasr stops where its last frame starts
NEAR_MS = 50  # published edges differ by a few frames with the runtime that found them

Spans = list[tuple[int, int]]  # begin and end in ms, in order


@dataclass(frozen=True, slots=True)
class Clip:
    name: str
    samples: Samples
    speech: Spans | None
    reference: Spans | None

    @property
    def milliseconds(self) -> int:
        return len(self.samples) // MS


@dataclass(frozen=True, slots=True)
class Found:
    spans: Spans
    decided: list[int]  # ms at which each span's end was known


@dataclass(frozen=True, slots=True)
class Agreement:
    edges: int  # of both, counted once where they agree
    agree: int
    worst: int  # ms between two edges that agree
    ours: list[int]  # edges that only we have
    theirs: list[int]


def clips(listing: Path) -> list[Clip]:
    """Raises ValueError or OSError where the listing or a wav is not as it must be."""
    rows = [json.loads(line) for line in listing.read_text("utf-8").splitlines() if line.strip()]
    return [
        Clip(
            Path(row["file"]).stem,
            read(listing.parent / row["file"]),
            _spans(row.get("speech_ms")),
            _spans(row.get("reference_ms")),
        )
        for row in rows
    ]


def ours(engine: Fsmn, samples: Samples, end_silence_ms: int) -> Found:
    heard = engine.detect([(engine.open(), Detect(samples, 0, True, True, end_silence_ms * MS, HOP))])[0]
    edges = [edge for edge in heard if edge.kind in ("onset", "endpoint")]
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    return Found([(on.at // MS, off.at // MS) for on, off in pairs], [off.decided // MS for _, off in pairs])


def stock(auto: Any, samples: Samples, end_silence_ms: int) -> Spans:
    """funasr's streaming call, 200 ms at a time."""
    sound, cache, spans = samples.astype("float32") / 32768, dict[str, Any](), Spans()
    for at in range(0, len(sound), HOP):
        with redirect_stdout(io.StringIO()):
            answer = auto.generate(
                input=sound[at : at + HOP],
                cache=cache,
                is_final=at + HOP >= len(sound),
                chunk_size=HOP // MS,
                max_end_silence_time=end_silence_ms,
            )
        for begin, end in answer[0]["value"]:  # -1: not in this hop
            if begin >= 0:
                spans.append((begin, end))
            else:
                spans[-1] = (spans[-1][0], end)
    return spans


def agreement(found: Spans, other: Spans, near: int) -> Agreement:
    """Pair edges of one kind that lie within ``near`` ms of one another."""
    agree, worst, mine, theirs = 0, 0, [], []
    for kind in (0, 1):
        left = [span[kind] for span in other]
        for edge in (span[kind] for span in found):
            closest = min(left, key=lambda at: abs(at - edge), default=None)
            if closest is None or abs(closest - edge) > near:
                mine.append(edge)
            else:
                left.remove(closest)
                agree, worst = agree + 1, max(worst, abs(closest - edge))
        theirs += left
    return Agreement(agree + len(mine) + len(theirs), agree, worst, sorted(mine), sorted(theirs))


def overlap(a: Spans, b: Spans) -> int:
    """Milliseconds in both; neither overlaps itself."""
    return sum(max(0, min(x[1], y[1]) - max(x[0], y[0])) for x in a for y in b)


def length(spans: Spans) -> int:
    return sum(end - begin for begin, end in spans)


def pauses(speech: Spans) -> Spans:
    """Between one piece of speech and the next."""
    return [(before[1], after[0]) for before, after in pairwise(speech)]


def offsets(edges: Iterable[int], labelled: Sequence[int]) -> list[int]:
    """How far each edge lies after (before: negative) the nearest labelled one."""
    return [min((edge - at for at in labelled), key=abs) for edge in edges]


def report(models: Path, listing: Path, end_silence_ms: int) -> list[str]:
    from funasr import AutoModel

    recordings, engine = clips(listing), Fsmn(models, "cpu")
    with redirect_stdout(io.StringIO()):
        auto = AutoModel(model=str(models), device="cpu", ncpu=1, disable_update=True, disable_pbar=True)
    auto.kwargs["frontend"].dither = 0.0
    found = [ours(engine, clip.samples, end_silence_ms) for clip in recordings]
    about = engine.describe()
    lines = [
        f"{about.model}, {about.parameters:,} parameters; end silence {end_silence_ms} ms; {len(recordings)} clips, "
        f"{sum(clip.milliseconds for clip in recordings) / 1000:.0f} s; Python {platform.python_version()}, "
        f"{platform.machine()}, CPU",
        "",
        "| clip | s | segments | edges as funasr's | as published | furthest | only ours (ms) | only published (ms) |",
        "|---|--:|--:|--:|--:|--:|---|---|",
    ]
    for clip, mine in zip(recordings, found, strict=True):
        same = agreement(mine.spans, stock(auto, clip.samples, end_silence_ms), FRAME_MS)
        cells = [clip.name, f"{clip.milliseconds / 1000:.1f}", len(mine.spans), f"{same.agree} / {same.edges}"]
        if clip.reference is not None:
            both = agreement(mine.spans, clip.reference, NEAR_MS)
            cells += [f"{both.agree} / {both.edges}", f"{both.worst} ms", _edges(both.ours), _edges(both.theirs)]
        lines.append(_row(*cells, *[""] * (8 - len(cells))))
    labelled = [(clip, mine, clip.speech) for clip, mine in zip(recordings, found, strict=True) if clip.speech]
    return lines + (["", *against_labels(labelled, end_silence_ms)] if labelled else [])


def against_labels(items: list[tuple[Clip, Found, Spans]], end_silence_ms: int) -> list[str]:
    lines = [
        "| clip | speech s | missed ms | false ms | in short pauses | onset ms | endpoint ms | decided after ms |",
        "|---|--:|--:|--:|--:|---|---|---|",
    ]
    total = [0, 0, 0, 0]
    onsets, endpoints, waits = list[int](), list[int](), list[int]()
    for clip, found, speech in items:
        short = [(begin, end) for begin, end in pauses(speech) if end - begin < end_silence_ms]
        covered = overlap(found.spans, speech)
        counts = [length(speech), length(speech) - covered, length(found.spans) - covered, overlap(found.spans, short)]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        own = [(end, known) for (_, end), known in zip(found.spans, found.decided, strict=True)]
        own = [(end, known) for end, known in own if known < clip.milliseconds]
        begins, ends = [begin for begin, _ in speech], [end for _, end in speech]
        on = offsets([begin for begin, _ in found.spans], begins)
        off = offsets([end for end, _ in own], ends)
        wait = [known - end + late for (end, known), late in zip(own, off, strict=True)]
        onsets, endpoints, waits = onsets + on, endpoints + off, waits + wait
        shown = [" ".join(f"{value:+d}" for value in values) for values in (on, off)]
        lines.append(_row(clip.name, f"{counts[0] / 1000:.1f}", *counts[1:], *shown, " ".join(map(str, wait))))
    medians = [f"median {median(values):+.0f}" if values else "" for values in (onsets, endpoints, waits)]
    share = [f"{count} ({count / total[0]:.1%})" for count in total[1:]]
    return [*lines, _row("all", f"{total[0] / 1000:.1f}", *share, *medians)]


def _spans(pairs: Any) -> Spans | None:
    return None if pairs is None else [(int(begin), int(end)) for begin, end in pairs]


def _edges(edges: list[int]) -> str:
    return " ".join(map(str, edges))


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.vad_report", description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, metavar="MODEL_DIR", help="an FSMN-VAD directory")
    parser.add_argument("listing", type=Path, metavar="LISTING.jsonl")
    parser.add_argument("--end-silence-ms", type=int, default=800)
    options = parser.parse_args()
    print("\n".join(report(options.models, options.listing, options.end_silence_ms)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
