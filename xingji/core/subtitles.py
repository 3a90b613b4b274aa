"""A finished recording as subtitles: SubRip (``srt``) and WebVTT (``vtt``).

A cue has at most two lines of about twenty Han characters; Latin letters count half. A sentence that is longer is
divided at its marks, where there are none between words, and each part has the time of its words. Where words have
no times the parts share the sentence's by their length.
"""

import unicodedata
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from .timing import ranges
from .types import SAMPLE_RATE, Sentence, Span
from .written import MARKS

LINE, LINES = 20.0, 2  # Han characters in a line, lines in a cue
_SHORTEST = SAMPLE_RATE // 1000  # less is no time in either format


@dataclass(frozen=True, slots=True)
class Cue:
    span: Span  # samples
    lines: tuple[str, ...]


def srt(sentences: Sequence[Sentence]) -> str:
    blocks = (
        f"{number}\n{_clock(cue.span.start, ',')} --> {_clock(cue.span.end, ',')}\n" + "\n".join(cue.lines) + "\n"
        for number, cue in enumerate(cues(sentences), 1)
    )
    return "\n".join(blocks)


def vtt(sentences: Sequence[Sentence]) -> str:
    blocks = (
        f"{_clock(cue.span.start, '.')} --> {_clock(cue.span.end, '.')}\n" + "\n".join(map(_escaped, cue.lines)) + "\n"
        for cue in cues(sentences)
    )
    return "\n".join(("WEBVTT\n", *blocks))


def cues(sentences: Sequence[Sentence]) -> list[Cue]:
    """In order; none lasts into the next one, and none is empty."""
    found = [cue for sentence in sentences if sentence.text for cue in _cues(sentence)]
    starts = [*(cue.span.start for cue in found[1:]), None]
    cut = (
        Cue(Span(cue.span.start, cue.span.end if after is None else min(cue.span.end, after)), cue.lines)
        for cue, after in zip(found, starts, strict=False)
    )
    return [cue for cue in cut if cue.span.end - cue.span.start >= _SHORTEST]


def _cues(sentence: Sentence) -> Iterator[Cue]:
    text = sentence.text
    edges = _times(sentence)
    for start, end in _parts(text):
        if not any(map(str.isalnum, text[start:end])):
            continue  # more marks than fit
        span = Span(min(begin for begin, _ in edges[start:end]), max(stop for _, stop in edges[start:end]))
        yield Cue(span, _lines(text[start:end].strip()))


def _times(sentence: Sentence) -> list[tuple[int, int]]:
    """Begin and end of every character. What is in no word has those of the character before it."""
    text, count = sentence.text, len(sentence.text)
    end = sentence.start if sentence.end is None else sentence.end
    times: list[tuple[int, int] | None] = [None] * count
    at = 0
    for word in sentence.words:
        found = text.find(word.text, at)
        if found >= 0:
            at = found + len(word.text)
            times[found:at] = _evenly(word.span, len(word.text))
    known = [time for time in times if time]
    if not known:
        return _evenly(Span(sentence.start, end), count)
    filled = []
    before = known[0]
    for time in times:
        before = time or before
        filled.append(before)
    return filled


def _evenly(span: Span, count: int) -> list[tuple[int, int]]:
    return list(pairwise(span.start + (span.end - span.start) * at // count for at in range(count + 1)))


def _parts(text: str) -> list[tuple[int, int]]:
    """Parts that fit into a cue each, as few as possible, and each ends where it had best end."""
    widths = [0.0, *accumulate(map(_width, text))]
    places = _places(text)
    parts: list[tuple[int, int]] = []
    start = 0
    while start < len(text):
        end = bisect(widths, widths[start] + LINE * LINES) - 1
        if end < len(text):
            fitting = [at for at in places if start < at <= end]
            marked = [at for at in fitting if text[at - 1] in MARKS]
            end = (marked or fitting or [max(end, start + 1)])[-1]
        parts.append((start, end))
        start = end
    return parts


def _lines(text: str) -> tuple[str, ...]:
    """One, or two that are about as long; rather at a mark."""
    width = sum(map(_width, text))
    places = [at for at in _places(text) if 0 < at < len(text)]
    if width <= LINE or not places:
        return (text,)
    widths = list(accumulate(map(_width, text)))

    def cost(at: int) -> float:
        return max(widths[at - 1], width - widths[at - 1]) - (LINE / 5 if text[at - 1] in MARKS else 0)

    at = min(places, key=cost)
    return text[:at].rstrip(), text[at:].lstrip()


def _places(text: str) -> list[int]:
    """Where a line may end: after a word and the marks that follow it."""
    return [start for start, _ in ranges(text) if start > 0]


def _width(character: str) -> float:
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.5


def _clock(samples: int, point: str) -> str:
    seconds, milliseconds = divmod(samples * 1000 // SAMPLE_RATE, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{milliseconds:03}"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
