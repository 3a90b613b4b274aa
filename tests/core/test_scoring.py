import pytest

from xingji.core.scoring import cer, distance, normalise


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
