"""The figures, against cases counted by hand and against what must hold for any."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.quality import harm, times
from tools.quality.biasing import Biasing, biasing, occurrences
from tools.quality.manifest import Timed
from tools.quality.punctuation import Marks, marks
from tools.quality.rates import difference, interval, rate

counts = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 20)), min_size=1, max_size=12)


def test_a_rate_is_of_all_recordings_together() -> None:
    assert rate([1, 0], [2, 8]) == 0.1
    assert rate([3], [0]) is None and interval([3], [0]) is None


@settings(max_examples=20)  # each draws thousands of times
@given(counts)
def test_an_interval_holds_its_rate_and_is_the_same_each_time(rows: list[tuple[int, int, int]]) -> None:
    edits, _, lengths = map(list, zip(*rows, strict=True))
    found = interval(edits, lengths)
    assert found is not None and found == interval(edits, lengths)
    assert found.value == rate(edits, lengths)
    assert min(e / n for e, n in zip(edits, lengths, strict=True)) - 1e-9 <= found.low <= found.high
    assert found.high <= max(e / n for e, n in zip(edits, lengths, strict=True)) + 1e-9


@settings(max_examples=20)  # each draws thousands of times
@given(counts)
def test_a_difference_is_paired(rows: list[tuple[int, int, int]]) -> None:
    edits, others, lengths = map(list, zip(*rows, strict=True))
    same, one, back = (difference(a, b, lengths) for a, b in ((edits, edits), (edits, others), (others, edits)))
    assert same is not None and one is not None and back is not None
    assert (same.value, same.low, same.high, same.sure) == (0, 0, 0, False)
    assert one.value == pytest.approx(-back.value)


def test_what_helps_everywhere_is_sure_though_recordings_differ_much() -> None:
    hard = [20, 0, 15, 1, 30]
    helped = difference(hard, [edits + 1 for edits in hard], [40] * 5)
    assert helped is not None and helped.sure and helped.value == pytest.approx(-1 / 40)
    alone = interval(hard, [40] * 5)
    assert alone is not None and alone.high - alone.low > 0.3


def test_an_interval_of_many_alike_is_the_binomials() -> None:
    """200 recordings of one character, a tenth wrong: ±1.96·√(0.1·0.9/200) = ±0.042."""
    found = interval([1] * 20 + [0] * 180, [1] * 200)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.058, abs=0.01), pytest.approx(0.142, abs=0.01))


def test_hotwords_counted_by_hand() -> None:
    """One of two is found and none invented; 方→芳 is a biased edit, 啊 is not."""
    assert biasing("请张玮联系王方。", "请张玮联系王芳啊。", ["张玮", "王方", "李纳"]) == Biasing(2, 1, 1, 1, 4, 1, 3)


def test_an_invented_hotword_costs_precision_and_biased_edits() -> None:
    seen = biasing("请开会", "请张玮开会", ["张玮"])
    assert seen == Biasing(0, 1, 0, 2, 0, 0, 3)
    assert (seen.recall, seen.precision, seen.b_cer, seen.u_cer) == (None, 0, None, 0)


def test_a_hotword_counts_only_where_it_was_said() -> None:
    seen = biasing("张玮和李娜", "李娜和张玮", ["张玮", "李娜"])
    assert (seen.said, seen.written, seen.found) == (2, 2, 0)


def test_the_longest_word_at_a_place_is_taken() -> None:
    assert occurrences("张玮经理张玮", ["张玮经理", "张玮"]) == [(0, 4), (4, 6)]


def test_hotwords_are_compared_as_texts_are() -> None:
    assert biasing("第三号 GPU", "第3号gpu。", ["第三号", "Gpu"]).recall == 1


@given(st.text("张玮王方请", max_size=8), st.text("张玮王方请", max_size=8))
def test_inside_and_outside_make_up_the_whole(said: str, heard: str) -> None:
    seen, none = biasing(said, heard, ["张玮", "王方"]), biasing(said, heard, [])
    assert seen.biased + seen.unbiased == len(said) == none.unbiased
    assert seen.biased_edits + seen.unbiased_edits == none.unbiased_edits
    assert seen.found <= min(seen.said, seen.written)
    assert biasing(said, said, ["张玮", "王方"]).recall in (None, 1)


def test_marks_counted_by_hand() -> None:
    seen = marks("你好，今天好吗？好。", "您好，今天，好吗。好。")
    assert seen == Marks(Counter("，？。"), Counter("，，。。"), Counter("，。"))
    assert (seen.precision(), seen.recall(), seen.f1()) == (0.5, pytest.approx(2 / 3), pytest.approx(4 / 7))
    assert (seen.precision("，"), seen.recall("，"), seen.f1("？")) == (0.5, 1, 0)
    assert seen.f1("！") is None


def test_a_lost_or_added_character_costs_no_mark() -> None:
    assert marks("今天很好，走吧。", "今天好，走吧啊。").f1("，") == 1
    assert marks("三点二十五分，走。", "3点25分，走。").f1() == 1


@given(st.text("天气好，。？", max_size=10), st.text("天气好，。？", max_size=10))
def test_no_more_marks_are_right_than_said_or_given(said: str, heard: str) -> None:
    seen = marks(said, heard)
    assert seen.right <= seen.wanted and seen.right <= seen.given
    assert marks(said, said).f1() in (None, 1)


SAID = (Timed("甲", 1.0, 2.0), Timed("乙", 4.0, 5.0))


def test_boundaries_are_heard_less_labelled() -> None:
    seen = times.sentences(SAID, [(0.8, 2.1), (3.9, 5.3)])
    assert seen.starts == pytest.approx([-0.2, -0.1]) and seen.ends == pytest.approx([0.1, 0.3])
    assert (seen.joined, seen.cut, seen.missed, seen.invented) == (0, 0, 0, 0)


def test_what_was_joined_has_an_onset_and_an_end_and_lacks_what_is_between() -> None:
    seen = times.sentences(SAID, [(0.9, 5.1)])
    assert seen.starts == pytest.approx([-0.1]) and seen.ends == pytest.approx([0.1]) and seen.joined == 1


def test_pieces_missed_and_invented_are_counted() -> None:
    seen = times.sentences(SAID, [(1.0, 1.4), (1.6, 2.0), (6.0, 7.0)])
    assert (seen.cut, seen.missed, seen.invented) == (1, 1, 1)
    assert seen.starts == seen.ends == [0.0]


def test_words_are_compared_where_the_text_has_them() -> None:
    said = [Timed("今", 0.0, 0.2), Timed("天", 0.2, 0.4), Timed("API", 0.5, 0.9), Timed("好", 1.0, 1.2)]
    heard = [Timed("今天", 0.05, 0.45), Timed("api", 0.5, 0.8), Timed("嗯", 0.9, 1.0), Timed("号", 1.0, 1.2)]
    seen = times.words(said, heard)
    assert seen.starts == pytest.approx([0.05, 0.0]) and seen.ends == pytest.approx([0.05, -0.1])
    assert (seen.labelled, seen.missed, seen.invented) == (4, 1, 1)


def test_a_spread_says_how_far_and_to_which_side() -> None:
    seen = times.spread([-0.06, -0.2, -0.0604, 0.3])
    assert seen is not None and (seen.count, seen.near, seen.far) == (4, 0.5, 0.75)
    assert seen.bias == pytest.approx(-0.0602) and seen.p50 == pytest.approx(0.1302)
    assert times.spread([]) is None


def reading(second: str, corrected: str) -> dict[str, str]:
    return {"second_pass": second, "corrected": corrected}


def test_harm_counted_by_hand() -> None:
    readings = [
        reading("天汽好。", "天气好。"),
        reading("我去。", "我取。"),
        reading("走把。", "走吧！"),
        reading("好。", "好。"),
    ]
    seen = harm.changes("天气好。我去。走吧。好。", readings, "second_pass", "corrected")
    assert (seen.sentences, seen.changed, seen.better, seen.worse, seen.edits_saved) == (4, 3, 2, 1, 1)
    assert seen.harm == pytest.approx(1 / 3)


def test_a_change_of_marks_is_a_change_and_no_harm() -> None:
    seen = harm.changes("好。", [reading("好，", "好。")], "second_pass", "corrected")
    assert (seen.changed, seen.better, seen.worse) == (1, 0, 0)
    assert harm.Changes().harm is None
