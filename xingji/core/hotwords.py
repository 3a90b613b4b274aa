"""Hotwords in texts: an index of a table that mends texts by it and says whether each word acted.

Mending is conservative: it changes text only where an alias was given, or where every syllable of a hotword is heard
and what stands there is no better text. It would rather miss a hotword than damage a text that was right.
"""

import hashlib
import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from .hotword_table import fold
from .lexicon import REACH, Lexicon, gain
from .messages import Found, Hotwords
from .pronunciation import NEAR_SOUND, SAME_TONE, Pronouncer, Sounds, fuzzy, likeness
from .types import Hotword, HotwordHit, HotwordTable, Stage

INSISTENT = 80  # from this weight on, a word of two syllables is also mended where its tones are not heard
# Nats that the text may lose where a hotword is heard. A short table was written for what will be said; of a long one
# each word is less likely. That three syllables or more agree in their tones is seldom chance, and a character that is
# right already speaks for the word, as the surname does for a name. For the figures see docs/bench/correction.md.
GRANTED, GRANTED_PER_SYLLABLE, GRANTED_PER_CHARACTER, PER_WEIGHT = 9.0, 11.0, 3.0, 0.2
SHORT_TABLE, TAKEN_PER_E_FOLD = 100, 4.7
HINTED = 8.0  # nats that are granted besides where a word is only shown to a corrector, which knows more
LOOK = 2  # characters after a place that its judgement may take in while text still grows


@dataclass(frozen=True, slots=True)
class _Match:
    """``word`` was found at ``[start, end)``. ``written``: by its letters (or an alias), not by its sound."""

    start: int
    end: int
    word: Hotword
    score: float
    written: bool

    def rank(self) -> tuple[object, ...]:
        """Longest first, then score, then weight; the rest only makes the order total."""
        length = self.end - self.start
        return (-length, -self.score, not self.written, -self.word.weight, self.start, self.word.text)

    def respects(self, text: str, kept: Container[int]) -> bool:
        """It would change no character of ``text`` at an index in ``kept``."""
        return all(
            i not in kept or c == text[i] for i, c in zip(range(self.start, self.end), self.word.text, strict=True)
        )


