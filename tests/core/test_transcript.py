"""Sentences become one text: no space between Han characters, one between Latin words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.transcript import MARKS, bare, join, pieces


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ([], ""),
        (["你好。", "再见。"], "你好。再见。"),
        (["hello", "world"], "hello world"),
        (["Hello.", "World."], "Hello. World."),
        (["我用", "Python", "写的"], "我用Python写的"),
        (["hello", "", "world"], "hello world"),
        (["hello ", "world"], "hello world"),
        (["hello", " world"], "hello world"),
        (["第3", "5天"], "第3 5天"),
        (["", "", "好"], "好"),
    ],
)
def test_join(texts: list[str], whole: str) -> None:
    assert join(texts) == whole


@given(st.lists(st.text("你好。 aB1,", max_size=4), max_size=6))
def test_pieces_are_the_texts_with_at_most_a_space_in_front(texts: list[str]) -> None:
    found = list(pieces(texts))
    assert [piece.removeprefix(" ") for piece in found] == [text.removeprefix(" ") for text in texts]
    assert "".join(found) == join(texts)


@given(st.text("你好" + MARKS + "a1.", max_size=8))
def test_bare_takes_out_the_marks_and_nothing_else(text: str) -> None:
    assert not set(bare(text)) & set(MARKS)
    assert bare(text) == "".join(char for char in text if char in "你好a1.")
