import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.hotwords import HotwordIndex, Layered
from xingji.core.types import Hotword, Stage
from xingji.engines.lexicon import Jieba
from xingji.engines.pinyin import Pypinyin

SECOND = Stage.SECOND_PASS


def index(*words: str | Hotword) -> HotwordIndex:
    return HotwordIndex([w if isinstance(w, Hotword) else Hotword(w) for w in words], Pypinyin())


def mended(text: str, *words: str | Hotword) -> str:
    return index(*words).mend(text, SECOND)[0]


# Mending.


@pytest.mark.parametrize(
    ("text", "words", "result"),
    [
        # by sound
        ("请找张伟发言", ["张玮"], "请找张玮发言"),
        ("请找张伟发言", ["章薇"], "请找张伟发言"),  # two syllables need their tones …
        ("请找张伟发言", [Hotword("章薇", 80)], "请找章薇发言"),  # … unless the weight insists
        ("在石院开会", [Hotword("实验", 100)], "在石院开会"),  # yuan is not yan
        ("语音时别", ["识别"], "语音识别"),
        ("讲备分演练", ["备份演练"], "讲备份演练"),
        ("去杜子腾家", ["杜子藤"], "去杜子藤家"),
        ("去杜纸腾家", ["杜子藤"], "去杜子藤家"),  # one accent in three characters
        ("去杜纸停家", ["杜子藤"], "去杜纸停家"),
        ("林阴路", ["零英陆"], "林阴路"),  # two accents in three are too many
        ("银行长", ["引航"], "银行长"),
        ("买a股吧", ["A谷"], "买a股吧"),  # one syllable in all
        ("买a股票吧", ["A骨票"], "买A骨票吧"),
        # one character is never matched by sound
        ("好的", ["号"], "好的"),
        ("好的", [Hotword("号", 50, ("好",))], "号的"),
        # as written
        ("调用api接口", ["API"], "调用API接口"),
        ("apis and capi", ["API"], "apis and capi"),
        ("用5g和15g", ["5G"], "用5G和15g"),
        ("open ai发布", [Hotword("OpenAI", 50, ("open ai",))], "OpenAI发布"),
        ("用爱批爱", [Hotword("API", 50, ("爱批爱",))], "用API"),
        ("straße İstanbul", ["STRASSE", "istanbul"], "straße İstanbul"),
        ("小ａ", ["小Ａ"], "小Ａ"),
        # conflicts
        ("张三风来了", ["张三", "张三丰"], "张三丰来了"),  # longest first, and 张三 stays as it is
        ("李莉", ["丽莉", "李莉"], "李莉"),  # never replaced: itself a hotword
        ("王李莉", ["网里", "李莉"], "王李莉"),  # never replaced: part of a hotword that stands there
        ("伟大", [Hotword("围大", 90), Hotword("委大", 10)], "委大"),  # tones before weight
        ("同名", [Hotword("铜名", 10), Hotword("童名", 60)], "童名"),  # then weight
        ("", ["张玮"], ""),
        ("张伟", [], "张伟"),
    ],
)
def test_mend(text: str, words: list[str | Hotword], result: str) -> None:
    assert mended(text, *words) == result
    assert mended(text, *reversed(words)) == result


def test_hits_say_what_acted_and_how_sure_it_is() -> None:
    table = index(Hotword("API", 50, ("爱批爱",)), "杜子藤", Hotword("章薇", 80))
    text, hits = table.mend("杜纸腾和张伟说api就是爱批爱，API。", SECOND)
    assert text == "杜子藤和章薇说API就是API，API。"
    assert [(hit.word, hit.replaced, hit.score) for hit in hits] == [
        ("杜子藤", "杜纸腾", 0.9),
        ("章薇", "张伟", 0.95),
        ("API", "api", 1.0),
        ("API", "爱批爱", 1.0),
        ("API", "API", 1.0),
    ]
    assert {hit.stage for hit in hits} == {SECOND}


def test_mending_twice_changes_nothing_more() -> None:
    table = index("张玮", "备份演练", "API")
    once, _ = table.mend("张伟讲备分演练api", SECOND)
    assert table.mend(once, SECOND)[0] == once == "张玮讲备份演练API"


def test_a_table_of_names_leaves_other_speech_alone() -> None:
    table = index("刘筱庆", "施一公", "庞德", "齐骥", "奇台县", "于乐", "央视", "易思玲")
    for text in ("为了实施工程，房地产积极应对。", "以实现二零一四年的目标。", "大的刺激因素伟说。"):
        assert table.mend(text, SECOND) == (text, ())


WORDS = st.lists(st.text("张章伟薇玮三丰风aAPI ", min_size=1, max_size=4), max_size=6)


@given(st.text("张章伟薇玮三丰风aAPI ，", max_size=12), WORDS)
def test_hits_account_for_every_change(text: str, words: list[str]) -> None:
    """Replaying the hits from left to right gives the mended text; elsewhere nothing changed."""
    table = [Hotword(word) for word in dict.fromkeys(w.strip() for w in words) if word]
    result, hits = HotwordIndex(table, Pypinyin()).mend(text, SECOND)
    rest, at = text, 0
    replayed = ""
    for hit in hits:
        assert len(hit.replaced) == len(hit.word)
        while result[at : at + len(hit.word)] != hit.word or not rest.startswith(hit.replaced):
            replayed += rest[0]
            rest, at = rest[1:], at + 1
        replayed += hit.word
        rest, at = rest[len(hit.replaced) :], at + len(hit.word)
    assert replayed + rest == result


# Hints for the corrector.


def test_close_to_finds_what_mending_would_not_dare() -> None:
    table = index("章薇", "零英陆", "张伟", "北京", "API")
    assert table.close_to("张伟走林阴路\n调用api") == ("API", "张伟", "章薇", "零英陆")