class HotwordIndex:
    """One table, ready to be looked for. Immutable and thread-safe. Building takes 0.1 s for 10 000 words."""

    def __init__(self, hotwords: Sequence[Hotword], pronouncer: Pronouncer, lexicon: Lexicon | None = None) -> None:
        """Without a ``lexicon`` sound alone decides what is a hotword."""
        self._pronouncer, self._lexicon = pronouncer, lexicon
        self._taken = TAKEN_PER_E_FOLD * math.log(max(1.0, len(hotwords) / SHORT_TABLE))
        self._written: dict[str, Hotword] = {}  # by folded form; aliases give way to words
        self._sounding: dict[tuple[int, str, str], list[tuple[Hotword, tuple[Sounds, ...]]]] = {}
        ranked = sorted(hotwords, key=lambda w: (-w.weight, w.text))
        self._ranked = tuple(word.text for word in ranked)
        for word in ranked:
            self._written.setdefault(fold(word.text), word)
            sounds = pronouncer.syllables(word.text)
            if sum(map(bool, sounds)) >= 2:  # a single syllable sounds like a hundred characters
                for first in _keys(word.text[0], sounds[0]):
                    for last in _keys(word.text[-1], sounds[-1]):
                        self._sounding.setdefault((len(sounds), first, last), []).append((word, sounds))
        for word in sorted(hotwords, key=lambda w: -w.weight):
            for alias in word.aliases:
                self._written.setdefault(fold(alias), word)
        self.tables = (_table(hotwords),) if hotwords else ()
        self._written_lengths = sorted({len(form) for form in self._written})
        self._sounding_lengths = sorted({length for length, _, _ in self._sounding})

    def mend(self, text: str, stage: Stage) -> tuple[str, tuple[HotwordHit, ...]]:
        """``text`` with misheard hotwords put right, and a hit for every hotword in it, from left to right.

        A hotword that was already right is a hit too, with ``replaced == word``. Of overlapping
        finds the longest wins. By sound alone only words of at least two syllables are mended, and
        never characters that belong to a hotword or alias that stands there as written.
        """
        chosen: list[_Match] = []
        taken: set[int] = set()
        for match in self._found(text, len(text)):
            if taken.isdisjoint(range(match.start, match.end)):
                taken.update(range(match.start, match.end))
                chosen.append(match)
        chosen.sort(key=lambda match: match.start)
        parts: list[str] = []
        end = 0
        for match in chosen:
            parts += text[end : match.start], match.word.text
            end = match.end
        hits = (HotwordHit(m.word.text, text[m.start : m.end], stage, round(m.score, 3)) for m in chosen)
        return "".join(parts) + text[end:], tuple(hits)

    def find(self, text: str) -> tuple[Found, ...]:
        """Each place that is a hotword or should be one, best first; they may overlap.

        Text may follow: what comes more than ``LOOK`` characters after a place does not matter to it.
        """
        return tuple(
            Found(m.start, m.end, HotwordHit(m.word.text, text[m.start : m.end], Stage.PARTIAL, round(m.score, 3)))
            for m in self._found(text, LOOK)
        )

    @property
    def longest(self) -> int:
        """Characters of the longest form that is looked for."""
        return max([*self._written_lengths, *self._sounding_lengths], default=0)

    def _found(self, text: str, look: int) -> list[_Match]:
        written = list(self._as_written(text))
        heard = []
        for match in self._as_heard(text, _close_enough):
            seen = text[: match.end + look]
            kept = {i for w in written if w.end <= len(seen) for i in range(w.start, w.end)}
            if match.respects(text, kept) and self._plausible(seen, match):
                heard.append(match)
        return sorted([*written, *heard], key=_Match.rank)

    def _plausible(self, text: str, match: _Match, more: float = 0.0) -> bool:
        """The text loses no more nats by the hotword than are granted, and ``more``."""
        if self._lexicon is None:
            return True
        heard = text[match.start : match.end]
        granted = GRANTED - self._taken + PER_WEIGHT * (match.word.weight - Hotword("").weight)
        if match.score == SAME_TONE:
            granted += GRANTED_PER_SYLLABLE * (match.end - match.start - 2)
        granted += GRANTED_PER_CHARACTER * sum(a == b for a, b in zip(match.word.text, heard, strict=True))
        before, after = text[max(0, match.start - REACH) : match.start], text[match.end :]
        lost = gain(before + match.word.text + after, before + heard + after, self._lexicon)
        return lost <= granted + more

    def close_to(self, text: str, limit: int = 20) -> tuple[str, ...]:
        """At most ``limit`` hotwords that are in ``text`` or sound close to something in it, closest first.

        Several texts may be joined by line breaks: no hotword crosses one.
        """
        best: dict[str, tuple[float, int]] = {}
        heard = (m for m in self._as_heard(text, lambda word, alike: True) if self._plausible(text, m, HINTED))
        for match in (*self._as_written(text), *heard):
            found = (match.score, match.word.weight)
            best[match.word.text] = max(found, best.get(match.word.text, found))
        ranked = sorted(best, key=lambda word: (-best[word][0], -best[word][1], -len(word), word))
        return tuple(ranked[:limit])

    def heaviest(self, limit: int) -> tuple[str, ...]:
        return self._ranked[:limit]

    def _as_written(self, text: str) -> Iterator[_Match]:
        folded = fold(text)
        for length in self._written_lengths:
            for start in range(len(text) - length + 1):
                end = start + length
                found = self._written.get(folded[start:end])
                if found and not _splits_word(text, start) and not _splits_word(text, end):
                    yield _Match(start, end, found, 1.0, True)

    def _as_heard(self, text: str, accept: Callable[[Hotword, Sequence[float]], bool]) -> Iterator[_Match]:
        """Windows other than the word itself in which each character is, or sounds close to, the word's."""
        sounds = self._pronouncer.syllables(text)
        keys = [_keys(c, s) for c, s in zip(text, sounds, strict=True)]
        for length in self._sounding_lengths:
            for start in range(len(text) - length + 1):
                end = start + length
                if _splits_word(text, start) or _splits_word(text, end):
                    continue
                window, seen = text[start:end], {text[start:end]}
                for key in product((length,), keys[start], keys[end - 1]):
                    for word, word_sounds in self._sounding.get(key, ()):
                        if word.text in seen:
                            continue
                        seen.add(word.text)
                        alike = _alike(word.text, word_sounds, window, sounds[start:end])
                        if alike and accept(word, alike):
                            yield _Match(start, end, word, sum(alike) / length, False)


