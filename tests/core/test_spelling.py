"""Hotwords show while somebody speaks; what has been put in stays, whatever the steps in which the text comes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.hotwords import HotwordIndex, Layered
from xingji.core.spelling import Spelling
from xingji.core.types import Hotword, Hypothesis, Stage
from xingji.engines.lexicon import Jieba
from xingji.engines.pinyin import Pypinyin

PINYIN, WORDS = Pypinyin(), Jieba()


def table(*words: str) -> HotwordIndex:
    return HotwordIndex([Hotword(word) for word in words], PINYIN, WORDS)


def spoken(hotwords: HotwordIndex | Layered, text: str, steps: list[int]) -> list[Hypothesis]:
    """What is shown while ``text`` comes in steps; at the end all of it is there."""
    spelling = Spelling(hotwords)
    shown = [
        spelling.write(Hypothesis(text[: min(at + 1, len(text))], stable=min(at, len(text))), Stage.PARTIAL)
        for at in sorted(steps)
    ]
    return [*shown, spelling.write(Hypothesis(text), Stage.STREAMED)]


def test_a_hotword_shows_while_somebody_speaks() -> None:
    shown = spoken(table("林滔", "API"), "请林涛介绍api接口", list(range(12)))
    assert [heard.text for heard in shown] == [
        "请", "请林", "请林涛", "请林涛介", "请林涛介绍", "请林滔介绍a", "请林滔介绍ap", "请林滔介绍api",
        "请林滔介绍api接", "请林滔介绍api接口", "请林滔介绍API接口", "请林滔介绍API接口", "请林滔介绍API接口",
    ]  # fmt: skip
    hits = [(hit.word, hit.replaced, hit.stage) for hit in shown[-1].hotword_hits]
    assert hits == [("林滔", "林涛", Stage.STREAMED), ("API", "api", Stage.STREAMED)]
    assert [(hit.word, hit.stage) for hit in shown[5].hotword_hits] == [("林滔", Stage.PARTIAL)]


def test_at_the_end_nothing_is_waited_for() -> None:
    *_, last = spoken(table("林滔"), "请林涛", [])
    assert (last.text, last.stable) == ("请林滔", 3)
    assert [hit.stage for hit in last.hotword_hits] == [Stage.STREAMED]


@pytest.mark.parametrize("text", ["请张三风来说明", "请章三风来说明"])
def test_the_place_that_ends_first_is_taken(text: str) -> None:
    assert spoken(table("张三", "张三丰"), text, [])[-1].text == "请张三风来说明"


def test_own_words_come_before_the_table() -> None:
    layered = Layered(table("林滔"), table("林韬", "介绍"))
    shown = spoken(layered, "请林涛介绍一下", [7])
    assert shown[-1].text == "请林滔介绍一下" and layered.longest == 2


TEXT = st.text("张章伟薇玮三丰风aAPI ，林涛滔的公司", max_size=20)
TABLE = st.lists(st.text("张章伟薇玮三丰风aAPI林涛滔公司", min_size=1, max_size=4), max_size=6, unique=True)
STEPS = st.lists(st.integers(0, 20), max_size=8)


@given(TEXT, TABLE, STEPS, STEPS)
def test_text_never_flips_back_and_steps_do_not_matter(text: str, words: list[str], a: list[int], b: list[int]) -> None:
    hotwords = table(*words)
    first, second = spoken(hotwords, text, a), spoken(hotwords, text, b)
    assert first[-1].text == second[-1].text and len(first[-1].text) == len(text)
    assert first[-1] == second[-1]
    for now, later in pairwise(first):
        assert now.stable <= later.stable
        assert later.text[: now.stable] == now.text[: now.stable], "stable text changed"
        put = [[(hit.word, hit.replaced) for hit in each.hotword_hits] for each in (now, later)]
        assert put[1][: len(put[0])] == put[0]
