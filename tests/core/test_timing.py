"""Words and their times: what holds for any tokens and any change of the text, and where boundaries fall."""

import doctest
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core import timing
from xingji.core.timing import (
    HOP,
    REACH,
    Mark,
    carried,
    divided,
    inside,
    laid,
    loudness,
    ranges,
    reworded,
    spans,
    sure,
    words,
)
from xingji.core.types import Hypothesis, Sentence, Span, Stage, Word

CHARACTERS = "今天气好，。3.5% abPT'가a1"
texts = st.text(CHARACTERS, max_size=14)
levels = st.lists(st.floats(0, 90, width=32), min_size=2, max_size=120).map(lambda v: np.array(v, np.float32))
cores = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 3_000)), max_size=12).map(
    lambda pairs: [(at, at + width) for at, width in sorted(pairs)]
)


def timed(text: str, width: int = 100, gap: int = 20) -> tuple[Word, ...]:
    """Every word of ``text``, so many samples each, with a pause after it."""
    places = enumerate(ranges(text))
    return tuple(Word(text[a:b], Span(n * (width + gap), n * (width + gap) + width), 0.5) for n, (a, b) in places)


def assert_in_order(found: tuple[Word, ...] | list[Span], start: int, end: int) -> None:
    edges = [word.span if isinstance(word, Word) else word for word in found]
    assert all(span.start < span.end for span in edges)
    assert all(left.end <= right.start for left, right in pairwise(edges))
    assert not edges or (start <= edges[0].start and edges[-1].end <= end)


def test_examples() -> None:
    assert doctest.testmod(timing).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天3点25分，看PPT。", "今 天 3 点 25 分 看 PPT"),
        ("Hello world, it's state-of-the-art.", "Hello world it's state-of-the-art"),
        ("98.5%，1,000元，12:30 C++", "98.5% 1,000 元 12:30 C"),
        ("a,b. 3.", "a b 3"),
        ("きょうは晴れ 안녕 하세요", "き ょ う は 晴 れ 안녕 하세요"),
        ("。，！ - …", ""),
    ],
)
def test_what_is_a_word(text: str, expected: str) -> None:
    assert [text[a:b] for a, b in ranges(text)] == expected.split()


@given(st.text(max_size=40))
def test_words_hold_every_letter_and_digit_once(text: str) -> None:
    places = ranges(text)
    assert all(a < b for a, b in places)
    assert all(left[1] <= right[0] for left, right in pairwise(places))
    covered = {at for a, b in places for at in range(a, b)}
    assert {at for at, c in enumerate(text) if c.isalnum()} <= covered


@given(cores, levels)
def test_spans_are_in_order_and_inside(cores: list[tuple[int, int]], levels: timing.Levels) -> None:
    found = spans(cores, levels)
    assert len(found) == len(cores)
    assert_in_order(found, 0, len(levels) * HOP)


@given(cores.filter(bool))
def test_words_are_not_longer_than_their_reach(cores: list[tuple[int, int]]) -> None:
    for span, (first, last) in zip(spans(cores, np.zeros(400, np.float32)), cores, strict=True):
        assert first - REACH <= span.start <= span.end <= last + REACH + len(cores)


def test_more_words_than_there_are_samples() -> None:
    assert len(spans([(0, 0)] * 1_000, np.zeros(2, np.float32))) == 2 * HOP
    assert spans([(0, 0)], np.zeros(0, np.float32)) == []


def test_boundaries_are_silence_where_there_is_any_and_else_the_middle() -> None:
    loud, soft = np.full(20, 60, np.float32), np.full(30, 20, np.float32)
    sound = np.concatenate([soft, loud, soft, loud, loud, soft])
    middle = [(at * HOP, at * HOP) for at in (40, 90, 110)]
    first, second, third = spans(middle, sound)
    slack = HOP  # of the smoothing
    assert abs(first.start - 30 * HOP) <= slack and abs(first.end - 50 * HOP) <= slack
    assert abs(second.start - 80 * HOP) <= slack and second.end == third.start == 100 * HOP
    assert abs(third.end - 120 * HOP) <= slack


def test_loudness_is_of_whole_hops() -> None:
    assert loudness(np.zeros(HOP * 2 + 1, np.int16)).tolist() == [0, 0]
    assert loudness(np.full(HOP, 1000, np.int16))[0] == pytest.approx(60, abs=0.01)
    assert len(loudness(np.zeros(3, np.int16))) == 0


