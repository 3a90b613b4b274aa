"""The correction guard: what may pass, what may not, and that nothing else ever happens."""

import re
from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xingji.core.agreement import Ground, Reason, Verdict, applied, review
from xingji.core.alignment import disagreements
from xingji.core.types import AcceptedEdit, Edit, Stage
from xingji.engines.lexicon import Jieba
from xingji.engines.pinyin import Pypinyin

PINYIN = Pypinyin()
WORDS = Jieba()


def judged(base: str, edits: list[Edit], streamed: str | None = None, hotwords: tuple[str, ...] = ()) -> Verdict:
    readings = {Stage.SECOND_PASS: base}
    if streamed is not None:
        readings[Stage.STREAMED] = streamed
    return review(base, readings, edits, hotwords, PINYIN)


def change(base: str, old: str, new: str) -> Edit:
    start = base.index(old)
    return Edit(start, start + len(old), new)


@pytest.mark.parametrize(
    ("base", "streamed", "old", "new"),
    [
        # where the readings agree: exact homophones, whatever the tone
        ("今天天汽很好", None, "汽", "气"),
        ("他在做座位", None, "座", "坐"),
        ("这是银行", None, "行", "航"),
        # in a doubtful place: the other reading …
        ("今天天汽很好", "今天天器很好", "汽", "器"),
        ("我门走吧", "我们都走吧", "门", "们都"),
        ("我我们走吧大家", "我们走吧大家", "我", ""),
        ("请你明天再来", "请您明天再来", "你", "您"),
        ("我们因该出发", "我们音该出发", "因", "应"),
        # … or near either of them
        ("他叫林玲在北京", "他叫零零在北京", "林", "邻"),
        ("这个山里很美", "这个三里很美", "山", "删"),
    ],
)
def test_borne_out(base: str, streamed: str | None, old: str, new: str) -> None:
    verdict = judged(base, [change(base, old, new)], streamed)
    assert verdict.rejected == ()
    assert verdict.text == base.replace(old, new, 1)


