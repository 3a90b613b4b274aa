"""The list of words: what is in it, and that any text may be looked up."""

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.engines.lexicon import Jieba

WORDS = Jieba()


def test_common_words_are_more_frequent_than_rare_ones_and_no_word_has_no_frequency() -> None:
    assert WORDS.frequency("的") > WORDS.frequency("天气") > WORDS.frequency("汽") > 0.0
    assert WORDS.frequency("天汽") == WORDS.frequency("") == 0.0
    assert WORDS.frequency("中华人民共和国") == 0.0  # longer words are not kept
    singles = sum(WORDS.frequency(chr(c)) for c in range(0x4E00, 0xA000))
    assert 0.1 < singles < 1.0


@given(st.text(st.characters(), max_size=5))
def test_anything_may_be_looked_up(text: str) -> None:
    assert 0.0 <= WORDS.frequency(text) < 1.0


def test_without_the_package_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("xingji.engines.lexicon.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError):
        Jieba()
