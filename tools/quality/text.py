"""What of a text counts: its characters, after normalisation, and the marks between them."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from xingji.core.scoring import normalise

from .numerals import written

MARKS = "，。？、！；："
_MARKS = dict(zip(",.?!;:。、", "，。？！；：。、", strict=True))  # after NFKC → as we write them
_INNER = re.compile(r"(?<=[a-z0-9])[.'’](?=[a-z0-9])")  # no mark of a sentence: v1.5, don't


def counted(text: str) -> str:
    """NFKC, lower case, numbers as digits, no punctuation and no spaces: the text that the error rate compares.

    >>> counted("准确率是９８.5％。"), counted("准确率是百分之九十八点五")
    ('准确率是百分之98点5', '准确率是百分之98点5')
    """
    return normalise(written(text))


def raw(text: str) -> str:
    """As it stands; only the blanks around it and the way accents are composed do not count."""
    return unicodedata.normalize("NFC", text.strip())


@dataclass(frozen=True, slots=True)
class Marked:
    """``characters`` as ``counted`` gives them; a mark stands after so many of them."""

    characters: str
    marks: frozenset[tuple[int, str]]


def marked(text: str) -> Marked:
    """Of marks in a row, the first counts: an ellipsis is one full stop."""
    characters, marks = "", dict[int, str]()
    for piece in _pieces(_INNER.sub("", written(text))):
        if piece in _MARKS:
            marks.setdefault(len(characters), _MARKS[piece])
        else:
            characters += piece
    return Marked(characters, frozenset(marks.items()))


def _pieces(text: str) -> Iterator[str]:
    """Marks as they are, everything else as far as it counts."""
    for character in text:
        if character in _MARKS:
            yield character
        else:
            yield normalise(character)