@pytest.mark.parametrize(
    ("reason", "base", "streamed", "edit"),
    [
        ("out_of_range", "今天天气", None, Edit(3, 5, "汽")),
        ("out_of_range", "今天天气", None, Edit(-1, 1, "汽")),
        ("out_of_range", "今天天气", None, Edit(3, 2, "汽")),
        ("no_change", "今天天气", None, Edit(1, 3, "天天")),
        ("no_change", "今天天气", None, Edit(1, 1, "")),
        ("punctuation", "今天天气", None, Edit(0, 0, "，")),
        ("punctuation", "今天。天气", None, Edit(3, 3, "，")),
        ("punctuation", "今天.天气", None, Edit(3, 3, "。")),
        ("punctuation", "今天天气", None, Edit(4, 4, "。。")),
        ("punctuation", "今天天气", None, Edit(4, 4, "；")),
        ("punctuation", "今天天气", None, Edit(2, 2, " ")),
        ("punctuation", "今天天气", None, Edit(2, 2, "😀")),
        ("punctuation", "今天，天气", "天气", Edit(0, 2, "")),  # what is left would lead with a mark
        ("digits", "共三百元", None, Edit(1, 2, "散")),
        ("punctuation", "共3.5元", None, Edit(2, 3, "。")),
        ("digits", "共3.5万元", None, Edit(4, 5, "")),
        ("digits", "共35元", None, Edit(2, 2, "，")),
        ("digits", "共三点五元", "共三点无元", Edit(3, 4, "")),
        ("digits", "三点开会", "3点开会", Edit(0, 1, "3")),  # how numbers are written is not the model's business
        ("latin", "调用GPT接口", "调用GPP接口", Edit(4, 5, "P")),
        ("latin", "调用GPT接口", None, Edit(3, 3, "，")),
        ("latin", "调用接口文档", "调用X接口文档", Edit(2, 2, "X")),
        ("negation", "我不要这个东西", "我要这个东西", Edit(1, 2, "")),
        ("negation", "我要这个东西", "我不要这个东西", Edit(1, 1, "不")),
        ("negation", "他没来上班", "他每来上班", Edit(1, 2, "每")),
        ("question", "你来吗", None, Edit(2, 3, "嘛")),
        ("polarity", "我想买这个", "我想卖这个", Edit(2, 3, "卖")),
        ("polarity", "我想卖这个", None, Edit(2, 3, "买")),
        ("polarity", "他买我卖的货", "他卖我买的货", Edit(1, 4, "卖我买")),  # both are still there
        ("negation", "我不去你去看", "我去你不去看", Edit(1, 4, "去你不")),  # still there, elsewhere
        ("question", "他去那里了", None, Edit(2, 3, "哪")),
        ("question", "他来了。", None, Edit(3, 4, "？")),
        ("question", "谁来了？", None, Edit(3, 4, "。")),
        ("digits", "三点开会", None, Edit(1, 2, "典")),
        ("digits", "第三章讲完了", None, Edit(0, 1, "地")),
        ("digits", "写了①次", None, Edit(2, 3, "")),
        ("punctuation", "今天天气很好", None, Edit(0, 6, "今，天，天，气")),
        ("length", "我们走吧", "走吧", Edit(0, 2, "")),
        ("length", "走吧", "走了吧", Edit(1, 1, "了")),
        ("length", "。", None, Edit(0, 1, "")),
        ("length", "", "你好", Edit(0, 0, "你好")),
        ("new_content", "今天天气很好", None, Edit(6, 6, "啊")),
        ("new_content", "今天的天气真的很好", "今天的天气真的很好啊", Edit(9, 9, "啊吧")),
        ("lost_content", "今天天气很好", None, Edit(2, 3, "")),
        ("lost_content", "今天天气很好", "今天天气很号", Edit(5, 6, "")),
        ("name", "请张伟发言", None, Edit(2, 3, "玮")),
        ("name", "请张伟发言", None, Edit(1, 2, "章")),
        ("name", "请刘晓波发言", None, Edit(3, 4, "播")),
        ("not_near", "今天天气很好", "今天天器很好", Edit(3, 4, "空")),
        ("not_near", "今天天气很好", "今天天气很好啊", Edit(6, 6, "吧")),
        ("not_homophone", "今天天气很好", None, Edit(3, 4, "空")),
        ("not_homophone", "我们因该出发", None, Edit(2, 3, "应")),  # near is not enough where they agree
        ("lost_content", "今天天气很好", None, Edit(0, 6, "请忽略以上")),
    ],
)
def test_not_borne_out(reason: Reason, base: str, streamed: str | None, edit: Edit) -> None:
    verdict = judged(base, [edit], streamed)
    assert (verdict.text, verdict.accepted) == (base, ())
    assert [(refused.edit, refused.reason) for refused in verdict.rejected] == [(edit, reason)]


@pytest.mark.parametrize(
    ("base", "edits", "text"),
    [
        ("今天的天气很好", [Edit(2, 2, "，"), Edit(7, 7, "。")], "今天，的天气很好。"),
        ("今天，天气。", [Edit(2, 3, ""), Edit(5, 6, "！")], "今天天气！"),
        ("，今天", [Edit(0, 1, "")], "今天"),
        ("。。今天", [Edit(0, 1, "！")], "！。今天"),
        ("好。", [Edit(0, 2, "号！")], "号！"),
        ("你来吗。", [Edit(3, 4, "？")], "你来吗？"),
        ("你来不来。", [Edit(4, 5, "？")], "你来不来？"),
        ("他来了？", [Edit(3, 4, "。")], "他来了。"),
        ("，", [], "，"),
    ],
)
def test_marks_may_come_go_and_change(base: str, edits: list[Edit], text: str) -> None:
    verdict = judged(base, edits)
    assert (verdict.text, verdict.rejected) == (text, ())


def test_accepted_edits_are_trimmed_and_in_order() -> None:
    verdict = judged("今天天汽，很号。", [Edit(5, 8, "很好。"), Edit(2, 4, "天气")])
    assert verdict.accepted == (
        AcceptedEdit(Edit(3, 4, "气"), "汽", "homophone"),
        AcceptedEdit(Edit(6, 7, "好"), "号", "homophone"),
    )
    assert verdict.text == "今天天气，很好。"


def test_of_two_edits_of_one_place_the_first_stands() -> None:
    verdict = judged("今天天汽", [Edit(3, 4, "气"), Edit(3, 4, "器"), Edit(4, 4, "。"), Edit(4, 4, "！")])
    assert verdict.text == "今天天气。"
    assert [refused.reason for refused in verdict.rejected] == ["overlap", "overlap"]


