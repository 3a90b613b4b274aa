"""What no correction may do to a sentence, whatever its evidence: promises about the whole text."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

Breach = Literal[
    "punctuation",  # leading or doubled marks, or a sign other than ，。？、！
    "digits",  # a number or number word would change
    "latin",  # a Latin word would change by more than its case
    "negation",  # a negation or question word would come or go
    "polarity",  # a word would turn into its opposite that sounds the same
    "length",  # the sentence would shrink or grow too much
]

MARKS = frozenset("，。？、！")
SHRINK, GROW = 0.8, 1.25

_PAUSES = MARKS | frozenset("；：…,.?!;:")
_NUMBER = "0-9０-９〇零一二三四五六七八九十百千万亿两俩仨半几"
_NUMBERS = re.compile(rf"[{_NUMBER}]+(?:[.:：/,点\-][{_NUMBER}]+)*[%％‰]?")
_LETTER = r"[^\W\d_\u2e80-\U0010ffff]"
_LETTER_OR_DIGIT = r"[^\W_\u2e80-\U0010ffff]"
_LATIN = re.compile(rf"{_LETTER}(?:{_LETTER_OR_DIGIT}|['’.+#_-](?={_LETTER_OR_DIGIT}))*")
_NEGATIONS = frozenset("不没别无非未勿莫休否毋弗甭吗")
_OPPOSITES = ("买卖", "卖买", "授受", "受授", "收售", "售收", "输赎", "赎输", "进禁", "禁进", "必避", "避必")


def said(text: str) -> list[int]:
    """The indices of the characters that are said: no marks, signs or spaces."""
    return [i for i, c in enumerate(text) if c.isalnum()]


def breach(base: str, after: str, hotwords: Sequence[str]) -> Breach | None:
    """The first promise about the whole text that ``after`` would not keep."""
    if _breaks_marks(base, after):
        return "punctuation"
    if _NUMBERS.findall(base) != _NUMBERS.findall(after):
        return "digits"
    if not _keeps_latin(base, after, hotwords):
        return "latin"
    had, has = Counter(base), Counter(after)
    if any(had[c] != has[c] for c in _NEGATIONS):
        return "negation"
    if any(has[pair[0]] < had[pair[0]] and has[pair[1]] > had[pair[1]] for pair in _OPPOSITES):
        return "polarity"
    length = len(said(base))
    if not length * SHRINK <= len(said(after)) <= length * GROW or (base and not after):
        return "length"
    return None


def _breaks_marks(base: str, after: str) -> bool:
    signs = [[c for c in text if not c.isalnum() and c not in MARKS] for text in (base, after)]
    leads = after[:1] in MARKS and base[:1] not in MARKS if after else False
    return signs[0] != signs[1] or leads or _doubled(after) > _doubled(base)


def _doubled(text: str) -> int:
    dense = "".join(text.split())
    return sum(x in _PAUSES and y in _PAUSES for x, y in pairwise(dense))


def _keeps_latin(base: str, after: str, hotwords: Sequence[str]) -> bool:
    """The same Latin words in the same order, except that hotwords may join them."""
    had, has = ([word.lower() for word in _LATIN.findall(text)] for text in (base, after))
    if had == has:
        return True
    known = {part.lower() for word in hotwords for part in _LATIN.findall(word)}
    others = [[word for word in words if word not in known] for words in (had, has)]
    return others[0] == others[1] and not Counter(had) - Counter(has)
