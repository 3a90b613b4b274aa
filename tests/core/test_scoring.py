import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.scoring import alignment, cer, distance, normalise


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits"),
    [("", "", 0), ("你好", "你好", 0), ("你好", "", 2), ("", "你好", 2), ("天气很好", "天汽好", 2), ("abc", "bcd", 2)],
)
def test_distance_counts_edits_both_ways(reference: str, hypothesis: str, edits: int) -> None:
    assert distance(reference, hypothesis) == distance(hypothesis, reference) == edits


def test_only_what_was_said_counts() -> None:
    assert normalise("你好，ＡＰＩ 3.5！") == "你好api35"
    assert cer([("今天天气不错。", "今天，天气不错")]) == 0


def test_rates_weigh_by_length() -> None:
    assert cer([("你好", "您好"), ("今天天气不错啊", "今天天气不错啊")]) == pytest.approx(1 / 9)
    assert cer([]) == cer([("", "噪声")]) == 0


def test_an_alignment_keeps_what_is_right_and_is_in_order() -> None:
    assert alignment("天气好", "天好啊") == [(0, 0), (1, None), (2, 1), (None, 2)]
    assert alignment("ab", "cd") == [(0, 0), (1, 1)]
    assert alignment("", "ab") == [(None, 0), (None, 1)]
    assert alignment("ab", "") == [(0, None), (1, None)]


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_an_alignment_is_whole_and_costs_the_distance(one: str, other: str) -> None:
    steps = alignment(one, other)
    assert [i for i, _ in steps if i is not None] == list(range(len(one)))
    assert [j for _, j in steps if j is not None] == list(range(len(other)))
    assert sum(i is None or j is None or one[i] != other[j] for i, j in steps) == distance(one, other)