class Layered:
    """A recording's own words over the server's table, which is large and shared and not built anew for them."""

    def __init__(self, own: Hotwords, table: Hotwords) -> None:
        self._own, self._table = own, table
        self.tables = own.tables + table.tables

    def mend(self, text: str, stage: Stage) -> tuple[str, tuple[HotwordHit, ...]]:
        """As by one index, except that the table changes nothing where it would undo one of the own words."""
        mended, hits = self._own.mend(text, stage)
        further, more = self._table.mend(mended, stage)
        own = [hit.word for hit in hits]
        if any(further.count(word) < mended.count(word) for word in own):
            return mended, hits
        return further, (*hits, *(hit for hit in more if hit.word not in own))

    def find(self, text: str) -> tuple[Found, ...]:
        return (*self._own.find(text), *self._table.find(text))

    @property
    def longest(self) -> int:
        return max(self._own.longest, self._table.longest)

    def close_to(self, text: str, limit: int = 20) -> tuple[str, ...]:
        found = dict.fromkeys((*self._own.close_to(text, limit), *self._table.close_to(text, limit)))
        return tuple(found)[:limit]

    def heaviest(self, limit: int) -> tuple[str, ...]:
        """The own words come first, whatever their weight."""
        return tuple(dict.fromkeys((*self._own.heaviest(limit), *self._table.heaviest(limit))))[:limit]


def _table(words: Sequence[Hotword]) -> HotwordTable:
    content = "\n".join(f"{word.text}\t{word.weight}" for word in words)
    return HotwordTable(hashlib.blake2b(content.encode(), digest_size=16).hexdigest(), tuple(words))


def _close_enough(word: Hotword, alike: Sequence[float]) -> bool:
    """Whether hearing ``word`` this well is enough to write it.

    Two syllables are easily some other word, so they need their tones, unless the word's weight
    insists: over 3 593 right sentences, 160 names of two characters did damage in 262 places without
    tones and in 77 with them, while 96 % of the repairs stayed (AISHELL-1, 2026-11). A longer word
    may differ by accent in every third character.
    """
    if len(alike) == 2:
        return min(alike) == SAME_TONE or (word.weight >= INSISTENT and min(alike) > NEAR_SOUND)
    return sum(1 for score in alike if score <= NEAR_SOUND) <= len(alike) // 3


def _alike(a: str, a_sounds: Sequence[Sounds], b: str, b_sounds: Sequence[Sounds]) -> list[float] | None:
    """How alike each pair of characters sounds, or None as soon as one pair does not."""
    scores = []
    for x, x_sounds, y, y_sounds in zip(a, a_sounds, b, b_sounds, strict=True):
        score = 1.0 if fold(x) == fold(y) else likeness(x_sounds, y_sounds)
        if not score:
            return None
        scores.append(score)
    return scores


def _keys(character: str, sounds: Sounds) -> frozenset[str]:
    """What a character can be found under: its merged sounds, or itself if it has none."""
    return frozenset(map(fuzzy, sounds)) or frozenset((fold(character),))


def _splits_word(text: str, at: int) -> bool:
    """A cut at ``at`` would go through a Latin word or a number."""
    return 0 < at < len(text) and _is_latin(text[at - 1]) and _is_latin(text[at])


def _is_latin(character: str) -> bool:
    return character < "\u2e80" and character.isalnum()
