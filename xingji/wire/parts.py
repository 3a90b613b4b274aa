"""What one sentence of the core is for clients that want to know each word, or for whom meaning ends sentences.

Such a client gets several for it, or none. The words of each, with the marks behind them, spell its text, and no time
runs backwards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..core import written
from ..core.types import SAMPLE_RATE, Sentence, Word

BY_MEANING_SILENCE = 3 * SAMPLE_RATE  # where meaning decides, a pause to think ends no sentence
_NEAR = 8  # characters; a word that stands further off is another one
_UNMARKED = written.Style(punctuation=False)


@dataclass(frozen=True, slots=True)
class Spelled:
    """A word as it stands in the text, and the marks after it; in samples."""

    text: str
    marks: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """One sentence for the client; in samples."""

    text: str
    begin: int
    end: int
    words: tuple[Spelled, ...]


@dataclass(frozen=True, slots=True)
class Style:
    """How a client wants sentences."""

    punctuation: bool = True
    by_meaning: bool = False  # every mark that ends a sentence ends one of the client's

    @property
    def marks_needed(self) -> bool:
        """Of the core: to see where sentences end, or to be shown."""
        return self.punctuation or self.by_meaning

    def shown(self, text: str) -> str:
        return text if self.punctuation else written.write(text, _UNMARKED).text

    def parts(self, sentence: Sentence) -> list[Part]:
        texts = written.sentences(sentence.text) if self.by_meaning else [sentence.text]
        texts = [shown for text in texts if (shown := self.shown(text))]
        whole = "".join(texts)
        start = sentence.start
        length = max(0, (sentence.end if sentence.end is not None else start) - start)
        places = _places(whole, sentence.words)
        parts, at, begin = [], 0, start
        for text in texts:
            until = at + len(text)
            here = [(place - at, word) for place, word in places if at <= place < until]
            after = next((word.span.start for place, word in places if place >= until), None)
            end = start + length * until // len(whole) if after is None or until == len(whole) else after
            end = min(max(end, begin), start + length)
            parts.append(Part(text, begin, end, tuple(_spell(text, here, begin, end))))
            at, begin = until, end
        return parts


def _places(text: str, words: Sequence[Word]) -> list[tuple[int, Word]]:
    """Where each word stands in the text; words that a hotword or a number has replaced stand nowhere."""
    at, found = 0, []
    for word in words:
        place = text.find(word.text, at, at + _NEAR + len(word.text))
        if place >= 0 and word.text:
            found.append((place, word))
            at = place + len(word.text)
    return found


def _spell(text: str, places: Sequence[tuple[int, Word]], begin: int, end: int) -> Iterator[Spelled]:
    """Together they are the text. Times do not run backwards and stay inside."""
    earliest = begin
    for number, (place, word) in enumerate(places):
        since = place if number else 0
        until = places[number + 1][0] if number + 1 < len(places) else len(text)
        own = text[since:until]
        letters = next((i + 1 for i in range(len(own) - 1, -1, -1) if own[i].isalnum()), len(own))
        if own[letters:].isspace():
            letters = len(own)  # the space between words belongs to the word
        latest = end if number + 1 == len(places) else min(max(places[number + 1][1].span.start, earliest), end)
        replaced = own[place - since + len(word.text) : letters].strip() != ""  # stands for what follows it, too
        first = min(max(word.span.start, earliest), end)
        last = min(max(latest if replaced else word.span.end, first), end)
        yield Spelled(own[:letters], own[letters:], first, last)
        earliest = last
