"""Character error rate: how far a text is from what was said."""

import re
import unicodedata
from collections.abc import Iterable

_DROPPED = re.compile(r"[\s\W_]+")


def normalise(text: str) -> str:
    """Only what counts: NFKC, lower case, no punctuation and no spaces.

    >>> normalise("你好，API 3.5！")
    '你好api35'
    """
    return _DROPPED.sub("", unicodedata.normalize("NFKC", text).lower())


def distance(reference: str, hypothesis: str) -> int:
    """Levenshtein distance in characters."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got))
    return row[-1]


def cer(pairs: Iterable[tuple[str, str]]) -> float:
    """Edits over reference characters, after ``normalise``, of all pairs together; 0 if nothing was said.

    >>> cer([("你好。", "您好")])
    0.5
    """
    edits = length = 0
    for reference, hypothesis in pairs:
        wanted = normalise(reference)
        edits += distance(wanted, normalise(hypothesis))
        length += len(wanted)
    return edits / length if length else 0.0
