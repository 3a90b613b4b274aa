"""A table of hotwords as somebody sends it: what may be in it, and which of its wishes contradict one another."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from .errors import XingjiError
from .types import Hotword

LARGEST_TABLE = 50_000  # entries
LONGEST_WORD = 64  # characters
LIGHTEST, HEAVIEST = 1, 100
_LANGUAGES: dict[object, Literal["zh", "en"] | None] = {None: None, "zh": "zh", "en": "en"}


def parse(document: object) -> tuple[Hotword, ...]:
    """The table in ``document``: ``{"hotwords": [...]}`` or the bare list; an item is a string or
    ``{"text", "weight"?, "lang"?, "aliases"?}``. Other keys are ignored. An item that occurs again is
    merged into its first occurrence: the greatest weight, all aliases, the first language.

    Raises:
        XingjiError: ``invalid_hotwords``; ``field`` says where, as in ``hotwords[3].weight``.
    """
    items = document.get("hotwords") if isinstance(document, Mapping) else document
    if not isinstance(items, list):
        _invalid("hotwords", "应为列表。", "must be a list.")
    if len(items) > LARGEST_TABLE:
        _invalid("hotwords", f"最多 {LARGEST_TABLE} 个。", f"at most {LARGEST_TABLE} entries.")
    table: dict[str, Hotword] = {}
    for number, item in enumerate(items):
        word = _hotword(item, f"hotwords[{number}]")
        first = table.get(word.text)
        table[word.text] = _merged(first, word) if first else word
    return tuple(table.values())


def _hotword(item: object, at: str) -> Hotword:
    if isinstance(item, str):
        return Hotword(_word(item, at))
    if not isinstance(item, Mapping):
        _invalid(at, "应为字符串或对象。", "must be a string or an object.")
    text = _word(item.get("text"), f"{at}.text")
    weight = item.get("weight", Hotword(text).weight)
    if not isinstance(weight, int) or isinstance(weight, bool) or not LIGHTEST <= weight <= HEAVIEST:
        _invalid(f"{at}.weight", "应为 1 到 100 的整数。", "must be a whole number from 1 to 100.")
    language = item.get("lang")
    if not isinstance(language, str | None) or language not in _LANGUAGES:
        _invalid(f"{at}.lang", "应为 zh 或 en。", "must be zh or en.")
    aliases = item.get("aliases", [])
    if not isinstance(aliases, list):
        _invalid(f"{at}.aliases", "应为列表。", "must be a list.")
    forms = dict.fromkeys(_word(alias, f"{at}.aliases[{n}]") for n, alias in enumerate(aliases))
    forms.pop(text, None)
    return Hotword(text, weight, tuple(forms), _LANGUAGES[language])


def _word(value: object, at: str) -> str:
    if not isinstance(value, str):
        _invalid(at, "应为字符串。", "must be a string.")
    # Category C holds controls, invisible format characters and halves of surrogate pairs.
    if any(unicodedata.category(c)[0] == "C" or c in "\u2028\u2029" for c in value):
        _invalid(at, "含有控制字符。", "contains a control character.")
    word = value.strip()
    if not 1 <= len(word) <= LONGEST_WORD:
        _invalid(at, f"应为 1 到 {LONGEST_WORD} 个字符。", f"must have 1 to {LONGEST_WORD} characters.")
    return word


def _invalid(field: str, zh: str, en: str) -> NoReturn:
    raise XingjiError("invalid_hotwords", field=field, detail={"zh": zh, "en": en})


def _merged(first: Hotword, again: Hotword) -> Hotword:
    aliases = tuple(dict.fromkeys(first.aliases + again.aliases))
    return Hotword(first.text, max(first.weight, again.weight), aliases, first.language or again.language)


@dataclass(frozen=True, slots=True)
class Conflict:
    """``alias`` is claimed by several words, or is itself a word; only ``used`` is put where it is heard."""

    alias: str
    words: tuple[str, ...]
    used: str


def conflicts(table: Sequence[Hotword]) -> tuple[Conflict, ...]:
    """Aliases that cannot do what each of their words wants of them. A word wins over an alias; among words that share
    an alias the greater weight wins, then the one that stands first."""
    words = {fold(word.text): word.text for word in table}
    claims: dict[str, list[Hotword]] = {}
    written: dict[str, str] = {}
    for word in table:
        for alias in word.aliases:
            claims.setdefault(fold(alias), []).append(word)
            written.setdefault(fold(alias), alias)
    found = []
    for alias, claimants in claims.items():
        used = words.get(alias) or _heaviest(claimants).text
        if any(word.text != used for word in claimants):
            found.append(Conflict(written[alias], tuple(dict.fromkeys(word.text for word in claimants)), used))
    return tuple(found)


def _heaviest(words: Sequence[Hotword]) -> Hotword:
    return max(words, key=lambda word: word.weight)


def fold(text: str) -> str:
    """Lower case, character by character, so that indices stay."""
    return "".join(lower if len(lower := c.lower()) == 1 else c for c in text)
