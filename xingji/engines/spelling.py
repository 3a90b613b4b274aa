"""Hotword tables as a model with a vocabulary of sentence pieces can look for them.

What a piece sounds like is looked up when the first table comes, once per process (0.3 s for 25 000 pieces).
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from xingji.core.errors import EngineError
from xingji.core.forced_alignment import Piece
from xingji.core.spotting import Spelt, Spotter, Unit, Vocabulary, allowance, heard_as
from xingji.core.types import HotwordTable
from xingji.engines.pinyin import Pypinyin

MOST_WORDS = 200_000  # of all tables that are kept; those that were not used for longest give way

_TAG = re.compile(r"<\|([^|<>]*)\|>")
_SPACE = "\u2581"  # how pieces write it
_SPOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff_]+")
_PARTS = re.compile(r"[\u3400-\u9fff]|[^\u3400-\u9fff\s]+")


def letters(piece: str) -> str:
    """What a piece writes, spaces apart; nothing for a tag."""
    return "" if _TAG.fullmatch(piece) else "".join(piece.replace(_SPACE, " ").split())


class Tables:
    """Use from one thread."""

    def __init__(self, pieces: Any) -> None:
        """``pieces``: a ``SentencePieceProcessor``."""
        self._pieces = pieces
        self._pinyin = Pypinyin()
        self._spotters: dict[str, Spotter] = {}  # the one that was used last is the last

    def __contains__(self, table: HotwordTable) -> bool:
        return table.digest in self._spotters

    def learn(self, table: HotwordTable) -> None:
        """Make a table ready: from now on jobs may name it."""
        words = (Spelt(w.text, self._units(w.text), allowance(w.weight, len(table.words))) for w in table.words)
        self._spotters[table.digest] = Spotter(words, self.vocabulary)
        while len(self._spotters) > 1 and sum(map(len, self._spotters.values())) > MOST_WORDS:
            del self._spotters[next(iter(self._spotters))]

    def spotter(self, table: HotwordTable) -> Spotter:
        """Raises EngineError for a table that is not here."""
        found = self._spotters.pop(table.digest, None)
        if found is None:
            raise EngineError("the recogniser was not given this hotword table")
        self._spotters[table.digest] = found
        return found

    def pieces(self, text: str) -> list[Piece]:
        """The letters of any text as the model would write them, each with all tokens that sound like it."""
        found: list[Piece] = []
        for match in _SPOKEN.finditer(text):
            at = match.start()
            for unit in self._units(match[0]) or (Unit(match[0], ()),):
                found.append(Piece(at, tuple(self.vocabulary.members(unit.keys))))
                at += len(unit.text)
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        pieces = [letters(self._pieces.id_to_piece(id)) for id in range(self._pieces.get_piece_size())]
        return Vocabulary(pieces, [self._sounds(piece) for piece in pieces])

    def _sounds(self, piece: str) -> Sequence[str]:
        return self._pinyin.syllables(piece)[0] if len(piece) == 1 else ()

    def _units(self, word: str) -> tuple[Unit, ...]:
        """A Han character is a unit, be it in the vocabulary or not; the rest is cut as the model writes it. Empty
        for a word with a part that nothing writes, or that the model would write in other letters."""
        units: list[Unit] = []
        for part in _PARTS.findall(word):
            written = [part] if self._sounds(part) else map(letters, self._pieces.encode(part, out_type=str))
            units += (Unit(piece, heard_as(piece, self._sounds(piece))) for piece in written if piece)
        whole = "".join(unit.text for unit in units) == "".join(word.split())
        return tuple(units) if whole and all(unit.keys for unit in units) else ()
