import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.errors import XingjiError
from xingji.core.hotword_table import LARGEST_TABLE, Conflict, conflicts, parse
from xingji.core.hotwords import HotwordIndex
from xingji.core.types import Hotword, Stage
from xingji.engines.pinyin import Pypinyin


def test_both_shapes_and_both_kinds_of_item() -> None:
    items = [" DAC ", {"text": "备份演练", "weight": 80, "lang": "zh", "aliases": ["被份演练", "备份演练"], "note": 1}]
    table = (Hotword("DAC"), Hotword("备份演练", 80, ("被份演练",), "zh"))
    assert parse(items) == parse({"hotwords": items, "description": "…"}) == table
    assert parse([]) == ()


def test_duplicates_are_merged_where_the_first_one_stands() -> None:
    again = [
        {"text": "甲乙", "weight": 10, "aliases": ["a"]},
        "丙丁",
        {"text": "甲乙 ", "lang": "zh", "aliases": ["b", "a"]},
    ]
    assert parse(again) == (Hotword("甲乙", 50, ("a", "b"), "zh"), Hotword("丙丁"))


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (None, "hotwords"),
        ({}, "hotwords"),
        ({"hotwords": "DAC"}, "hotwords"),
        (["x"] * (LARGEST_TABLE + 1), "hotwords"),
        (["好", 3], "hotwords[1]"),
        (["  "], "hotwords[0]"),
        (["好" * 65], "hotwords[0]"),
        (["a\x00b"], "hotwords[0]"),
        (["a\n"], "hotwords[0]"),
        (["a\u200bb"], "hotwords[0]"),
        (["a\u2028b"], "hotwords[0]"),
        (["\ud800"], "hotwords[0]"),
        ([{}], "hotwords[0].text"),
        ([{"text": 1}], "hotwords[0].text"),
        ([{"text": "a", "weight": 0}], "hotwords[0].weight"),
        ([{"text": "a", "weight": 101}], "hotwords[0].weight"),
        ([{"text": "a", "weight": True}], "hotwords[0].weight"),
        ([{"text": "a", "weight": 1.5}], "hotwords[0].weight"),
        ([{"text": "a", "weight": None}], "hotwords[0].weight"),
        ([{"text": "a", "lang": "fr"}], "hotwords[0].lang"),
        ([{"text": "a", "lang": ["zh"]}], "hotwords[0].lang"),
        ([{"text": "a", "aliases": "b"}], "hotwords[0].aliases"),
        ([{"text": "a", "aliases": ["b", ""]}], "hotwords[0].aliases[1]"),
    ],
)
def test_what_is_wrong_is_named(document: object, field: str) -> None:
    with pytest.raises(XingjiError) as caught:
        parse(document)
    assert (caught.value.code, caught.value.field) == ("invalid_hotwords", field)
    assert set(caught.value.detail) == {"zh", "en"}


KEYS = st.sampled_from(["hotwords", "text", "weight", "lang", "aliases"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


@given(JSON)
def test_any_document_is_parsed_or_refused(document: object) -> None:
    try:
        table = parse(document)
    except XingjiError:
        return
    assert len({word.text for word in table}) == len(table)


def mended(text: str, table: list[Hotword]) -> str:
    return HotwordIndex(table, Pypinyin()).mend(text, Stage.SECOND_PASS)[0]


def test_contradictory_aliases_are_told_and_have_a_rule() -> None:
    table = [
        Hotword("张玮", 50, ("张伟", "小张")),
        Hotword("章薇", 80, ("张伟",)),
        Hotword("API", 50, ("爱批爱",)),
        Hotword("小张", 10),
    ]
    assert conflicts(table) == (Conflict("张伟", ("张玮", "章薇"), "章薇"), Conflict("小张", ("张玮",), "小张"))
    assert conflicts(table[2:]) == ()
    assert mended("张伟和小张", table) == "章薇和小张"
    even = [Hotword("张玮", 50, ("张伟",)), Hotword("章薇", 50, ("张伟",))]
    assert conflicts(even)[0].used == "张玮" == mended("张伟", even)