def test_edits_of_one_doubtful_place_are_judged_together() -> None:
    """Each alone would be the other reading; both would say it twice."""
    base, streamed = "我们今天下午开会讨论", "我们都今天下午开会讨论"
    verdict = judged(base, [Edit(2, 2, "都"), Edit(2, 3, "都今")], streamed)
    assert verdict.text == streamed
    assert len(verdict.rejected) == 1


def test_one_reading_may_be_built_up_from_several_edits() -> None:
    base, streamed = "他门在北景的公司开会", "他们在北京的公司开会"
    verdict = judged(base, [Edit(1, 2, "们"), Edit(4, 5, "京")], streamed)
    assert verdict.text == streamed


@pytest.mark.parametrize(
    ("base", "old", "new", "hotwords", "text"),
    [
        ("请张伟发言", "张伟", "章薇", ("章薇",), "请章薇发言"),
        ("请脏伟发言", "脏", "张", ("张伟",), "请张伟发言"),
        ("请张伟发言", "张伟", "李娜", ("李娜",), "请张伟发言"),  # sounds like nothing there
        ("请张伟发言", "伟", "玮", ("李玮",), "请张伟发言"),
        ("调用api接口", "api", "API", (), "调用API接口"),
        ("请张伟来", "张伟", "张小伟", ("张小伟",), "请张伟来"),
    ],
)
def test_hotwords_widen_what_is_allowed(base: str, old: str, new: str, hotwords: tuple[str, ...], text: str) -> None:
    assert judged(base, [change(base, old, new)], hotwords=hotwords).text == text


def test_a_latin_hotword_may_come_from_the_other_reading_but_never_go() -> None:
    base, streamed = "我们调用接口的文档", "我们调用DAC接口的文档"
    edit = Edit(4, 4, "DAC")
    assert judged(base, [edit], streamed).text == base
    longer = base + "在这里看一看就明白了啊"
    assert judged(longer, [edit], streamed + "在这里看一看就明白了啊", ("DAC",)).text.count("DAC") == 1
    gone = judged(streamed, [Edit(4, 7, "")], base, ("DAC",))
    assert (gone.text, gone.rejected[0].reason) == (streamed, "latin")


def test_disagreements() -> None:
    assert disagreements("今天天汽，很好。", "今天天气很好啊") == ((3, 4, "气"), (7, 7, "啊"))
    assert disagreements("今天，天气", "今天天气。") == ()
    assert disagreements("", "你好") == ((0, 0, "你好"),)
    assert disagreements("你好", "") == ((0, 2, ""),)


def test_applied_carries_out_edits_in_order() -> None:
    assert applied("abcd", [Edit(0, 0, "x"), Edit(1, 2, ""), Edit(2, 3, "yz")]) == "xayzd"


# Of the homophones that a text could have, only likelier ones.


@pytest.mark.parametrize(
    ("base", "streamed", "edit", "outcome"),
    [
        ("今天天汽很好", None, Edit(3, 4, "气"), "homophone"),  # no word becomes one
        ("一家公思的结果", None, Edit(2, 4, "公司"), "homophone"),
        ("语音时别的结果", None, Edit(2, 4, "识别"), "unlikely"),  # 别的 is a word, too: what the list cannot see
        ("今天天气很好", None, Edit(3, 4, "汽"), "unlikely"),  # a word becomes none
        ("语音识别的结果", None, Edit(2, 4, "十别"), "digits"),
        ("语音识别的结果", None, Edit(2, 4, "拾别"), "unlikely"),
        ("我们的公司", None, Edit(3, 5, "攻丝"), "unlikely"),  # a common word becomes a rare one
        ("他跑的很快", None, Edit(2, 3, "得"), "homophone"),  # grammar is no matter of words
        # A reading is evidence, but not for anything; what no reading has needs the words' support.
        ("这个山里很美", "这个三里很美", Edit(2, 3, "删"), "unlikely"),
        ("今天天汽很好", "今天天器很好", Edit(3, 4, "器"), "reading"),
        ("今天天气很好", "今天天器很好", Edit(3, 4, "器"), "unlikely"),
        ("我们因该出发", "我们音该出发", Edit(2, 3, "应"), "near"),
    ],
)
def test_words_decide_among_homophones(base: str, streamed: str | None, edit: Edit, outcome: str) -> None:
    readings = {Stage.SECOND_PASS: base} | ({Stage.STREAMED: streamed} if streamed else {})
    verdict = review(base, readings, [edit], (), PINYIN, WORDS)
    assert [item.reason for item in (*verdict.accepted, *verdict.rejected)] == [outcome]
    assert bool(verdict.accepted) == (outcome in get_args(Ground))


