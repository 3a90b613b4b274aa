"""Words and when they were said.

A recogniser knows roughly where in the audio each of its tokens is: ``words`` makes of that the words of
the text, one for each Han character or kana, one for each run of Latin letters, digits or Hangul, with
``25%`` and ``it's`` in one piece; marks are no words. Spans are in order, never empty, never overlap and lie
inside the audio. Where a later stage changes the text, ``carried`` takes the words along.
"""

import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from .types import SAMPLE_RATE, Hypothesis, Samples, Sentence, Span, TimestampSource, Word

HOP = SAMPLE_RATE // 100  # samples that one level is of
Levels = NDArray[np.float32]  # (n,), dB, one for every HOP

# A boundary is looked for in silence only where there is room for it, and silence is what lies in the lower part
# of the levels of this audio, this long. Without, neighbours meet in the middle, and no word goes further than
# REACH beyond its tokens. Measured on the mini pack (docs/bench/words.md).
_ROOM = SAMPLE_RATE * 12 // 100
_QUIET_PART, _QUIET, _LEAST_RANGE = 0.3, 8 * HOP, 6.0  # of the range between soft and loud; samples; dB
REACH = SAMPLE_RATE // 4

_CJK = "\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = rf"[^\W{_CJK}_]+"
_WORD = re.compile(rf"(?=\w)[{_CJK}]|{_RUN}(?:(?:['’.&@/_+-]|(?<=\d)[,:](?=\d)){_RUN})*[%‰℃°]?")


@dataclass(frozen=True, slots=True)
class Mark:
    """One token: it wrote the text from character ``at`` on, and is surely in the audio at ``[first, last]``."""

    at: int
    first: int  # samples
    last: int
    confidence: float | None  # 0..1; None where somebody else wrote it


def ranges(text: str) -> list[tuple[int, int]]:
    """Where the words of ``text`` stand.

    >>> [("在3.5点看PPT, it's 25%。")[a:b] for a, b in ranges("在3.5点看PPT, it's 25%。")]
    ['在', '3.5', '点', '看', 'PPT', "it's", '25%']
    """
    return [match.span() for match in _WORD.finditer(text)]


def words(text: str, marks: Sequence[Mark], levels: Levels, begin: int = 0) -> tuple[Word, ...]:
    """The words of ``text`` with their times; ``begin`` is where the audio begins in the recording.

    ``marks`` are in order of the text. A word's confidence is that of its least sure token. A word that no token
    wrote is left out.
    """
    found: list[tuple[int, int, list[Mark]]] = []
    at = 0
    for start, end in ranges(text):
        while at < len(marks) and at + 1 < len(marks) and marks[at + 1].at <= start:
            at += 1
        last = at
        while last + 1 < len(marks) and marks[last + 1].at < end:
            last += 1
        own = [mark for mark in marks[at : last + 1] if mark.at < end]
        if own:
            found.append((start, end, own))
        at = last
    placed = spans([(own[0].first, own[-1].last) for _, _, own in found], levels)
    return tuple(
        Word(text[start:end], Span(begin + span.start, begin + span.end), _least(own))
        for (start, end, own), span in zip(found, placed, strict=False)
    )


def laid(text: str, pieces: Sequence[tuple[str, int, int]], length: int, begin: int = 0) -> tuple[Word, ...]:
    """The words of ``text``, given what an aligner says of its pieces: the letters of each, and from where to where in
    the audio of ``length`` samples it was said. Pieces are in order, but need not be cut as words are; marks are in
    none of them."""
    pieces = pieces[:length]
    placed = _in_order([first for _, first, _ in pieces], [last for _, _, last in pieces], length)
    told = [Word(p[0], Span(begin + s.start, begin + s.end)) for p, s in zip(pieces, placed, strict=True)]
    return carried(told, "".join(piece for piece, _, _ in pieces), text)


