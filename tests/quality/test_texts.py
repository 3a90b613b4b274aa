"""What counts as the same text: numbers said and written, and marks."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.quality.numerals import written
from tools.quality.text import MARKS, counted, marked, raw
from training.minipack.grammar import basic_sentence, read_number, wide_sentence

texts = st.text(alphabet="一二三十百千万亿零两点分之年,，。.?%3 05:-aB天气", max_size=24)


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("二零一五年", "2015年"),
        ("两千零一十五人", "2015人"),
        ("三百五", "350"),
        ("三万五", "35000"),
        ("一万零五", "10005"),
        ("一亿零两千三百人", "100002300人"),
        ("三百四十五万六千七百八十九", "3456789"),
        ("十五", "15"),
        ("二十", "20"),
        ("幺三八零零", "13800"),
        ("百分之九十八点五", "百分之98点5"),
        ("百分之百", "百分之100"),
        ("三点零五分", "3点05分"),
        ("一点二万", "12000"),
        ("二十点一万", "201000"),
        ("负五度", "负5度"),
        ("二十五摄氏度", "25度"),
        ("二十二十二", "2022"),  # two numbers
        ("几十个，数百人，老百姓", "几10个,数百人,老百姓"),
    ],
)
def test_numbers_that_are_said_become_digits(said: str, digits: str) -> None:
    assert written(said) == digits


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("98.5%", "百分之九十八点五"),
        ("９８．５％", "98.5%"),
        ("3:25", "三点二十五"),
        ("3.5万", "35000"),
        ("1亿2300万", "一亿两千三百万"),
        ("3万5千", "35,000"),
        ("-5℃", "负五度"),
        ("今天 API 很好。", "今天api，很好"),
        ("第12页", "第十二页"),
    ],
)
def test_two_ways_to_write_one_thing_count_alike(one: str, other: str) -> None:
    assert counted(one) == counted(other)


def test_what_is_not_decided_stays_apart() -> None:
    assert counted("2008/08/08") != counted("二零零八年八月八日")
    assert counted("数字3，345人") == "数字3345人" and marked("数字3，345人").marks == {(3, "，")}


def test_every_number_to_9999_is_read_back() -> None:
    assert [written(read_number(value)) for value in range(10_000)] == [str(value) for value in range(10_000)]


def test_both_forms_of_every_sentence_of_the_recipe_count_alike() -> None:
    rng = Random(5)
    drawn = [*(basic_sentence(rng) for _ in range(1500)), *(wide_sentence(rng) for _ in range(500))]
    assert [one for one in drawn if counted(one.spoken) != counted(one.written)] == []


@given(texts)
def test_normalising_again_changes_nothing_and_marks_are_no_characters(text: str) -> None:
    once = counted(text)
    assert not set(once) & set(MARKS)
    assert marked(text).characters == once
    assert {mark for _, mark in marked(text).marks} <= set(MARKS)
    assert all(0 <= place <= len(once) for place, _ in marked(text).marks)


def test_marks_are_found_by_the_character_they_follow() -> None:
    assert marked("你好，v1.5 API。今天…3:25？").marks == {(2, "，"), (9, "。"), (11, "。"), (15, "？")}
    assert marked("OK, fine.").marks == {(2, "，"), (6, "。")}
    assert marked("don't").marks == frozenset()


def test_raw_is_what_stands_there() -> None:
    assert raw(" 你好。 ") == "你好。" != raw("你好")