def test_close_to_prefers_sound_then_weight_and_stops_at_the_limit() -> None:
    table = index("张卫", Hotword("章薇", 90), Hotword("张玮", 10), Hotword("章伟", 20))
    assert table.close_to("张伟") == ("章伟", "张玮", "章薇", "张卫")
    assert table.close_to("张伟", limit=1) == ("章伟",)
    assert table.close_to("") == ()


def test_no_hotword_crosses_a_line_break() -> None:
    assert index("张玮").close_to("张\n伟") == ()


def test_the_heaviest_come_first_and_own_words_before_all() -> None:
    table = index(Hotword("轻", 10), Hotword("重", 90), Hotword("中", 50))
    assert table.heaviest(2) == ("重", "中") and table.heaviest(9) == ("重", "中", "轻")
    own = Layered(index(Hotword("自", 1), Hotword("重", 1)), table)
    assert own.heaviest(3) == ("自", "重", "中") and index().heaviest(3) == ()


# A recording's own words over the table.


def test_own_words_and_the_table_both_act() -> None:
    layered = Layered(index("张玮"), index("林滔"))
    text, hits = layered.mend("请张伟和林涛提交。", SECOND)
    assert text == "请张玮和林滔提交。"
    assert [(hit.word, hit.replaced) for hit in hits] == [("张玮", "张伟"), ("林滔", "林涛")]
    assert layered.close_to("张伟和林涛") == ("张玮", "林滔")


def test_the_table_does_not_undo_own_words() -> None:
    layered = Layered(index("张玮"), index("张伟"))
    text, hits = layered.mend("请张伟提交。", SECOND)
    assert text == "请张玮提交。" and [hit.word for hit in hits] == ["张玮"]


def test_a_word_in_both_is_one_hit() -> None:
    _, hits = Layered(index("张玮"), index("张玮", "提交")).mend("请张玮提交。", SECOND)
    assert [hit.word for hit in hits] == ["张玮", "提交"]


# What stands there may be better text than the hotword.

JIEBA = Jieba()


def weighed(text: str, *words: str | Hotword) -> str:
    table = [w if isinstance(w, Hotword) else Hotword(w) for w in words]
    return HotwordIndex(table, Pypinyin(), JIEBA).mend(text, SECOND)[0]


@pytest.mark.parametrize(
    ("text", "words", "result"),
    [
        ("下一个请林涛介绍一下", ["林滔"], "下一个请林滔介绍一下"),  # a name for a name
        ("他叫刘晓庆", ["刘筱庆"], "他叫刘筱庆"),  # a famous name, but three tones agree
        ("讲备分演练", ["备份演练"], "讲备份演练"),
        ("交易几乎停止", ["艺妓"], "交易几乎停止"),  # across two words
        ("我们公司只有三个人", ["攻丝"], "我们公司只有三个人"),
        ("交易几乎停止", [Hotword("艺妓", 50, ("易几",))], "交艺妓乎停止"),  # an alias is an order
        ("我们公司的人", [Hotword("攻丝", 100)], "我们攻丝的人"),  # a weight that insists
        ("请高峰介绍一下", ["高锋"], "请高锋介绍一下"),  # a common word, but its surname is right already
        ("罗兰老师说", ["罗岚"], "罗岚老师说"),
        ("娱乐新闻", ["于乐"], "于乐新闻"),
        ("去杜纸腾家", ["杜子藤"], "去杜子藤家"),  # an accent, and no word in its way
        ("娱乐新闻", [Hotword("于乐", 10)], "娱乐新闻"),  # a light word
        ("娱乐新闻", ["于乐", *map(str, range(600))], "娱乐新闻"),  # one of many words is less likely
    ],
)
def test_what_stands_there_may_be_the_better_text(text: str, words: list[str | Hotword], result: str) -> None:
    assert weighed(text, *words) == result


def test_what_comes_later_does_not_matter_to_a_place() -> None:
    table = HotwordIndex([Hotword("张三"), Hotword("张三丰"), Hotword("李莉")], Pypinyin(), JIEBA)
    whole = table.find("请张三风和张山李丽说明情况")
    for end in range(2, 13):
        part = table.find("请张三风和张山李丽说明情况"[:end])
        assert [f for f in whole if f.end + 2 <= end] == [f for f in part if f.end + 2 <= end]
    assert [(f.start, f.end, f.hit.word, f.hit.replaced) for f in whole[:2]] == [
        (1, 4, "张三丰", "张三风"),
        (1, 3, "张三", "张三"),
    ]
    assert table.longest == 3 and HotwordIndex((), Pypinyin()).longest == 0


# What recognisers are given.


def test_a_table_has_a_name_of_its_content() -> None:
    (table,) = index("张伟", Hotword("DAC", 80, ("大客",))).tables
    assert table.words == (Hotword("张伟"), Hotword("DAC", 80, ("大客",)))
    assert index("张伟", Hotword("DAC", 80)).tables == (table,), "aliases are of the text"
    assert index("张伟", Hotword("DAC", 81)).tables != (table,)
    assert index().tables == ()
    own, shared = index("李娜"), index("张伟")
    assert Layered(own, shared).tables == own.tables + shared.tables


def test_a_corrector_is_shown_no_word_that_could_hardly_be_meant() -> None:
    words = [Hotword("林滔"), Hotword("艺妓"), Hotword("好的")]
    many = [*words, *(Hotword(f"甲{n}") for n in range(600))]
    assert HotwordIndex(many, Pypinyin()).close_to("好的林涛\n交易几乎") == ("好的", "林滔", "艺妓")
    assert HotwordIndex(many, Pypinyin(), JIEBA).close_to("好的林涛\n交易几乎") == ("好的", "林滔")
