"""Faults that one can see in the texts and times of a recording, each with its example. Pure.

A rate says how much is wrong, these say what kind of thing to look for.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from xingji.core.scoring import alignment
from xingji.core.transcript import join

from .biasing import occurrences
from .heard import Heard, Sentence
from .manifest import Clip
from .text import MARKS, counted

_DOUBLED = re.compile(rf"[{MARKS},.?!;:]{{2,}}")
_LEADING = re.compile(rf"^[{MARKS},.?!;:]")
_REPEATED = re.compile(r"([一-鿿])\1{2,}|([一-鿿]{2,}?)\2")


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    clip: str
    stage: str
    example: str


def faults(clip: Clip, heard: Heard, hotwords: Iterable[str], stages: Iterable[str]) -> list[Fault]:
    if heard.error:
        found = [("the recording failed", "", heard.error)]
        if not heard.sentences:
            return [Fault(kind, clip.id, stage, example) for kind, stage, example in found]
    else:
        found = []
    found += [(kind, "", example) for kind, example in (*_times(heard), *_answers(heard))]
    for stage in stages:
        text = heard.text(stage)
        found += [(kind, stage, example) for kind, example in _text(clip.text, text)]
        found += [(kind, stage, example) for kind, example in _hotwords(clip.text, text, hotwords)]
        found += [
            ("words where nobody speaks", stage, f"{sentence.readings[stage]} ({_when(sentence)})")
            for sentence in heard.sentences
            if sentence.readings[stage] and _silent(clip, sentence)
        ]
    return [Fault(kind, clip.id, stage, example) for kind, stage, example in found]


def _text(said: str, text: str) -> Iterator[tuple[str, str]]:
    if found := _DOUBLED.search(text):
        yield "marks in a row", _around(text, found.start())
    if _LEADING.match(text):
        yield "begins with a mark", text[:12]
    wanted, got = counted(said), counted(text)
    if not wanted:
        return
    if not got:
        yield "nothing heard", said
        return
    steps = alignment(wanted, got)
    edges = (("first", steps[0], wanted[:6], got[:6]), ("last", steps[-1], wanted[-6:], got[-6:]))
    for edge, (i, j), there, here in edges:
        if j is None:
            yield f"{edge} character lost", f"{there} → {here}"
        elif i is None:
            yield f"a {edge} character too many", f"{there} → {here}"
    if got[-2:] == 2 * wanted[-1] != wanted[-2:]:
        yield "a last character too many", f"{wanted[-6:]} → {got[-6:]}"
    if (found := _REPEATED.search(got)) and found[0] not in wanted:
        yield "said once, written twice", _around(got, found.start())


def _hotwords(said: str, text: str, hotwords: Iterable[str]) -> Iterator[tuple[str, str]]:
    listed = sorted({form for word in hotwords if (form := counted(word))}, key=lambda form: (-len(form), form))
    if not listed:
        return
    wanted, got = counted(said), counted(text)
    wants = [wanted[begin:end] for begin, end in occurrences(wanted, listed)]
    gets = [got[begin:end] for begin, end in occurrences(got, listed)]
    for word in dict.fromkeys(wants):
        if gets.count(word) < wants.count(word):
            yield "hotword not written", f"{word}: {text}"
    for word in dict.fromkeys(gets):
        if gets.count(word) > wants.count(word):
            yield "hotword where it was not said", f"{word}: {text} (said: {said})"


def _times(heard: Heard) -> Iterator[tuple[str, str]]:
    for sentence in heard.sentences:
        if not 0 <= sentence.start <= sentence.end <= heard.seconds + 0.001:
            yield "time outside the recording", f"{_when(sentence)} of {heard.seconds:.3f} s"
        bounds = [bound for word in sentence.words for bound in (word.start, word.end)]
        if any(before > after for before, after in pairwise(bounds)):
            yield "words out of order or over one another", " ".join(f"{word.text} {word.start:.2f}–{word.end:.2f}"
                                                                      for word in sentence.words)  # fmt: skip
        if bounds and not sentence.start - 0.001 <= bounds[0] <= bounds[-1] <= sentence.end + 0.001:
            yield "words outside their sentence", f"{bounds[0]:.3f}–{bounds[-1]:.3f} in {_when(sentence)}"
        words = counted("".join(word.text for word in sentence.words))
        if words and words != counted(sentence.readings["corrected"]):
            yield "words are not the text", f"{words} | {sentence.readings['corrected']}"
    for before, after in pairwise(heard.sentences):
        if after.start < before.end - 0.001:
            yield "sentences over one another", f"{_when(before)}, {_when(after)}"


def _answers(heard: Heard) -> Iterator[tuple[str, str]]:
    for sentence in heard.sentences:
        for stage in sentence.missing:
            yield f"{stage} is missing", sentence.readings["corrected"]
        told = heard.settled.get(sentence.id)
        if told != sentence.readings["corrected"]:
            yield "segment_result and final_result differ", f"{told} | {sentence.readings['corrected']}"
    if heard.merged != join(sentence.readings["corrected"] for sentence in heard.sentences):
        yield "llm_merged is not its sentences", heard.merged


def _silent(clip: Clip, sentence: Sentence) -> bool:
    """As far as the labels say."""
    if not clip.text:
        return True
    return bool(clip.spans) and not any(
        sentence.start < said.end and said.start < sentence.end for said in clip.spans
    )  # fmt: skip


def _when(sentence: Sentence) -> str:
    return f"{sentence.start:.3f}–{sentence.end:.3f} s"


def _around(text: str, at: int) -> str:
    return text[max(0, at - 6) : at + 8]
