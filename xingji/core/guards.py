"""What no correction may do to a sentence, whatever its evidence: promises about the whole text."""

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal

Breach = Literal[
    "punctuation",  # leading, doubled or many new marks, or a sign other than ，。？、！
    "digits",  # a number, number word or its unit would change
    "latin",  # a Latin word would change by more than its case
    "negation",  # a negation would come, go or move
    "question",  # a question word would come, go or move, or a statement become a question or the other way round
    "polarity",  # a word would turn into its opposite that sounds the same
    "length",  # the sentence would shrink or grow too much
]

MARKS = frozenset("，。？、！")
SHRINK, GROW = 0.8, 1.25
NEW_MARKS = 6  # one more mark for so many characters, and one

_PAUSES = MARKS | frozenset("；：…,.?!;:")
# Numerals of every script, circled and Roman ones and fractions; no 陆, 拾 or 伍, which are seldom numbers in speech.
_NUMBER = r"\d〇零一二三四五六七八九十百千万亿两俩仨半几壹贰叁肆柒捌玖佰仟廿卅²³¹¼-¾\u2150-\u218b\u2460-\u249b"
_UNIT = "年月日号点时分秒元块毛角吨斤米里度倍岁届"
_NUMBERS = re.compile(rf"第?[{_NUMBER}]+(?:[.:：/,点\-][{_NUMBER}]+)*[%％‰{_UNIT}]?")
_LETTER = r"[^\W\d_\u2e80-\U0010ffff]"
_LETTER_OR_DIGIT = r"[^\W_\u2e80-\U0010ffff]"
_LATIN = re.compile(rf"{_LETTER}(?:{_LETTER_OR_DIGIT}|['’.+#_-](?={_LETTER_OR_DIGIT}))*")
_NEGATIONS = frozenset("不没别无非未勿莫休否毋弗甭")
_QUESTIONS = frozenset("吗呢么哪谁啥何怎")
_OPPOSITES = (
    ("买", "卖"),
    ("授", "受"),
    ("收", "售"),
    ("输", "赎"),
    ("进", "禁"),
    ("必", "避"),
    ("近", "禁"),
    ("升", "省"),
    ("借", "结"),
    ("增", "征"),
)


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
    gone, come = _changed(base, after)
    if not _NEGATIONS.isdisjoint(gone + come):
        return "negation"
    if not _QUESTIONS.isdisjoint(gone + come) or _asks_otherwise(base, after):
        return "question"
    if any(_reversed(base, after, gone, come, pair) for pair in _OPPOSITES):
        return "polarity"
    length = len(said(base))
    if not length * SHRINK <= len(said(after)) <= length * GROW or (base and not after):
        return "length"
    return None


def _changed(base: str, after: str) -> tuple[str, str]:
    """The characters that would go and those that would come; one that moves does both."""
    old, new = ([text[i] for i in said(text)] for text in (base, after))
    if len(old) == len(new):
        pairs = [(x, y) for x, y in zip(old, new, strict=True) if x != y]
        return "".join(x for x, _ in pairs), "".join(y for _, y in pairs)
    steps = [s for s in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if s[0] != "equal"]
    return "".join(c for s in steps for c in old[s[1] : s[2]]), "".join(c for s in steps for c in new[s[3] : s[4]])


def _reversed(base: str, after: str, gone: str, come: str, pair: tuple[str, str]) -> bool:
    """One of two opposites takes the other's place, or they change places."""
    a, b = pair
    before, now = ([c for c in text if c in pair] for text in (base, after))
    return (a in gone and b in come) or (b in gone and a in come) or (before != now and len(before) == len(now))


def _asks_otherwise(base: str, after: str) -> bool:
    """Question marks come where nothing is asked, or go where something is."""
    before, now = (sum(text.count(mark) for mark in "？?") for text in (base, after))
    asks = not _QUESTIONS.isdisjoint(base) or "是否" in base or re.search(r"(.)[不没]\1|什么|几", base) is not None
    return now < before if asks else now > before


def _breaks_marks(base: str, after: str) -> bool:
    signs = [[c for c in text if not c.isalnum() and c not in MARKS] for text in (base, after)]
    leads = after[:1] in MARKS and base[:1] not in MARKS if after else False
    more = sum(c in MARKS for c in after) - sum(c in MARKS for c in base)
    many = more > 1 + len(said(base)) // NEW_MARKS
    return signs[0] != signs[1] or leads or many or _doubled(after) > _doubled(base)


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