@given(texts, st.data())
def test_words_of_any_tokens(text: str, data: st.DataObject) -> None:
    starts = sorted(data.draw(st.sets(st.integers(0, max(0, len(text) - 1)), max_size=len(text))))
    at = sorted(data.draw(st.lists(st.integers(0, 15_999), min_size=len(starts), max_size=len(starts))))
    marks = [Mark(a, s, s, 0.9) for a, s in zip(starts, at, strict=True)]
    found = words(text, marks, np.zeros(100, np.float32), begin=7)
    assert_in_order(found, 7, 16_007)
    expected = [text[a:b] for a, b in ranges(text)]
    # Only the words before the first token can be without any.
    assert [word.text for word in found] == expected[len(expected) - len(found) :]
    if marks and marks[0].at == 0:
        assert len(found) == len(expected)


def test_words_of_tokens_that_nobody_is_sure_of() -> None:
    marks = [Mark(0, 800, 800, None), Mark(1, 4000, 4000, 0.8), Mark(2, 8000, 8960, None)]
    assert [word.confidence for word in words("在25", marks, np.zeros(100, np.float32))] == [None, 0.8]


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("好的。", [("好", 0, 800), ("的", 900, 1600)], [("好", 0, 800), ("的", 900, 1600)]),
        ("在3.5点", [("在", 0, 400), ("35", 400, 1200), ("点", 1200, 1600)],
         [("在", 0, 400), ("3.5", 400, 1200), ("点", 1200, 1600)]),
        ("It's 25%.", [("It's", 0, 400), ("25", 400, 1200)], [("It's", 0, 400), ("25%", 400, 1200)]),
        ("晴れ", [("晴れ", 0, 800)], [("晴", 0, 400), ("れ", 400, 800)]),
        ("好", [("好", 900, 900)], [("好", 900, 901)]),
        ("好的", [("好", 700, 1500), ("的", 1500, 9000)], [("好", 700, 1500), ("的", 1500, 1600)]),
        ("好", [], []),
    ],
)  # fmt: skip
def test_words_of_an_aligners_pieces(
    text: str, pieces: list[tuple[str, int, int]], expected: list[tuple[str, int, int]]
) -> None:
    found = laid(text, pieces, 1600, begin=50)
    assert [(w.text, w.span.start - 50, w.span.end - 50) for w in found] == expected
    assert all(word.confidence is None for word in found)


def test_a_word_joins_its_tokens_and_is_as_sure_as_the_least_sure() -> None:
    marks = [Mark(0, 800, 800, 0.9), Mark(1, 4000, 4000, 0.8), Mark(2, 8000, 8960, 0.4), Mark(3, 12_000, 12_000, 0.7)]
    first, number, last = words("在25点", marks, np.zeros(100, np.float32))
    assert (first.text, number.text, last.text) == ("在", "25", "点")
    assert number == Word("25", Span(2400, 10_480), 0.4)
    assert sure((first, number, last)) == pytest.approx(2 / 3, abs=1e-3)
    assert sure(()) is None and sure((Word("a", Span(0, 1)),)) is None


def test_one_token_may_write_two_words() -> None:
    left, right = words("会议", [Mark(0, 8000, 8000, 1.0)], np.zeros(100, np.float32))
    assert (left.text, left.span.end, right.text, right.span.start) == ("会", 8000, "议", 8000)


# A text that was changed.


@given(texts)
def test_what_is_not_changed_stays(text: str) -> None:
    assert carried(timed(text), text, text) == timed(text)


@given(texts, texts)
def test_any_change_keeps_the_order_and_invents_no_time_outside(before: str, after: str) -> None:
    old = timed(before)
    new = carried(old, before, after)
    assert_in_order(new, 0, old[-1].span.end if old else 0)
    expected = iter([after[a:b] for a, b in ranges(after)])
    assert all(any(word.text == text for text in expected) for word in new), "words of the new text, in its order"
    assert all(word.confidence is None or word in old for word in new)


@given(texts, texts, texts, texts)
def test_words_around_a_change_keep_their_times(left: str, old: str, new: str, right: str) -> None:
    """Where other characters surround the change, so that nothing else can match."""
    before, after = f"甲{left}乙{old}丙{right}丁", f"甲{left}乙{new}丙{right}丁"
    words = timed(before)
    kept = carried(words, before, after)
    assert kept[0] == words[0] and kept[-1] == words[-1]


