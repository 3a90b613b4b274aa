"""Subtitles: the whole text in order, cues that fit a screen, times of the words, and both formats to the letter."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.subtitles import LINE, LINES, Cue, cues, srt, vtt
from xingji.core.timing import ranges
from xingji.core.types import SAMPLE_RATE, Sentence, Span, Stage, Word

SECOND = SAMPLE_RATE
texts = st.text("今天气很好，。？、 abc1.<&", max_size=120).map(str.strip)


def sentence(text: str, start: float = 0.0, each: float = 0.25, words: bool = True, id: int = 0) -> Sentence:
    """Every word takes ``each`` seconds."""
    begin, length = int(start * SECOND), int(each * SECOND)
    spans = [Span(begin + n * length, begin + (n + 1) * length) for n in range(len(ranges(text)))]
    timed = tuple(Word(text[a:b], span) for (a, b), span in zip(ranges(text), spans, strict=True))
    end = begin + max(1, len(spans)) * length
    return Sentence(id, begin, end, Stage.SECOND_PASS, 1, text, words=timed if words else ())


LONG = (
    "虽然服务器部署有点困难，但是项目进度十分顺利，请大家继续准备会议记录和测试结果，"
    "本周星期五下午三点我们在会议室讨论年度预算。"
)


def test_a_short_sentence_is_one_cue() -> None:
    assert cues([sentence("今天天气很好。", 1.0)]) == [Cue(Span(SECOND, SECOND * 5 // 2), ("今天天气很好。",))]


def test_a_long_one_is_divided_at_its_marks_by_the_times_of_its_words() -> None:
    first, second = cues([sentence(LONG)])
    assert "".join(first.lines).endswith("，")
    assert "".join(first.lines + second.lines) == LONG
    spoken = len(ranges("".join(first.lines)))
    assert first.span == Span(0, spoken * SECOND // 4) and second.span.start == first.span.end


def test_without_times_of_words_the_parts_share_the_sentence() -> None:
    first, second = cues([sentence(LONG, words=False)])
    whole = len(ranges(LONG)) * SECOND // 4
    assert first.span == Span(0, whole * len("".join(first.lines)) // len(LONG))
    assert second.span == Span(first.span.end, whole)


def test_words_that_the_text_does_not_have_say_nothing_about_it() -> None:
    stray = Sentence(0, 0, SECOND, Stage.CORRECTED, 1, "好。", words=(Word("坏", Span(5, 6)),))
    assert cues([stray]) == [Cue(Span(0, SECOND), ("好。",))]


def test_where_there_is_no_mark_it_is_divided_between_words() -> None:
    for text in ("很" * 90, "word " * 40 + "end", "x" * 200, "好" + "。" * 38):
        found = cues([sentence(text)])
        assert "".join("".join(cue.lines) for cue in found).replace(" ", "") == text.replace(" ", "")
    assert [len("".join(cue.lines)) for cue in cues([sentence("很" * 90)])] == [40, 40, 10]


def test_two_lines_are_about_as_long_and_end_at_a_mark_where_they_can() -> None:
    [cue] = cues([sentence("今天下午的会议改到三点半，请大家准时参加，谢谢。")])
    assert cue.lines == ("今天下午的会议改到三点半，", "请大家准时参加，谢谢。")


def test_nothing_lasts_into_the_next_and_nothing_is_empty() -> None:
    late = Sentence(1, 2 * SECOND, None, Stage.PARTIAL, 1, "好")
    over = sentence("今天天气很好很好很好。", 0.0)
    nothing = Sentence(2, 9 * SECOND, 10 * SECOND, Stage.STREAMED, 1, "")
    assert [cue.span for cue in cues([over, late, nothing])] == [Span(0, 2 * SECOND)]


@given(st.lists(texts, max_size=4), st.booleans())
def test_all_that_was_said_is_there_in_order(lines: list[str], words: bool) -> None:
    sentences = [sentence(text, 40.0 * n, words=words, id=n) for n, text in enumerate(lines)]
    found = cues(sentences)
    told = "".join("".join(cue.lines) for cue in found)
    # Marks that are too many may be missing; words may not.
    assert [c for c in told if c.isalnum()] == [c for c in "".join(lines) if c.isalnum()]
    assert all(left.span.end <= right.span.start for left, right in pairwise(found))
    for cue in found:
        assert cue.span.start < cue.span.end and 1 <= len(cue.lines) <= LINES and all(cue.lines)
        assert sum(len(line) for line in cue.lines) <= 2 * LINE * LINES


def test_both_formats() -> None:
    sentences = [sentence("好的，没问题。", 3600 + 61.5), sentence("A<B & C-->D", 3700.0)]
    assert srt(sentences) == (
        "1\n01:01:01,500 --> 01:01:02,750\n好的，没问题。\n\n2\n01:01:40,000 --> 01:01:41,000\nA<B & C-->D\n"
    )
    assert vtt(sentences) == (
        "WEBVTT\n\n01:01:01.500 --> 01:01:02.750\n好的，没问题。\n\n"
        "01:01:40.000 --> 01:01:41.000\nA&lt;B &amp; C--&gt;D\n"
    )


@pytest.mark.parametrize(("write", "empty"), [(srt, ""), (vtt, "WEBVTT\n")])
def test_of_nothing(write: object, empty: str) -> None:
    assert callable(write) and write([]) == empty
