"""The report's ground truth: the library speaks as the program does, and says when."""

import ctypes.util
import shutil
from itertools import pairwise

import numpy as np
import pytest

from tools import words_report
from training.minipack import grammar, speech
from xingji.core.types import Span, Word


@pytest.mark.skipif(
    shutil.which("espeak-ng") is None or ctypes.util.find_library("espeak-ng") is None, reason="needs espeak-ng"
)
def test_times_are_of_the_same_sound() -> None:
    text, voice = "请张伟提交PPT，我们email二十四。", speech.Voice("f4", 180, 50, 0)
    wave, words = words_report.Espeak().say(text, voice)
    assert np.array_equal(wave, speech.speak(text, voice))
    assert [word for word, _, _ in words] == grammar.spoken_units(text)
    assert all(begin < end for _, begin, end in words)
    assert all(left[2] <= right[1] for left, right in pairwise(words))
    assert -20 < words[0][1] < 60 and 0 < len(wave) / 16 - words[-1][2] < 200  # the voice trails an echo
    comma = [unit for unit, _, _ in words].index("我")
    assert words[comma][1] - words[comma - 1][2] > 100, "the pause belongs to no word"


def test_only_words_that_were_read_right_are_measured() -> None:
    heard = [Word("请", Span(0, 160)), Word("章", Span(160, 320)), Word("伟", Span(320, 480))]
    told = [("请", 1.0, 9.0), ("张", 10.0, 20.0), ("伟", 18.0, 30.0)]
    assert words_report.errors(heard, told) == [(-1.0, 1.0), (2.0, 0.0)]


def test_unrelated_words_sound_like_nothing_that_was_said() -> None:
    table = words_report.unrelated(["王芳说语音识别很好"])
    assert len(table.words) == words_report.LARGE and all(len(word.text) > 1 for word in table.words)