def carry(before: str, after: str) -> dict[str, tuple[int, int]]:
    return {word.text: (word.span.start, word.span.end) for word in carried(timed(before), before, after)}


def test_replacements_share_the_time_of_what_they_replace() -> None:
    assert carry("请张伟来", "请章薇来") == {"请": (0, 100), "章": (120, 220), "薇": (240, 340), "来": (360, 460)}
    assert carry("请张伟来", "请欧阳修来") == {
        "请": (0, 100), "欧": (120, 193), "阳": (193, 266), "修": (266, 340), "来": (360, 460),
    }  # fmt: skip
    assert carry("看皮皮踢。", "看PPT。") == {"看": (0, 100), "PPT": (120, 460)}
    assert carry("在3点", "在三点") == {"在": (0, 100), "三": (120, 220), "点": (240, 340)}
    assert carry("在25点", "在26点")["26"] == (120, 220)


def test_what_is_only_put_in_has_the_pause_or_nothing() -> None:
    assert carry("今天", "今天气") == carry("今天", "大今天") == {"今": (0, 100), "天": (120, 220)}
    assert carry("今气", "今天气") == {"今": (0, 100), "天": (100, 120), "气": (120, 220)}
    assert "天" not in {w.text for w in carried(timed("今气", gap=0), "今气", "今天气")}
    assert carry("今，气", "今气") == {"今": (0, 100), "气": (120, 220)}
    assert carry("今天", "") == carry("", "今天") == {}


def test_changed_words_were_measured_by_nobody() -> None:
    reading = Hypothesis("请张伟来。", words=timed("请张伟来。"), confidence=0.5, timestamp_source="ctc", language="zh")
    assert reworded(reading, reading.text) is reading
    changed = reworded(reading, "请章薇来。")
    assert [word.confidence for word in changed.words] == [0.5, None, None, 0.5]
    assert (changed.text, changed.language, changed.timestamp_source) == ("请章薇来。", "zh", "edit")
    assert reworded(Hypothesis("好。"), "坏。").timestamp_source is None


def test_words_that_the_text_does_not_have_are_left_out() -> None:
    assert carried((Word("甲", Span(0, 9)), Word("乙", Span(9, 20))), "乙", "乙") == (Word("乙", Span(9, 20)),)


@given(texts, st.integers(-10, 900), st.integers(-10, 900))
def test_cut_to_a_stretch(text: str, start: int, end: int) -> None:
    found = inside(timed(text), start, end)
    assert_in_order(found, start, max(start, end))
    assert inside(timed(text), 0, 10_000) == timed(text)


def told(text: str, *spoken: tuple[str, int, int], start: int = 0, end: int = 100) -> Sentence:
    words = tuple(Word(word, Span(begin, stop)) for word, begin, stop in spoken)
    return Sentence(0, start, end, Stage.SECOND_PASS, 1, text, words=words)


def test_a_sentence_is_divided_where_marks_end_sentences_in_it() -> None:
    sentence = told(
        "好。是吗？是3.5版", ("好", 10, 20), ("是", 30, 35), ("吗", 35, 40), ("是", 60, 65), ("3.5", 65, 90)
    )
    assert list(divided(sentence)) == [("好。", Span(0, 20)), ("是吗？", Span(30, 40)), ("是3.5版", Span(60, 100))]
    assert list(divided(told("Yes. No.", ("Yes", 1, 2), ("No", 5, 6)))) == [
        ("Yes.", Span(0, 2)),
        (" No.", Span(5, 100)),
    ]


@pytest.mark.parametrize(
    "sentence", [told("好。是。"), told("好是。", ("好", 1, 2), ("是", 3, 4)), told("。好", ("好", 1, 2))]
)
def test_without_words_or_marks_between_them_it_stays_whole(sentence: Sentence) -> None:
    assert list(divided(sentence)) == [(sentence.text, Span(0, 100))]


@given(st.text("好是。？.3 a", max_size=20), st.data())
def test_parts_are_the_sentence_and_in_order(text: str, data: st.DataObject) -> None:
    places = ranges(text)
    times = sorted(data.draw(st.lists(st.integers(0, 200), min_size=2 * len(places), max_size=2 * len(places))))
    spoken = [(text[a:b], times[2 * n], times[2 * n + 1]) for n, (a, b) in enumerate(places)]
    parts = list(divided(told(text, *spoken)))
    assert "".join(part for part, _ in parts) == text
    at = 0
    for _, span in parts:
        assert at <= span.start <= span.end
        at = span.end
