"""Text while somebody speaks, where nobody streams: whoever reads whole segments reads the open one again and again.

It is asked after each second of speech, and later after each quarter more, so that a long sentence costs a few times
its length and not its square. Its readings are beginnings that change at their end: what two in a row agree on is
stable (local agreement) and stays, whatever later ones say; after it stands the newest.
"""

from dataclasses import replace
from difflib import SequenceMatcher
from itertools import takewhile

from .timing import reworded
from .types import SAMPLE_RATE, Hypothesis
from .written import MARKS, Style, write

STEP, SLOWER = SAMPLE_RATE, 4  # samples of speech at least, and the part of what was heard


class Preview:
    """Of one segment."""

    def __init__(self) -> None:
        self._due = STEP
        self._stable = self._shown = ""

    def due(self, heard: int) -> bool:
        """Whether to ask about the first ``heard`` samples; if so, the next time is later."""
        if heard < self._due:
            return False
        self._due = heard + max(STEP, heard // SLOWER)
        return True

    def read(self, heard: Hypothesis) -> Hypothesis:
        """What to show, given another reading. ``stable`` never falls, and the stable text never changes."""
        text = heard.text.rstrip(MARKS + " ")  # every reading ends in a mark, as if nothing followed
        shown = self._stable + text[_behind(self._stable, text) :]
        agreed = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(shown, self._shown, strict=False)))
        self._stable, self._shown = shown[:agreed], shown
        bare = write(self._stable, Style(punctuation=False), complete=False, stable=agreed).text
        return replace(reworded(heard, shown), stable=agreed, bare=bare, hotword_hits=())


def _behind(stable: str, text: str) -> int:
    """Where in ``text`` that ends which ``stable`` says."""
    if text.startswith(stable):
        return len(stable)
    *_, (kind, start, end, first, last) = SequenceMatcher(None, stable, text, autojunk=False).get_opcodes()
    return first if kind in ("insert", "delete") else min(first + end - start, last)
