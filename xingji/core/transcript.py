"""How sentences become one text: Han runs are joined directly, Latin words keep one space between them."""

from collections.abc import Iterable, Iterator

MARKS = "，。？！、；："


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Each text as it stands in the whole; ``"".join(pieces(texts))`` is the whole text.

    A space goes in front of a text only where two Latin words would otherwise touch.
    """
    last = ""
    for text in texts:
        apart = bool(last and text) and _latin(last[-1]) and _latin(text[0])
        yield " " + text if apart else text
        last = text or last


def join(texts: Iterable[str]) -> str:
    return "".join(pieces(texts))


def bare(text: str) -> str:
    """``text`` without the marks that realtime punctuation puts in."""
    return "".join(char for char in text if char not in MARKS)


def _latin(char: str) -> bool:
    return char.isascii() and not char.isspace()