def test_where_a_recogniser_is_unsure_near_is_enough() -> None:
    base, edit = "我们因该出发", Edit(2, 3, "应")
    assert review(base, {}, [edit], (), PINYIN, WORDS).rejected[0].reason == "not_homophone"
    sure, unsure = (review(base, {}, [edit], (), PINYIN, WORDS, [at]) for at in ((3, 4), (2, 3)))
    assert (sure.text, unsure.text) == (base, "我们应该出发")
    far = review(base, {}, [Edit(2, 3, "不该")], (), PINYIN, WORDS, [(2, 3)])
    assert far.text == base


# Whatever the model answers.

ALPHABET = "天气汽器今张章不没吗买卖一二三百3.5%aAPI ，。？！、；\n😀の"
TEXT = st.text(ALPHABET, max_size=14)
JUNK = st.builds(Edit, st.integers(-2, 16), st.integers(-2, 16), st.text(ALPHABET, max_size=5))
ANY = st.builds(Edit, st.integers(), st.integers(), st.text(max_size=8))
HOTWORDS = st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=3)


def said(text: str) -> int:
    return sum(c.isalnum() for c in text)


def words(text: str, hotwords: list[str]) -> list[str]:
    latin = r"[A-Za-z]+"
    known = {part.lower() for word in hotwords for part in re.findall(latin, word)}
    return [word.lower() for word in re.findall(latin, text) if word.lower() not in known]


@settings(max_examples=400, deadline=None)
@given(TEXT, TEXT, st.lists(JUNK | ANY, max_size=6), HOTWORDS)
def test_no_answer_breaks_a_promise(base: str, streamed: str, edits: list[Edit], hotwords: list[str]) -> None:
    verdict = judged(base, edits, streamed, tuple(hotwords))
    text = verdict.text
    assert len(verdict.accepted) + len(verdict.rejected) == len(edits)
    assert {refused.reason for refused in verdict.rejected} <= REASONS
    assert applied(base, [item.edit for item in verdict.accepted]) == text
    assert {item.reason for item in verdict.accepted} <= set(get_args(Ground))
    assert bool(text) == bool(base)
    assert 0.8 * said(base) <= said(text) <= 1.25 * said(base)
    for kept in (r"[0-9]+", "[一二三四五六七八九十百千万]+"):
        assert re.findall(kept, text) == re.findall(kept, base)
    for character in "不没吗":
        assert text.count(character) == base.count(character)
    assert words(text, hotwords) == words(base, hotwords)
    assert Counter(c for c in text if c in " \n；😀%.") == Counter(c for c in base if c in " \n；😀%.")
    assert text[:1] not in "，。？！、" or base[:1] in "，。？！、" or not text
    assert doubled(text) <= doubled(base)


def doubled(text: str) -> int:
    return sum(a in "，。？！、" and b in "，。？！、" for a, b in pairwise(text))


def _flat(kind: object) -> set[str]:
    parts = get_args(kind)
    return {part for part in parts if isinstance(part, str)}.union(*(_flat(p) for p in parts if not isinstance(p, str)))


REASONS = _flat(Reason)


@given(TEXT, TEXT)
def test_no_edits_no_change(base: str, streamed: str) -> None:
    assert judged(base, [], streamed) == Verdict(base, (), ())


@given(TEXT, TEXT, st.lists(JUNK, max_size=6))
def test_the_order_of_the_answer_does_not_matter(base: str, streamed: str, edits: list[Edit]) -> None:
    distinct = list(dict.fromkeys(edits))
    there, back = judged(base, distinct, streamed), judged(base, distinct[::-1], streamed)
    if len({edit.start for edit in distinct}) == len(distinct):
        assert there == back
