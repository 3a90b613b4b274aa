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


def alignment(reference: str, hypothesis: str) -> list[tuple[int | None, int | None]]:
    """The fewest edits, and among those the most characters that are right, in order: pairs of indices, None on the
    side where nothing stands. The same texts are always aligned alike.

    >>> alignment("天气好", "天好啊")
    [(0, 0), (1, None), (2, 1), (None, 2)]
    """
    edit = min(len(reference), len(hypothesis)) + 1  # weighs more than every character that could be right

    def step(i: int, j: int) -> int:
        return edit if reference[i - 1] != hypothesis[j - 1] else -1

    rows = [[j * edit for j in range(len(hypothesis) + 1)]]
    for i in range(1, len(reference) + 1):
        above, row = rows[-1], [i * edit]
        for j in range(1, len(hypothesis) + 1):
            row.append(min(above[j] + edit, row[-1] + edit, above[j - 1] + step(i, j)))
        rows.append(row)
    steps: list[tuple[int | None, int | None]] = []
    i, j = len(reference), len(hypothesis)
    while i or j:
        if i and j and rows[i][j] == rows[i - 1][j - 1] + step(i, j):
            i, j = i - 1, j - 1
            steps.append((i, j))
        elif i and rows[i][j] == rows[i - 1][j] + edit:
            i -= 1
            steps.append((i, None))
        else:
            j -= 1
            steps.append((None, j))
    return steps[::-1]


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
