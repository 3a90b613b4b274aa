"""How a recogniser's text is written for readers: marks, spaces and fillers, by one set of rules.

Every recogniser puts marks and spaces in its own way; whatever it wrote, what leaves here is the same
kind of text:

* No mark in front, none doubled. Complete text ends in exactly one of 。？！ or . ? !, and where marks are
  off there are none at all.
* Marks are full-width beside Han characters and kana, and half-width with a space after them in text that has none.
* Between two Latin words stands one space. A Han character has no space beside it, not even where a Latin word or
  a number follows (SenseVoice writes 用API and 3点 as well): the gap that readers like to see there is the
  typesetter's (CSS ``text-autospace``), and a space would come between a search and what it looks for.
* Fillers go where that is wanted, but only where they can be nothing else, and never the whole text.

The rules look one word ahead and any distance back, so they can be used on text that still grows: what they
call stable does not change when more words come.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from .types import Hypothesis, Word

MARKS = "，。？！、；：…,.?!;:"
"""Every mark that may stand in a text."""

_FULL, _HALF = "，。？！、；：", ",.?!,;:"
_TO_FULL = {",": "，", ".": "。", "?": "？", "!": "！", ";": "；", ":": "："}
_TO_HALF = dict(zip(_FULL, _HALF, strict=True))
_RANK = {mark: rank for rank, marks in enumerate(("、", "，,", "；;：:", "…", "。.", "！!", "？?")) for mark in marks}
_ENDS = frozenset("。？！.?!")
_STRONG = _ENDS | {"…"}
_SENTENCE_END = re.compile(r"(?<=[。？！?!])(?![。？！?!])\s*(?=.)|(?<=\.)\s+(?=\S)")
_CLOSING = "”’」』》〉）】)\"'"
_PAIRED = '“”‘’「」『』《》〈〉（）【】()"'

_WIDE = (  # Han characters, kana and bopomofo, without the marks among them
    "\u2e80-\u2fff\u3005-\u3007\u3021-\u30ff\u3100-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# A point, comma or colon inside a number, and a point inside a name (node.js), are no pauses.
_INSIDE = r"(?<=\d)[.,:](?=\d)|(?<=[A-Za-z0-9])\.(?=[A-Za-z0-9])"
_TOKEN = re.compile(rf"[{_WIDE}]|(?:{_INSIDE}|[^\s{_WIDE}{MARKS}])+")
_BARE_TOKEN = re.compile(rf"[{_WIDE}]|(?:{_INSIDE}|[^\s{_WIDE}{MARKS}{re.escape(_PAIRED)}])+")

# Never a word by themselves.
_HESITATIONS = ("呃", "uh", "um", "uhm", "erm", "hmm")
# Also an answer (嗯。) or a word of a sentence (那个人): fillers only as a part of a sentence between marks.
_SOFT = ("嗯", "啊", "额")
_POINTING = ("那个", "这个")  # … and only where the sentence goes on
_FILLERS = (*_HESITATIONS, *_SOFT, *_POINTING)
_LEADING = frozenset((*_HESITATIONS, "嗯"))  # fillers in front of a clause without a mark of their own
_WORDS_WITH = frozenset(("呃逆", "嗯哼"))

_ASKING = re.compile(
    r"(?:吗|什么|怎么样|怎么办|多少|哪里|哪儿|是谁|为什么|是不是|有没有|好不好|行不行|对不对)$"
    r"|^(?:who|what|when|where|why|how|which|is|are|am|do|does|did|can|could|will|would|shall|should|may|have|has)\b.",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Style:
    """What a recording wants of its texts."""

    punctuation: bool = True
    remove_fillers: bool = False
    language: str = "auto"


@dataclass(frozen=True, slots=True)
class Written:
    """``origin[i]`` is the character of the source that ``text[i]`` stands for; a mark or space that was put in
    has that of the character before it. It never falls. The first ``stable`` characters stay as they are however the
    source grows after its own stable ones."""

    text: str
    origin: tuple[int, ...]
    stable: int


@dataclass(frozen=True, slots=True)
class _Token:
    """One wide character or one Latin word, and what follows it: the strongest mark ("" for none), and whether
    a space, or anything, stands before the next one."""

    start: int
    end: int
    text: str
    mark: str = ""
    mark_at: int = 0
    spaced: bool = False
    apart: bool = False

    @property
    def wide(self) -> bool:
        return is_wide(self.text[0])


def is_wide(character: str) -> bool:
    """A Han character or kana: text of these has full-width marks and no spaces."""
    return re.match(f"[{_WIDE}]", character) is not None


def is_half_width_mark(character: str) -> bool:
    return character in _HALF


def sentences(text: str) -> list[str]:
    """``text`` parted behind each mark that ends a sentence."""
    return _SENTENCE_END.split(text)


def rewrite(reading: Hypothesis, style: Style, complete: bool) -> Hypothesis:
    """The reading as it should be shown. ``complete``: no more words of its segment will come."""
    language = reading.language or (None if style.language == "auto" else style.language)
    stable = len(reading.text) if complete else reading.stable
    new = write(reading.text, replace(style, language=language or "auto"), complete, stable)
    # A second pass keeps its 0: its text is whole, not the beginning of one.
    shown = new.stable if reading.stable else 0
    return replace(reading, text=new.text, stable=shown, words=_kept(reading.words, reading.text, new))


def write(text: str, style: Style = Style(), complete: bool = True, stable: int = 0) -> Written:
    """``text`` by the rules above. Of text that is not ``complete`` the first ``stable`` characters will not change,
    and a mark at its end may still come or go. Text without a letter or digit is no text: it becomes ""."""
    tokens = list(_tokens(text, style.punctuation))
    if not any(c.isalnum() for token in tokens for c in token.text):
        return Written("", (), 0)
    firm = [token for token in tokens if token.end <= stable]
    if style.remove_fillers:
        while firm and not complete and _may_be_filler(firm[-1].text):
            firm.pop()
        tokens = _without_fillers(tokens)
    firm_until = firm[-1].end if any(c.isalnum() for token in firm for c in token.text) else 0
    return _render(tokens, style, complete, firm_until)


def _tokens(text: str, punctuation: bool) -> Iterator[_Token]:
    found = list((_TOKEN if punctuation else _BARE_TOKEN).finditer(text))
    for i, match in enumerate(found, 1):
        end = found[i].start() if i < len(found) else len(text)
        marks = [at for at in range(match.end(), end) if text[at] in _RANK] if punctuation else []
        at = max(marks, key=lambda at: _RANK[text[at]], default=0)
        gap = text[match.end() : end]
        spaced = any(c.isspace() for c in gap)
        yield _Token(match.start(), match.end(), match[0], text[at] if marks else "", at, spaced, bool(gap))


def _render(tokens: Sequence[_Token], style: Style, complete: bool, firm_until: int) -> Written:
    out: list[str] = []
    origin: list[int] = []
    stable, seen_wide = 0, False

    def put(characters: str, *at: int) -> None:
        out.append(characters)
        origin.extend(at)

    for token, following in pairwise((*tokens, None)):
        assert token is not None
        seen_wide = seen_wide or token.wide
        put(token.text, *range(token.start, token.end))
        if token.end <= firm_until:
            stable = len(origin)
        if following is None:
            if style.punctuation and (mark := _last_mark(tokens, "".join(out), complete, seen_wide, style.language)):
                put(mark, token.mark_at if token.mark else token.end - 1)
        elif token.mark:
            mark = _between(token, following, seen_wide)
            put(mark, token.mark_at)
            closing = following.text[0] in _CLOSING and not token.spaced
            if mark not in _FULL and not following.wide and not closing:
                put(" ", token.mark_at)
        elif token.apart and not token.wide and not following.wide:
            put(" ", token.end - 1)
    return Written("".join(out), tuple(origin), len(origin) if complete else stable)


def _between(token: _Token, following: _Token, seen_wide: bool) -> str:
    if token.wide or following.wide:
        return _TO_FULL.get(token.mark, token.mark)
    return token.mark if seen_wide else _TO_HALF.get(token.mark, token.mark)


def _last_mark(tokens: Sequence[_Token], text: str, complete: bool, seen_wide: bool, language: str) -> str:
    mark = tokens[-1].mark
    if complete and mark not in _ENDS:
        closed = text.rstrip(_CLOSING)
        if not mark and closed != text and closed[-1:] in _ENDS:
            return ""  # it stands inside the quotation
        mark = "？" if _ASKING.search(closed) else "。"
    has_letters = any(c.isalpha() for token in tokens for c in token.text)
    half = not seen_wide and (has_letters or language in ("en", "ko"))
    return _TO_HALF.get(mark, mark) if half else _TO_FULL.get(mark, mark)


# -- fillers ------------------------------------------------------------------------------


def _without_fillers(tokens: list[_Token]) -> list[_Token]:
    """The marks around what goes become one: the strongest. All the tokens where none would be left."""
    gone: set[int] = set()
    for start, end in _clauses(tokens):
        starts_sentence = start == 0 or tokens[start - 1].mark in _STRONG
        gone.update(range(start, start + _fillers_in(tokens[start:end], starts_sentence)))
    if len(gone) == len(tokens):
        return tokens
    kept: list[_Token] = []
    capital = False  # a capital went that the sentence needs
    for i, token in enumerate(tokens):
        if i not in gone:
            kept.append(replace(token, text=token.text[0].upper() + token.text[1:]) if capital else token)
            capital = False
            continue
        capital = capital or (token.text[0].isupper() and not token.wide)
        if kept and _RANK.get(token.mark, -1) > _RANK.get(kept[-1].mark, -1):
            kept[-1] = replace(kept[-1], mark=token.mark, mark_at=token.mark_at, spaced=token.spaced, apart=True)
    return kept


def _clauses(tokens: Sequence[_Token]) -> Iterator[tuple[int, int]]:
    start = 0
    for i, token in enumerate(tokens, 1):
        if token.mark or i == len(tokens):
            yield start, i
            start = i


def _fillers_in(clause: Sequence[_Token], starts_sentence: bool) -> int:
    """How many tokens in front of the clause are fillers and nothing else."""
    words = _leading_fillers(clause, frozenset(_FILLERS))
    mark = clause[-1].mark
    if sum(map(len, words)) == sum(len(token.text) for token in clause):
        if all(word in _HESITATIONS for word in words):
            return len(clause)
        answer = starts_sentence and (not mark or mark in _STRONG)
        pointing = any(word in _POINTING for word in words) and (not mark or mark in _STRONG)
        return 0 if answer or pointing else len(clause)
    return len(_leading_fillers(clause, _LEADING))  # each of these is one token


def _leading_fillers(clause: Sequence[_Token], fillers: frozenset[str]) -> list[str]:
    words: list[str] = []
    at = 0
    while at < len(clause):
        one, two = _folded(clause[at].text), "".join(_folded(token.text) for token in clause[at : at + 2])
        if two in _WORDS_WITH:
            break
        word = two if two in fillers and len(clause) > at + 1 else one
        if word not in fillers:
            break
        words.append(word)
        at += 2 if word is two else 1
    return words


def _may_be_filler(text: str) -> bool:
    """It, or a word that it begins or ends, is a filler."""
    text = _folded(text)
    return any(filler.startswith(text) or filler.endswith(text) for filler in _FILLERS)


def _folded(word: str) -> str:
    """Uh and uh, but not ER, which is an abbreviation."""
    return word if word.isupper() and len(word) > 1 else word.lower()


def _kept(words: Sequence[Word], source: str, written: Written) -> tuple[Word, ...]:
    """Without the words of which no character is left."""
    left, kept, at = set(written.origin), [], 0
    for word in words:
        start = source.find(word.text, at)
        if start >= 0:
            at = start + len(word.text)
        if start < 0 or not left.isdisjoint(range(start, at)):
            kept.append(word)
    return tuple(kept)