def _least(marks: Sequence[Mark]) -> float | None:
    return min((mark.confidence for mark in marks if mark.confidence is not None), default=None)


def sure(words: Sequence[Word]) -> float | None:
    """How sure the recogniser is of all words together: their mean confidence; None where it is of none."""
    known = [word.confidence for word in words if word.confidence is not None]
    return round(sum(known) / len(known), 3) if known else None


def loudness(samples: Samples) -> Levels:
    """The levels of whole hops; a rest that is shorter than one is left out."""
    hops = samples[: len(samples) // HOP * HOP].astype(np.float32).reshape(-1, HOP)
    levels: Levels = (10 * np.log10(np.mean(hops * hops, axis=1) + 1)).astype(np.float32)
    return levels


def spans(cores: Sequence[tuple[int, int]], levels: Levels) -> list[Span]:
    """Grow words from where they surely are, ``[first, last]`` in samples, to where they begin and end.

    Between two of them the boundary is the silence where there is one, else the middle. As many spans as cores,
    or as have room in the audio.
    """
    length = len(levels) * HOP
    cores = cores[:length]
    if not cores:
        return []
    silences = _silences(levels)
    begins, ends = [max(0, cores[0][0] - REACH)], []
    if silence := _longest(silences, begins[0], cores[0][0], HOP):
        begins[0] = silence[1]
    for (_, left), (right, _) in pairwise(cores):
        silence = _longest(silences, left, right, _QUIET) if right - left > _ROOM else None
        end, begin = silence or ((left + right) // 2,) * 2
        ends.append(min(end, left + REACH))
        begins.append(max(begin, right - REACH))
    end = min(length, cores[-1][1] + REACH)
    silence = _longest(silences, cores[-1][1], end, HOP)
    ends.append(silence[0] if silence else end)
    return _in_order(begins, ends, length)


def inside(words: Sequence[Word], start: int, end: int) -> tuple[Word, ...]:
    """Cut off what is outside ``[start, end)``; a word that is outside as a whole is left out."""
    if not words or (words[0].span.start >= start and words[-1].span.end <= end):
        return tuple(words)
    cut = ((word, max(word.span.start, start), min(word.span.end, end)) for word in words)
    return tuple(Word(word.text, Span(a, b), word.confidence) for word, a, b in cut if a < b)


def _silences(levels: Levels) -> list[tuple[int, int]]:
    """Where it is silent, in samples and in order."""
    soft = np.convolve(np.pad(levels, 1, mode="edge"), np.ones(3, np.float32) / 3, "valid")
    low, high = np.percentile(soft, (5, 95))
    if high - low < _LEAST_RANGE:
        return []
    quiet = np.concatenate(([False], soft < low + _QUIET_PART * (high - low), [False]))
    edges = np.flatnonzero(quiet[1:] != quiet[:-1]) * HOP
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _longest(silences: Sequence[tuple[int, int]], start: int, end: int, least: int) -> tuple[int, int] | None:
    """The longest silence in ``[start, end)``; None where there is none of at least so many samples."""
    first = max(0, bisect(silences, (start, start)) - 1)
    found = (0, 0)
    for begin, stop in islice(silences, first, None):
        if begin >= end:
            break
        cut = max(begin, start), min(stop, end)
        if cut[1] - cut[0] > found[1] - found[0]:
            found = cut
    return found if found[1] - found[0] >= least else None


def _in_order(begins: list[int], ends: list[int], length: int) -> list[Span]:
    """None empty, none over another, all in ``[0, length)``; there are no more than ``length``."""
    free = 0
    for at in range(len(begins)):
        begins[at] = max(begins[at], free)
        ends[at] = free = max(ends[at], begins[at] + 1)
    limit = length
    for at in reversed(range(len(begins))):
        ends[at] = min(ends[at], limit)
        begins[at] = limit = min(begins[at], ends[at] - 1)
    return [Span(begin, end) for begin, end in zip(begins, ends, strict=True)]


_ENDING = re.compile(r"[。？！；…]+[”’」』）】]*|[.?!;]+(?=\s)")


def divided(sentence: Sentence) -> Iterator[tuple[str, Span]]:
    """A settled sentence parted behind the marks that end sentences within it, each part with the time of its words.
    Without words it stays whole. Joined, the texts are the sentence's; in order, the spans do not overlap."""
    end = sentence.start if sentence.end is None else sentence.end
    text, words = sentence.text, list(sentence.words)
    start, at, begin = 0, 0, sentence.start
    cuts = [match.end() for match in _ENDING.finditer(text) if match.end() < len(text)] if words else []
    for cut in cuts:
        last = None
        while words and (place := text.find(words[0].text, at)) >= 0 and place < cut:
            last, at = words[0], place + len(words.pop(0).text)
        if last is None or not words:
            continue
        stop = max(begin, last.span.end)
        yield text[start:cut], Span(begin, stop)
        start, begin = cut, max(stop, words[0].span.start)
    yield text[start:], Span(begin, max(begin, end))


# Times of a text that was changed.


def reworded(reading: Hypothesis, text: str) -> Hypothesis:
    """The reading with another text; its words are taken along."""
    if text == reading.text:
        return reading
    words = carried(reading.words, reading.text, text)
    source: TimestampSource | None = "edit" if words else None
    return replace(reading, text=text, words=words, confidence=sure(words), timestamp_source=source)


def carried(words: Sequence[Word], before: str, after: str) -> tuple[Word, ...]:
    """The words of ``after``, given those of ``before``: a word that was not touched stays what it is.

    What was put in the place of something shares its time, one for one where they are as many characters, else
    evenly. What was only put in has the pause that is there, and is left out where there is none. A changed word
    has no confidence: nobody measured it.
    """
    times: list[Span | None] = [None] * len(before)
    whole: dict[tuple[int, int], Word] = {}
    at = 0
    for word in words:
        start = before.find(word.text, at)
        if start < 0:
            continue
        at = start + len(word.text)
        times[start:at] = _parts(word.span, len(word.text))
        whole[start, at] = word
    places = ranges(after)
    spoken = {at for start, end in places for at in range(start, end)}
    new: list[Span | None] = [None] * len(after)
    origin: list[int | None] = [None] * len(after)
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            new[c:d], origin[c:d] = times[a:b], range(a, b)
        else:
            targets = [at for at in range(c, d) if at in spoken]
            for at, span in zip(targets, _shared(times, a, b, len(targets)), strict=True):
                new[at] = span
    kept = []
    for start, end in places:
        first, last = origin[start], origin[end - 1]
        same = None if first is None or last is None else whole.get((first, last + 1))
        parts = [span for span in new[start:end] if span is not None]
        if same is not None and same.text == after[start:end]:
            kept.append(same)
        elif parts:
            kept.append(Word(after[start:end], Span(parts[0].start, parts[-1].end)))
    return tuple(kept)


def _shared(times: Sequence[Span | None], start: int, end: int, count: int) -> Sequence[Span | None]:
    """The time of ``times[start:end]``, or the pause there, for ``count`` characters."""
    old = [span for span in times[start:end] if span is not None]
    if len(old) == count:
        return old
    if old:
        return _parts(Span(old[0].start, old[-1].end), count)
    left = next((span.end for span in reversed(times[:start]) if span is not None), None)
    right = next((span.start for span in times[end:] if span is not None), None)
    return [None] * count if left is None or right is None else _parts(Span(left, right), count)


def _parts(span: Span, count: int) -> Sequence[Span | None]:
    """``span`` in equal parts; None for a part that would be empty."""
    edges = [span.start + (span.end - span.start) * at // count for at in range(count + 1)] if count else [0]
    return [Span(a, b) if a < b else None for a, b in pairwise(edges)]
