"""Hotwords in the second pass: where the posteriors say that one may have been said, though another text was written.

A recogniser prefers the characters that it has often seen. What was heard is the *sound*: so a Han character of a
hotword is scored by the posteriors of all tokens of the vocabulary that sound like it, tones included, and so is
what was written. A hotword stands where its score is not worse than that of the written tokens by more than its
weight allows. Finding candidates takes about as long for ten words as for fifty thousand: each place has a few
sounds, and a table is looked up by pairs of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, inf, log, log10

import numpy as np

from .ctc import Array, Token, likelihood, log_posteriors, peaks
from .pronunciation import fuzzy
from .types import HotwordHit, Stage

# How much less likely (log) than what was written a hotword may be, for a weight of 1: 3 for the usual weight of 50.
# The larger a table, the likelier one of its words comes close by chance: each tenfold of USUAL words takes 1 away.
# A unit that sounds like nothing that accents merge with what was written has UNLIKE against it, and so has a written
# token that is one too many. Chosen on the mini pack (docs/bench/words.md).
ALLOWANCE, USUAL, UNLIKE = 0.06, 100, 1.5
_LOOSE = 2.0  # what a candidate may lack beyond that before it is scored frame by frame
_TOKENS, _KEYS = 64, 16  # at a place, the best so many are looked at
_FAINT = 1e-3  # a sound whose posterior is less was not heard
Key = str  # a toned syllable; of what has none, its letters after "="


class Vocabulary:
    """What the tokens of a model sound like."""

    def __init__(self, pieces: Sequence[str], sounds: Sequence[Sequence[str]]) -> None:
        """``pieces``: the text of each token, "" for one that writes none; ``sounds``: its syllables, none for all
        but Han characters."""
        self.pieces = pieces
        self.keys = [heard_as(piece, own) for piece, own in zip(pieces, sounds, strict=True)]
        self._members: dict[Key, list[int]] = defaultdict(list)
        for id, keys in enumerate(self.keys):
            for key in keys:
                self._members[key].append(id)

    def members(self, keys: Iterable[Key]) -> list[int]:
        """All tokens that sound like one of these."""
        return sorted({id for key in keys for id in self._members.get(key, ())})


def heard_as(piece: str, sounds: Sequence[str]) -> tuple[Key, ...]:
    """What a piece of text can be heard as; nothing for a mark or a tag."""
    return tuple(sounds) or (("=" + piece.casefold(),) if any(c.isalnum() for c in piece) else ())


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of a hotword that one token would write; ``keys`` as above."""

    text: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Spelt:
    """A hotword and its units. Of less than two it is not looked for: a syllable sounds like a hundred characters."""

    text: str
    units: tuple[Unit, ...]
    allowance: float


@dataclass(frozen=True, slots=True)
class Spotted:
    """``tokens[start:end]`` of the reading give way to the hotword."""

    start: int
    end: int
    word: Spelt
    frames: tuple[int, ...]  # where each unit is surest
    confidences: tuple[float, ...]  # the posterior of its sound there
    score: float  # 0..1 a unit: how likely it is, against what was written; 1 where it is as likely


def allowance(weight: int, words: int) -> float:
    """What a word of a table of so many may lack."""
    return ALLOWANCE * weight - log10(max(1.0, words / USUAL))


