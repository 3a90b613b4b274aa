"""Marks for text that is still growing, by funasr's realtime CT-Transformer.

A mark is frozen once enough text follows it; what is frozen never changes, and the text of a
complete segment depends on its words alone, not on the steps in which they came. The work per
step is bounded. Words and their order are never touched. The stock call cannot give these
promises (it drops the last mark, opens the next call with it, and remembers without bound), so
only the model's scores are used here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xingji.core.errors import EngineError
from xingji.engines import Description, Revision
from xingji.engines.loading import load, padded

_BLOCK = 5  # tokens frozen at a time
_AHEAD = 5  # tokens that must follow a block before it is frozen
_BEHIND = 40  # tokens of left context
_ENDS = frozenset("。？！")
_MARKS = _ENDS | frozenset("，、；：")
_TOKEN = re.compile(r"[!-~]+|[^\x00-\x7f\s]")  # an ASCII word or one other character


@dataclass(slots=True, eq=False)
class Punctuator:
    """One segment: the marks of its first tokens ("" for none), which no longer change."""

    bare: str = ""
    frozen: list[str] = field(default_factory=list)


class CtPunc:
    """The shared model; implements ``Punctuation[Punctuator]``. Use from one thread."""

    def __init__(self, path: Path, device: str, precision: str = "auto") -> None:
        """``precision`` as in ``loading.load``. Raises EngineError if the directory is not a complete realtime
        CT-Transformer."""
        loaded = load(path, device, "CTTransformerStreaming", precision)
        self.network, self._about = loaded.networks["punctuation"], loaded.about
        self._embedding = loaded.tables["embedding"]
        self._numbers = {token: number for number, token in enumerate(loaded.directory.tokens())}
        self._marks = [mark if mark in _MARKS else "" for mark in loaded.directory.section("model_conf")["punc_list"]]

    def describe(self) -> Description:
        return self._about

    def open(self) -> Punctuator:
        return Punctuator()

    def revise(self, items: Sequence[tuple[Punctuator, str, bool]]) -> list[Revision]:
        """Punctuate (state, bare text of the segment so far, complete?).

        Unfinished text ends without a mark, complete text with exactly one of 。？！; no text
        starts with a mark. Words with nothing in them stay "". Raises EngineError if the bare
        text did anything but grow.
        """
        texts = [_grown(*item) for item in items]
        while ready := [text for text in texts if text.freezes]:
            shown = [(text.tokens[: len(text.state.frozen) + _BLOCK + _AHEAD], text.state.frozen) for text in ready]
            for text, marks in zip(ready, self._predict(shown), strict=True):
                text.state.frozen += marks[:_BLOCK]
        spoken = [text for text in texts if text.tokens]
        found = iter(self._predict([(text.tokens, text.state.frozen) for text in spoken]))
        return [text.marked(next(found)) if text.tokens else Revision("", 0) for text in texts]

    def _predict(self, shown: Sequence[tuple[list[str], list[str]]]) -> list[list[str]]:
        """Of (tokens, frozen marks) each: the marks after ``tokens[len(frozen):]``, seen from the last frozen sentence
        end on."""
        starts = []
        for _, frozen in shown:
            ends = [i + 1 for i, mark in enumerate(frozen) if mark in _ENDS]
            starts.append(max([0, len(frozen) - _BEHIND, *ends[-1:]]))
        scores = self.scores([tokens[start:] for (tokens, _), start in zip(shown, starts, strict=True)])
        answers = []
        for (tokens, frozen), start, own in zip(shown, starts, scores, strict=True):
            marks = []
            for index, i in enumerate(own[len(frozen) - start :].argmax(axis=-1).tolist(), len(frozen)):
                marked = not _MARKS.isdisjoint(tokens[index : index + 2])  # the words bring a mark of their own
                marks.append("" if marked else self._marks[i])
            answers.append(marks)
        return answers

    def scores(self, texts: Sequence[Sequence[str]]) -> list[NDArray[np.float32]]:
        """What the model thinks of each mark behind each token of each text, (tokens, marks)."""
        if not texts:
            return []
        unknown = self._numbers["<unk>"]
        rows = [self._embedding[[self._numbers.get(token, unknown) for token in tokens]] for tokens in texts]
        lengths = [len(row) for row in rows]
        scores = self.network.fetched(self.network(padded(rows), np.array(lengths)))
        return [own[:length] for own, length in zip(scores, lengths, strict=True)]


@dataclass(frozen=True, slots=True)
class _Text:
    """A segment's words at one step."""

    state: Punctuator
    bare: str
    last: bool
    spans: list[tuple[int, int]]  # of the tokens
    tokens: list[str]

    @property
    def freezes(self) -> bool:
        """Does enough follow the next block?"""
        whole = len(self.tokens) - (not self.last)  # the last word may still grow
        return len(self.state.frozen) + _BLOCK + _AHEAD <= whole

    def marked(self, open: list[str]) -> Revision:
        """With these marks behind those that are frozen."""
        frozen = self.state.frozen
        marks = frozen + open
        if not self.last:
            marks[-1] = ""
        elif marks[-1] not in _ENDS and self.tokens[-1] not in _MARKS:
            marks[-1] = "。"
        text = _render(self.bare, self.spans, marks)
        stable = len(text) if self.last else len(_render(self.bare, self.spans[: len(frozen)], frozen))
        return Revision(text, stable)


def _grown(state: Punctuator, bare: str, last: bool) -> _Text:
    if not bare.startswith(state.bare):
        raise EngineError("the streamed text changed instead of growing")
    state.bare = bare
    spans = [match.span() for match in _TOKEN.finditer(bare)]
    return _Text(state, bare, last, spans, [bare[start:end] for start, end in spans])


def _render(bare: str, spans: list[tuple[int, int]], marks: list[str]) -> str:
    """Put ``marks`` behind the tokens of ``bare``. A full-width mark needs no space after it."""
    text, gap_from = "", None
    for (start, end), mark in zip(spans, marks, strict=True):
        gap = "" if gap_from is None else bare[gap_from:start]
        text += gap + bare[start:end] + mark
        gap_from = None if mark else end
    return text
