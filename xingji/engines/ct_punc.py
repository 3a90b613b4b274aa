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
from xingji.engines.loading import load

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
        return [self._revise(*item) for item in items]

    def _revise(self, state: Punctuator, bare: str, last: bool) -> Revision:
        if not bare.startswith(state.bare):
            raise EngineError("the streamed text changed instead of growing")
        state.bare = bare
        spans = [match.span() for match in _TOKEN.finditer(bare)]
        tokens = [bare[start:end] for start, end in spans]
        if not tokens:
            return Revision("", 0)
        whole = len(tokens) - (not last)  # the last word may still grow
        while len(state.frozen) + _BLOCK + _AHEAD <= whole:
            done = len(state.frozen)
            state.frozen += self._predict(tokens[: done + _BLOCK + _AHEAD], state.frozen)[:_BLOCK]
        marks = state.frozen + self._predict(tokens, state.frozen)
        if not last:
            marks[-1] = ""
        elif marks[-1] not in _ENDS and tokens[-1] not in _MARKS:
            marks[-1] = "。"
        text = _render(bare, spans, marks)
        stable = len(text) if last else len(_render(bare, spans[: len(state.frozen)], state.frozen))
        return Revision(text, stable)

    def _predict(self, tokens: list[str], frozen: list[str]) -> list[str]:
        """Marks after ``tokens[len(frozen):]``, seen from the last frozen sentence end on."""
        done = len(frozen)
        ends = [i + 1 for i, mark in enumerate(frozen) if mark in _ENDS]
        start = max([0, done - _BEHIND, *ends[-1:]])
        best = self.scores(tokens[start:])[done - start :].argmax(axis=-1).tolist()
        marks = []
        for index, i in enumerate(best, done):
            marked = not _MARKS.isdisjoint(tokens[index : index + 2])  # the words bring a mark of their own
            marks.append("" if marked else self._marks[i])
        return marks

    def scores(self, tokens: Sequence[str]) -> NDArray[np.float32]:
        """What the model thinks of each mark behind each of ``tokens``, (tokens, marks)."""
        unknown = self._numbers["<unk>"]
        numbers = [self._numbers.get(token, unknown) for token in tokens]
        nothing_ahead = np.triu(np.full((len(numbers), len(numbers)), -np.inf, np.float32), 1)
        (scores,) = self.network.fetched(self.network(self._embedding[numbers][None], nothing_ahead))
        answer: NDArray[np.float32] = scores
        return answer


def _render(bare: str, spans: list[tuple[int, int]], marks: list[str]) -> str:
    """Put ``marks`` behind the tokens of ``bare``. A full-width mark needs no space after it."""
    text, gap_from = "", None
    for (start, end), mark in zip(spans, marks, strict=True):
        gap = "" if gap_from is None else bare[gap_from:start]
        text += gap + bare[start:end] + mark
        gap_from = None if mark else end
    return text