class Spotter:
    """One table of hotwords, for one vocabulary. Immutable."""

    def __init__(self, words: Iterable[Spelt], vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._size = 0
        self._words: dict[tuple[Key, Key], list[Spelt]] = defaultdict(list)
        for word in words:
            self._size += 1
            if len(word.units) < 2:
                continue
            for first in word.units[0].keys:
                for second in word.units[1].keys:
                    self._words[first, second].append(word)

    def __len__(self) -> int:
        """Words of the table."""
        return self._size

    def spot(self, reading: "Reading", kept: set[int]) -> list[Spotted]:
        """In order, none over another nor over the places in ``kept``, to which their places are added. Hotwords that
        are written as they sound keep their places too, and are left to those who look at the text
        (``HotwordIndex.mend``): posteriors say nothing about them."""
        found: dict[tuple[int, int, str], Spotted] = {}
        for places, word in self._candidates(reading):
            start, end = places[0], places[-1] + 1
            if (start, end, word.text) in found:
                continue
            if reading.sounds_like(places, word.units):
                kept.update(places)
            elif spotted := self._judged(reading, places, word):
                found[start, end, word.text] = spotted
        chosen: list[Spotted] = []
        for spotted in sorted(found.values(), key=lambda s: (s.start - s.end, -s.score, s.start, s.word.text)):
            if kept.isdisjoint(range(spotted.start, spotted.end)):
                kept.update(range(spotted.start, spotted.end))
                chosen.append(spotted)
        return sorted(chosen, key=lambda spotted: spotted.start)

    def _candidates(self, reading: "Reading") -> Iterator[tuple[list[int], Spelt]]:
        """Places of the tokens, one for each unit; a token between two of them may be one too many."""
        heard = reading.heard
        for first, keys in enumerate(heard):
            for second in reading.after(first, 2):
                for key, lack in keys.items():
                    for other, more in heard[second].items():
                        for word in self._words.get((key, other), ()):
                            if lack + more >= -word.allowance - _LOOSE:
                                spare = 2 - (second - first)
                                yield from self._continued(reading, word, [first, second], lack + more, spare)

    def _continued(
        self, reading: "Reading", word: Spelt, places: list[int], score: float, spare: int
    ) -> Iterator[tuple[list[int], Spelt]]:
        if len(places) == len(word.units):
            yield places, word
            return
        keys = word.units[len(places)].keys
        for place in reading.after(places[-1], 1 + spare):
            more = score + max((reading.heard[place].get(key, -inf) for key in keys), default=-inf)
            if more >= -word.allowance - _LOOSE:
                left = spare - (place - places[-1] - 1)
                yield from self._continued(reading, word, [*places, place], more, left)

    def _judged(self, reading: "Reading", places: Sequence[int], word: Spelt) -> Spotted | None:
        """Scored over all frames of the stretch, with all ways to say it."""
        start, end = places[0], places[-1] + 1
        first, last = reading.stretch(start, end)
        spare = end - start - len(places)
        strange = spare + sum(not reading.near(at, unit) for at, unit in zip(places, word.units, strict=True))
        if last - first < len(word.units):
            return None
        sounds = [self._vocabulary.members(unit.keys) for unit in word.units]
        blank = reading.scores(first, last, [reading.blank])
        columns = np.stack([reading.scores(first, last, ids) for ids in sounds], axis=1)
        lack = likelihood(columns, blank) - reading.written(start, end)
        if lack < UNLIKE * strange - word.allowance:
            return None
        frames = peaks(columns, blank)
        sure = tuple(round(min(1.0, exp(columns[frame, unit])), 3) for unit, frame in enumerate(frames))
        score = round(exp(min(0.0, lack) / len(word.units)), 3)
        return Spotted(start, end, word, tuple(first + frame for frame in frames), sure, score)


@dataclass(eq=False)
class Reading:
    """What a recogniser wrote, and how it came to it: logits ``(T, V)`` and the tokens of their greedy reading,
    without tags."""

    logits: Array
    tokens: Sequence[Token]
    vocabulary: Vocabulary
    blank: int
    _norms: dict[int, float] = field(default_factory=dict)

    @cached_property
    def heard(self) -> list[Mapping[Key, float]]:
        """For each token, what else it may have been, and by how much that is less likely (log, at most 0)."""
        return [self._alternatives(token) for token in self.tokens]

    def sounds_like(self, places: Sequence[int], units: Sequence[Unit]) -> bool:
        """Was just this written, or what sounds the same?"""
        written = (self.vocabulary.keys[self.tokens[at].id] for at in places)
        together = places[-1] - places[0] == len(places) - 1
        return together and all(set(own) & set(unit.keys) for own, unit in zip(written, units, strict=True))

    def near(self, place: int, unit: Unit) -> bool:
        """Is it what was written here, or what accents merge with it?"""
        own = self.vocabulary.keys[self.tokens[place].id]
        return not set(map(fuzzy, own)).isdisjoint(map(fuzzy, unit.keys))

    def after(self, place: int, most: int) -> range:
        """The places that may follow one another in a word: none beyond a mark."""
        end = place + 1
        while end < min(len(self.tokens), place + 1 + most) and self.heard[end]:
            end += 1
        return range(place + 1, end)

    def stretch(self, start: int, end: int) -> tuple[int, int]:
        """The frames in which ``tokens[start:end]`` could be, ``[first, last)``."""
        first = self.tokens[start - 1].last + 1 if start else max(0, self.tokens[start].first - 2)
        last = (
            self.tokens[end].first if end < len(self.tokens) else min(len(self.logits), self.tokens[end - 1].last + 3)
        )
        return first, last

    def written(self, start: int, end: int) -> float:
        """How likely the stretch sounds as it was written."""
        first, last = self.stretch(start, end)
        sounds = [self.vocabulary.members(self.vocabulary.keys[token.id]) for token in self.tokens[start:end]]
        columns = np.stack([self.scores(first, last, ids) for ids in sounds], axis=1)
        return likelihood(columns, self.scores(first, last, [self.blank]))

    def scores(self, first: int, last: int, ids: Sequence[int]) -> Array:
        """Log-posteriors of any of the tokens ``ids`` in each frame, ``(last - first,)``."""
        for frame in range(first, last):
            if frame not in self._norms:
                row = self.logits[frame]
                self._norms[frame] = log(np.exp(row - row.max()).sum()) + float(row.max())
        norms = np.array([self._norms[frame] for frame in range(first, last)], np.float32)
        scores: Array = np.logaddexp.reduce(self.logits[first:last, ids], axis=1) - norms
        return scores

    def _alternatives(self, token: Token) -> Mapping[Key, float]:
        own = self.vocabulary.keys[token.id]
        if not own:
            return {}
        posteriors = np.exp(log_posteriors(self.logits[token.first : token.last + 1]).max(axis=0))
        ids = np.flatnonzero(posteriors > _FAINT / 10)
        if len(ids) > _TOKENS:
            ids = ids[np.argpartition(posteriors[ids], -_TOKENS)[-_TOKENS:]]
        mass: dict[Key, float] = defaultdict(float)
        for id, posterior in zip(ids.tolist(), posteriors[ids].tolist(), strict=True):
            for key in self.vocabulary.keys[id]:
                mass[key] += posterior
        written = max(mass[key] for key in own) or 1.0
        best = sorted((key for key in mass if mass[key] > _FAINT), key=lambda key: -mass[key])[:_KEYS]
        return {key: 0.0 if key in own else min(0.0, log(mass[key] / written)) for key in [*best, *own]}


@dataclass(frozen=True, slots=True)
class Placed:
    """A token and where it stands in the text, ``[start, end)``."""

    token: Token
    start: int
    end: int


def spot(spotters: Iterable[Spotter], reading: Reading) -> list[Spotted]:
    """What is in any of the tables, in order; the first table wins over the others."""
    kept: set[int] = set()
    found = [spotted for spotter in spotters for spotted in spotter.spot(reading, kept)]
    return sorted(found, key=lambda spotted: spotted.start)


def put_in(
    text: str, placed: Sequence[Placed], spotted: Sequence[Spotted]
) -> tuple[str, list[Placed], tuple[HotwordHit, ...]]:
    """The text with these hotwords in it. ``placed``: the tokens that the reading had, all of them."""
    parts: list[str] = []
    new: list[Placed] = []
    hits: list[HotwordHit] = []
    done = copied = moved = 0  # tokens and characters that are behind, and how much longer the text has become
    for found in spotted:
        word, start, end = found.word.text, placed[found.start].start, placed[found.end - 1].end
        new += (
            replace(piece, start=piece.start + moved, end=piece.end + moved) for piece in placed[done : found.start]
        )
        parts += text[copied:start], word
        at = 0
        for unit, frame, confidence in zip(found.word.units, found.frames, found.confidences, strict=True):
            at = word.index(unit.text, at)
            begin = start + moved + at
            at += len(unit.text)
            new.append(Placed(Token(-1, frame, frame, confidence), begin, begin + len(unit.text)))
        hits.append(HotwordHit(word, text[start:end], Stage.SECOND_PASS, found.score))
        done, copied, moved = found.end, end, moved + len(word) - (end - start)
    new += (replace(piece, start=piece.start + moved, end=piece.end + moved) for piece in placed[done:])
    return "".join(parts) + text[copied:], new, tuple(hits)
