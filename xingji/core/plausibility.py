"""Whether a reading can be what somebody said: no words from silence, noise or music.

Recognisers write something wherever they are made to listen. A reading that nobody can have spoken (too much
text for its time, or one phrase over and over) is not believed at all. A single word is, and so are few in a long
time, unless the evidence is thin: the detector was never quite sure of the segment, and no second recogniser heard
a word there either. Loudness is no evidence: music is loud and whispers are not. Only what no microphone hears
counts as silence.

How sure the detector is: the mean speech posterior of a segment's 20 surest frames (0.2 s). Measured with the
official FSMN-VAD (2026-11): 460 isolated 0.3 s pieces of read Mandarin, clean and attenuated by 20 dB, have a median
of 0.995 and 5 % below 0.95; at 30 dB less 5 % are below 0.93, in noise at 10 dB below 0.88. Of the segments that it
finds in synthetic music, tunes, breath and hum, half are below 0.90 to 0.97 and 5 % below 0.84 to 0.87. So it parts
them too badly to drop anything by itself.
"""

import re
from collections.abc import Sequence

import numpy as np

from .types import SAMPLE_RATE, Samples
from .written import is_wide

FASTEST = 14.0  # syllables a second; hurried speech has 8 to 10
SLACK = 4  # syllables that any segment may have: its edges are not exact
MOST_TIMES, MOST_WORDS = 5, 20  # a phrase may be said so often in a row, or be so many words with all its repetitions
LONGEST_PHRASE = 12  # words
SILENCE = 2  # peak of int16 samples: dither
SLOWEST = 1.0  # syllables a second; slow speech has 2 to 3, and a segment holds no pause as long as that
UNSURE = 0.95  # of a word that another recogniser did not hear
FEW_UNSURE = 0.98  # … and of few words in a long time, in which some frame always looks like speech
DOUBTFUL = 0.85  # of either where nobody else was asked

_WORD = re.compile(r"[^\W\d_]+|\d")
_NUMERALS = frozenset("零〇一二三四五六七八九十幺两")


def implausible(text: str, length: int) -> bool:
    """Whether nobody can have said ``text`` in ``length`` samples."""
    return too_fast(text, length) or looping(text)


def too_fast(text: str, length: int) -> bool:
    return syllables(text) > SLACK + FASTEST * length / SAMPLE_RATE


def syllables(text: str) -> float:
    """At least so many were spoken: one for a Han character or kana, one for four Latin letters. A digit counts half,
    as 1000000 is said in three."""
    wide = sum(map(is_wide, text))
    digits = sum(c.isdigit() for c in text)
    return wide + digits / 2 + (sum(map(str.isalpha, text)) - wide) / 4


def looping(text: str) -> bool:
    """Whether most of ``text`` is one phrase said more often in a row than anybody does. Numbers may go on and on."""
    words = _words(text)
    for size in range(1, min(LONGEST_PHRASE, len(words) // MOST_TIMES) + 1):
        run = _longest_run(words, size)
        if run > MOST_TIMES and run * size > max(MOST_WORDS, len(words) // 2):
            return True
    return False


def _words(text: str) -> list[str]:
    """Wide characters and Latin words."""
    words: list[str] = []
    for match in _WORD.finditer(text.lower()):
        words += match[0] if is_wide(match[0][0]) else [match[0]]
    return words


def _longest_run(words: Sequence[str], size: int) -> int:
    """How often a phrase of ``size`` words follows itself at most; phrases of numerals do not count."""
    same = [a == b for a, b in zip(words, words[size:], strict=False)]
    longest = since = 0
    for at, follows in enumerate(same, 1):
        number = all(word in _NUMERALS or word.isdigit() for word in words[at - 1 : at - 1 + size])
        since = since + 1 if follows and not number else 0
        longest = max(longest, since)
    return longest // size + 1


def inaudible(samples: Samples) -> bool:
    """Digital silence, give or take its dither."""
    return not len(samples) or int(np.abs(samples.astype(np.int32)).max()) <= SILENCE


def hollow(text: str, length: int, certainty: float, heard_by_another: bool | None) -> bool:
    """Whether there is too little behind ``text``, of ``length`` samples, to believe it. ``certainty`` is the
    detector's (0..1); whether another recogniser heard a word, None where none was asked."""
    sparse = syllables(text) < SLOWEST * length / SAMPLE_RATE
    if heard_by_another or (len(_words(text)) > 1 and not sparse):
        return False
    if heard_by_another is None:
        return certainty < DOUBTFUL
    return certainty < (FEW_UNSURE if sparse else UNSURE)
