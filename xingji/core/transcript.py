"""How sentences become one text: Han runs are joined directly, Latin words keep one space between them."""

from collections.abc import Iterable, Iterator, Sequence

from .timing import divided
from .types import Sentence, Span
from .written import is_half_width_mark, is_wide


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Each text as it stands in the whole; ``"".join(pieces(texts))`` is the whole text.

    A space goes in front of a text only where two Latin words would otherwise touch, or behind a half-width mark.
    """
    last = ""
    for text in texts:
        apart = bool(last and text) and _apart(last[-1], text[0])
        yield " " + text if apart else text
        last = text or last


def join(texts: Iterable[str]) -> str:
    return "".join(pieces(texts))


def parted(sentences: Sequence[Sentence]) -> Iterator[tuple[Sentence, str, Span]]:
    """Each sentence, or its parts where marks end sentences within it, with their times; the texts together are the
    whole text."""
    for sentence, whole in zip(sentences, pieces(s.text for s in sentences), strict=True):
        space = whole[: len(whole) - len(sentence.text)]  # in front, where two Latin words would touch
        for text, span in divided(sentence):
            yield sentence, space + text, span
            space = ""


def _apart(before: str, after: str) -> bool:
    if before.isspace() or after.isspace():
        return False
    return is_half_width_mark(before) or (_latin(before) and _latin(after))


def _latin(character: str) -> bool:
    return character.isascii() or (character.isalnum() and not is_wide(character))
