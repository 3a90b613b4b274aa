"""The vote of readings: where it is clear, and where it leaves things as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.agreement import applied
from xingji.core.alignment import disagreements
from xingji.core.fusion import Reading, confidences, fuse
from xingji.core.lexicon import gain, likelihood
from xingji.core.types import Hypothesis, Span, Word
from xingji.engines.lexicon import Jieba

WORDS = Jieba()


def fused(base: str, *others: str) -> str:
    return fuse(Reading(base), [Reading(other) for other in others], WORDS).text


@pytest.mark.parametrize(
    ("base", "others", "text"),
    [
        ("今天天汽很好。", ["今天天气很好"], "今天天气很好。"),  # no word against a word
        ("今天天气很好。", ["今天天汽很好"], "今天天气很好。"),
        ("今天，天汽很好。", ["今天天气很号"], "今天，天气很好。"),  # each place by itself; marks stay
        ("他叫张伟。", ["他叫张玮"], "他叫张伟。"),  # not clear enough
        ("他叫张玮。", ["他叫张韡", "他叫张韡"], "他叫张玮。"),
        ("他叫詹玮。", ["他叫詹维", "他叫詹维"], "他叫詹维。"),  # two against one
        ("我们今天开会讨论", ["我们今天下午开会讨论"], "我们今天下午开会讨论"),  # nothing said twice: it was heard
        ("确保保障性住房", ["确保保保保障性住房"], "确保保障性住房"),
        # what no correction may do, no vote may do either
        ("3点开汇", ["三点开会"], "3点开会"),
        ("我买这个", ["我卖这个"], "我买这个"),
        ("他没来上班吗", ["他每来上班吗"], "他没来上班吗"),
        ("调用API接口", ["调用APP接口"], "调用API接口"),
        ("", ["你好"], ""),
        ("你好", [""], "你好"),
        ("你好", [], "你好"),
    ],
)
def test_the_vote(base: str, others: list[str], text: str) -> None:
    assert fused(base, *others) == text


def test_it_says_what_it_changed_and_what_it_doubts() -> None:
    found = fuse(Reading("他叫张玮，天汽很好。"), [Reading("他还叫张维天气很好")], WORDS)
    assert found.text == applied("他叫张玮，天汽很好。", [vote.edit for vote in found.votes])
    assert [(vote.replaced, vote.edit.replacement, vote.reason) for vote in found.votes] == [
        ("", "还", "vote"),
        ("汽", "气", "vote"),
    ]
    assert [found.text[a:b] for a, b in found.doubts] == ["玮"]


def test_confidences_count_for_and_against() -> None:
    base, other = "今天天汽很好", "今天天气很好"
    sure, unsure = (1.0,) * 6, (1.0, 1.0, 1.0, 0.1, 1.0, 1.0)
    place = "他叫张玮", "他叫张韡"
    assert fuse(Reading(base, sure), [Reading(other)], WORDS).text == other  # words tell more
    assert fuse(Reading(place[0], sure[:4]), [Reading(place[1], sure[:4])], WORDS).text == place[0]
    assert fuse(Reading(base, unsure), [], WORDS).doubts == ((3, 4),)
    assert fuse(Reading(base, unsure), [Reading(other)], WORDS).doubts == ()  # decided
    near = "他叫詹玮", "他叫詹维"
    assert fused(*near) == near[0]
    assert fuse(Reading(near[0], (1.0, 1.0, 1.0, 0.1)), [Reading(near[1], sure[:4])], WORDS).text == near[1]


def test_confidences_of_words() -> None:
    class Sure:
        def __init__(self, text: str, confidence: float | None) -> None:
            self.text, self.confidence = text, confidence

    words = (Sure("天气", 0.5), Sure("好，", 0.9))
    assert confidences(Hypothesis("天气好。", words=words)) == (0.5, 0.5, 0.9)  # type: ignore[arg-type]
    assert confidences(Hypothesis("天气坏。", words=words)) == ()  # type: ignore[arg-type]
    assert confidences(Hypothesis("天气。", words=(Word("天气", Span(0, 1)),))) == ()
    assert confidences(Hypothesis("天气。", words=(Sure("天气", None),))) == ()  # type: ignore[arg-type]


TEXT = st.text("天气汽器今三3aA不吗买卖，。", max_size=10)
SURE = st.lists(st.floats(0, 1), max_size=10).map(tuple)


@given(TEXT, st.lists(TEXT, max_size=3), SURE)
def test_whatever_the_readings(base: str, others: list[str], sure: tuple[float, ...]) -> None:
    found = fuse(Reading(base, sure), [Reading(other, sure) for other in others], WORDS)
    assert found.text == applied(base, [vote.edit for vote in found.votes])
    assert all(0 <= a <= b <= len(found.text) for a, b in found.doubts)
    assert [c for c in found.text if not c.isalnum()] == [c for c in base if not c.isalnum()]
    if not others or all(not disagreements(base, other) for other in others):
        assert found.text == base


# What words say.


def test_a_text_is_as_likely_as_its_likeliest_words() -> None:
    assert likelihood("", WORDS) == 0.0
    assert likelihood("天气", WORDS) > likelihood("天汽", WORDS)
    assert likelihood("龘龘", WORDS) < likelihood("的的", WORDS) < 0
    assert gain("今天，天汽。", "今天，天气。", WORDS) == -gain("今天天气", "今天天汽", WORDS) > 4
    assert gain("API", "api", WORDS) == 0.0
