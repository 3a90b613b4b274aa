import subprocess
import sys

import pytest

from xingji.core.pronunciation import fuzzy, likeness, near, same_sound, toneless
from xingji.engines.pinyin import _POLYPHONES, Pypinyin

SOUNDS = Pypinyin().syllables


def test_one_entry_per_character() -> None:
    assert SOUNDS("张a，5\n😀") == (("zhang1",), (), (), (), (), ())
    assert SOUNDS("") == ()


def test_a_neutral_tone_is_five_and_umlaut_is_v() -> None:
    assert SOUNDS("吗绿")[0][0] == "ma5"
    assert set(SOUNDS("绿")[0]) == {"lv4", "lu4"}


@pytest.mark.parametrize(
    ("character", "sounds"),
    [
        ("长", {"zhang", "chang"}),
        ("行", {"xing", "hang"}),
        ("单", {"dan", "shan"}),
        ("乐", {"le", "yue"}),
        ("还", {"hai", "huan"}),
        ("台", {"tai"}),  # a classic also has yi
        ("齐", {"qi"}),
        ("为", {"wei"}),
    ],
)
def test_only_living_readings_count(character: str, sounds: set[str]) -> None:
    assert {toneless(syllable) for syllable in SOUNDS(character)[0]} == sounds


def test_every_reading_that_the_table_allows_exists() -> None:
    for character, sounds in _POLYPHONES.items():
        found = {toneless(syllable) for syllable in SOUNDS(character)[0]}
        assert found <= sounds and found, character


def test_every_common_character_has_a_sound() -> None:
    assert not [c for c in map(chr, range(0x4E00, 0x9FA6)) if not all(s[-1] in "12345" for s in SOUNDS(c)[0])]


@pytest.mark.parametrize(
    ("a", "b", "score"),
    [
        ("天", "天", 1.0),
        ("实", "时", 1.0),
        ("汽", "期", 0.9),
        ("长", "掌", 1.0),
        ("长", "常", 1.0),
        ("张", "脏", 0.7),
        ("林", "零", 0.7),
        ("男", "蓝", 0.7),
        ("音", "英", 0.7),
        ("上", "三", 0.7),
        ("飞", "黑", 0.0),  # f/h is not merged
        ("东", "中", 0.0),
        ("天", "a", 0.0),
        ("a", "a", 0.0),
    ],
)
def test_likeness(a: str, b: str, score: float) -> None:
    ours, theirs = SOUNDS(a + b)
    assert likeness(ours, theirs) == likeness(theirs, ours) == score
    assert same_sound(ours, theirs) is (score >= 0.9)
    assert near(ours, theirs) is (score > 0)


def test_a_final_in_ong_is_not_merged() -> None:
    assert fuzzy("zhong1") == "zong" != fuzzy("zhon1")


def test_the_gateway_can_afford_it() -> None:
    """Neither the phrase dictionary nor anything heavy comes with it."""
    program = "import xingji.engines.pinyin, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "funasr", "openai", "pypinyin.phrases_dict"} & set(loaded)
