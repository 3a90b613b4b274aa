"""Hotwords in a text that is still being spoken.

Only characters that the recogniser will not change are looked at, and what was put in stays. Of places that overlap
the one that ends first is taken, and what comes later is not waited for: so the text never flips back, and it does not
depend on the steps in which it came.
"""

from dataclasses import replace

from .hotwords import LOOK
from .lexicon import REACH
from .messages import Hotwords
from .types import HotwordHit, Hypothesis, Stage


class Spelling:
    """For one segment's streamed readings, in their order."""

    def __init__(self, hotwords: Hotwords) -> None:
        self._hotwords = hotwords
        self._done = 0  # characters of the reading that no hotword can touch any more
        self._text = ""  # how these are written
        self._hits: tuple[HotwordHit, ...] = ()

    def write(self, heard: Hypothesis, stage: Stage) -> Hypothesis:
        """``heard`` with hotwords. ``stable`` leaves out what a hotword may yet change."""
        text, longest = heard.text, self._hotwords.longest
        end = len(text) + LOOK if stage is Stage.STREAMED else heard.stable
        begin = max(0, self._done - longest - REACH)
        for found in sorted(self._hotwords.find(text[begin:end]), key=lambda found: found.end):
            if begin + found.start >= self._done and begin + found.end + LOOK <= end:
                self._text += text[self._done : begin + found.start] + found.hit.word
                self._hits += (found.hit,)
                self._done = begin + found.end
        done = min(max(self._done, end - LOOK - longest + 1), len(text))
        self._text += text[self._done : done]
        self._done = done
        hits = tuple(replace(hit, stage=stage) for hit in self._hits)
        return replace(heard, text=self._text + text[done:], stable=len(self._text), hotword_hits=hits)
