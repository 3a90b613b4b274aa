"""Readings of a growing beginning: what two in a row agree on stays, and asking costs a few times the length."""

from hypothesis import given
from hypothesis import strategies as st

from xingji.core.preview import Preview
from xingji.core.types import SAMPLE_RATE, HotwordHit, Hypothesis, Span, Stage, Word


def shown(*texts: str) -> list[tuple[str, int, str]]:
    preview = Preview()
    read = [preview.read(Hypothesis(text)) for text in texts]
    return [(reading.text, reading.stable, reading.bare) for reading in read]


def test_what_two_readings_agree_on_is_stable() -> None:
    assert shown("今天天汽。", "今天天气很好。", "今天天气很好，我们", "今天天气很好，我们走") == [
        ("今天天汽", 0, ""),
        ("今天天气很好", 3, "今天天"),
        ("今天天气很好，我们", 6, "今天天气很好"),
        ("今天天气很好，我们走", 9, "今天天气很好我们"),
    ]


def test_what_is_stable_stays_whatever_comes() -> None:
    assert shown("他们来了", "他们来了吗", "她们来了吗我们", "她们都来了吗我们走", "") == [
        ("他们来了", 0, ""),
        ("他们来了吗", 4, "他们来了"),
        ("他们来了吗我们", 5, "他们来了吗"),
        ("他们来了吗我们走", 7, "他们来了吗我们"),
        ("他们来了吗我们", 7, "他们来了吗我们"),
    ]
    assert shown("我有二", "我有二", "我有25个")[-1] == ("我有25个"[:2] + "二5个", 3, "我有二")


def test_words_and_hits_are_those_of_what_is_shown() -> None:
    words = tuple(Word(c, Span(at, at + 1), 0.9) for at, c in enumerate("今天"))
    hit = HotwordHit("今天", "今天", Stage.SECOND_PASS, 1.0)
    reading = Preview().read(Hypothesis("今天。", words=words, hotword_hits=(hit,), timestamp_source="ctc"))
    assert reading.words == words and reading.hotword_hits == ()


characters = st.text("今天气，。 ab3.", max_size=8)


@given(st.lists(characters, max_size=6))
def test_stable_text_only_grows(texts: list[str]) -> None:
    stable = bare = ""
    for text, count, words in shown(*texts):
        assert text.startswith(stable) and count >= len(stable) and words.startswith(bare)
        stable, bare = text[:count], words


def test_it_is_asked_ever_more_seldom() -> None:
    preview = Preview()
    asked = [heard for heard in range(0, 30 * SAMPLE_RATE, SAMPLE_RATE // 10) if preview.due(heard)]
    assert asked[:4] == [SAMPLE_RATE * n for n in (1, 2, 3, 4)]
    assert len(asked) == 12 and sum(asked) < 4 * 30 * SAMPLE_RATE
