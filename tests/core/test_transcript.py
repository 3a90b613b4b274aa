"""Sentences become one text: no space between Han characters, one between Latin words, no mark doubled at a join."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.transcript import join, pieces
from xingji.core.written import Style, write

PAUSES = "，。？！、；：,.?!;:"


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ([], ""),
        (["你好。", "再见。"], "你好。再见。"),
        (["hello", "world"], "hello world"),
        (["Hello.", "World."], "Hello. World."),
        (["我用", "Python", "写的"], "我用Python写的"),
        (["Thank you.", "谢谢。", "Bye."], "Thank you. 谢谢。Bye."),
        (["안녕하세요", "네"], "안녕하세요 네"),
        (["おはよう", "ございます"], "おはようございます"),
        (["hello", "", "world"], "hello world"),
        (["hello ", "world"], "hello world"),
        (["hello", " world"], "hello world"),
        (["Hello. ", "你好"], "Hello. 你好"),
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


@given(st.lists(st.text("你好a1 ，。？,.?…", max_size=6), max_size=5), st.booleans())
def test_segments_as_they_are_written_join_without_leading_or_doubled_marks(texts: list[str], marks: bool) -> None:
    whole = join(write(text, Style(punctuation=marks)).text for text in texts)
    assert whole[:1] not in {*PAUSES, "…", " "}
    assert not any(a in PAUSES and b in PAUSES for a, b in pairwise(whole.replace(" ", "")))
    assert "  " not in whole
    assert not whole or not marks or whole[-1] in "。？！.?!"
