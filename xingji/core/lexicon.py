"""What a list of words knows about a text: how likely it is, and whether a change makes it likelier.

The core knows no list: a ``Lexicon`` is injected. A text is cut into words in the likeliest way, each as likely as it
is frequent. That knows no grammar and no topic, but it does know that 天气 is a word and 天汽 is none.
"""

import math
from typing import Protocol

LONGEST = 4  # characters of the longest word that is looked up
UNKNOWN = math.log(1e-8)  # nats; of a character that is in no list
AVERAGE = 10.0  # nats that a character costs on average, so that a longer text is not less likely for its length
REACH = 6  # characters to either side of a change that take part in judging it: more than a word has


class Lexicon(Protocol):
    def frequency(self, word: str) -> float:
        """Its share of all words in running text, in [0, 1); 0 if it is not known."""
        ...


def likelihood(text: str, lexicon: Lexicon) -> float:
    """Of the best way to cut ``text`` into words, in nats; never above 0."""
    best = [0.0]
    for end in range(1, len(text) + 1):
        ways = [best[end - 1] + UNKNOWN]
        for start in range(max(0, end - LONGEST), end):
            if frequency := lexicon.frequency(text[start:end]):
                ways.append(best[start] + math.log(frequency))
        best.append(max(ways))
    return best[-1]


def gain(before: str, after: str, lexicon: Lexicon) -> float:
    """How much likelier ``after`` is than ``before``, length aside; in nats. Marks and signs do not count.

    >>> class Weather:
    ...     def frequency(self, word: str) -> float:
    ...         return {"天气": 1e-4, "天": 1e-3, "气": 1e-4, "汽": 1e-6}.get(word, 0.0)
    >>> round(gain("今天，天汽好。", "今天，天气好。", Weather()), 1)
    11.5
    """
    old, new = said(before), said(after)
    head = _shared(old, new)
    tail = _shared(old[head:][::-1], new[head:][::-1])
    begin, end = max(0, head - REACH), max(0, tail - REACH)
    change = likelihood(new[begin : len(new) - end], lexicon) - likelihood(old[begin : len(old) - end], lexicon)
    return change + AVERAGE * (len(new) - len(old))


def said(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _shared(a: str, b: str) -> int:
    """How many characters both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
