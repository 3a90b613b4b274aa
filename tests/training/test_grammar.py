"""The grammar of the mini pack: the two forms agree, and the held-out sentences stay out."""

from __future__ import annotations

import re
from random import Random

import pytest

from training.minipack import grammar
from training.minipack.grammar import (
    CONFUSABLE_NAMES,
    ENGLISH,
    PUNCTUATION,
    bare,
    draw_passage,
    draw_salad,
    draw_sentence,
    read_digits,
    read_number,
    spoken_characters,
    units,
    written_characters,
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "零"),
        (7, "七"),
        (10, "十"),
        (12, "十二"),
        (20, "二十"),
        (99, "九十九"),
        (100, "一百"),
        (101, "一百零一"),
        (110, "一百一十"),
        (115, "一百一十五"),
        (1000, "一千"),
        (1005, "一千零五"),
        (1015, "一千零一十五"),
        (1100, "一千一百"),
        (2020, "二千零二十"),
        (9999, "九千九百九十九"),
    ],
)
def test_numbers_are_read_as_people_say_them(value: int, said: str) -> None:
    assert read_number(value) == said


@pytest.mark.parametrize("value", [-1, 10000])
def test_numbers_outside_the_domain_have_no_reading(value: int) -> None:
    with pytest.raises(ValueError, match=str(value)):
        read_number(value)


def test_every_number_has_its_own_reading() -> None:
    assert len({read_number(value) for value in range(10000)}) == 10000


def test_digit_strings_are_read_one_by_one() -> None:
    assert read_digits("1050") == "一零五零"


def test_both_forms_differ_only_in_numbers() -> None:
    rng = Random(1)
    for _ in range(3000):
        sentence = draw_sentence(rng, held_out=False)
        assert not re.search(r"[0-9.%]", sentence.spoken)
        if not re.search(r"[0-9]", sentence.written):
            assert sentence.spoken == sentence.written
        marks = [char for char in sentence.spoken if char in PUNCTUATION]
        assert marks == [char for char in sentence.written if char in PUNCTUATION]


def test_written_numbers_read_back_to_the_spoken_form() -> None:
    rng = Random(2)
    seen = 0
    for _ in range(3000):
        sentence = draw_sentence(rng, held_out=True)
        for value in re.findall(r"(?<![0-9.])([0-9]{1,4})(?:元|度|毫秒|分钟)", sentence.written):
            assert read_number(int(value)) in sentence.spoken
            seen += 1
        for whole, tenth in re.findall(r"([0-9]+)\.([0-9])%", sentence.written):
            assert f"百分之{read_number(int(whole))}点{read_number(int(tenth))}" in sentence.spoken
            seen += 1
    assert seen > 100


def test_the_split_is_disjoint_and_near_one_tenth() -> None:
    training = Random(3)
    held_out = Random(4)
    trained = {bare(s.spoken) for _ in range(4000) for s in draw_passage(training, 2, held_out=False).sentences}
    trained |= {bare(draw_salad(training).spoken) for _ in range(1000)}
    tested = {bare(draw_sentence(held_out, held_out=True).spoken) for _ in range(2000)}
    assert not trained & tested
    rng = Random(5)
    drawn = [grammar.basic_sentence(rng) for _ in range(5000)]
    assert 0.07 < sum(sentence.held_out for sentence in drawn) / len(drawn) < 0.13


def test_fixed_sentences_are_always_trained() -> None:
    rng = Random(6)
    drawn = {draw_sentence(rng, held_out=False).spoken for _ in range(6000)}
    assert set(grammar.FIXED_SENTENCES) <= drawn


def test_the_vocabulary_covers_all_text_and_the_confusable_names() -> None:
    spoken, written = set(spoken_characters()), set(written_characters())
    assert spoken < written
    rng = Random(7)
    for held_out in (False, True):
        for number in range(4000):
            sentence = draw_sentence(rng, held_out=held_out, wide=number % 2 == 0)
            assert set(units(bare(sentence.spoken))) <= spoken | set(ENGLISH)
            assert set(units(sentence.written)) <= written | set(ENGLISH)
    for _ in range(3000):
        assert set(units(bare(draw_salad(rng).spoken))) <= spoken | set(ENGLISH)
    assert set("".join(CONFUSABLE_NAMES)) <= spoken


def test_drawing_repeats() -> None:
    first, second = Random(8), Random(8)
    assert [draw_passage(first, 3, held_out=False) for _ in range(50)] == [
        draw_passage(second, 3, held_out=False) for _ in range(50)
    ]


def test_the_basic_part_has_no_english_and_none_of_the_near_names() -> None:
    rng = Random(9)
    wide_only = {*ENGLISH, *grammar.WIDE_WORDS["near_name"]}
    for _ in range(3000):
        spoken = draw_sentence(rng, held_out=True).spoken
        assert not any(word in spoken for word in wide_only)


def test_the_wide_part_uses_every_english_word_and_near_name() -> None:
    rng = Random(10)
    drawn = [draw_sentence(rng, held_out=False, wide=True) for _ in range(3000)]
    for word in (*ENGLISH, *grammar.WIDE_WORDS["near_name"]):
        assert any(word in sentence.spoken for sentence in drawn), word
    assert not {sentence.spoken for sentence in drawn} & {
        draw_sentence(rng, held_out=True, wide=True).spoken for _ in range(1000)
    }


def test_a_passage_mixes_both_parts() -> None:
    rng = Random(11)
    sentences = draw_passage(rng, 1000, held_out=False, wide=0.2).sentences
    english = sum(not set(units(sentence.spoken)).isdisjoint(ENGLISH) for sentence in sentences)
    assert 0.08 < english / len(sentences) < 0.25


def test_units_keep_english_words_whole() -> None:
    assert units("请打开PPT，OK？3点") == ["请", "打", "开", "PPT", "，", "OK", "？", "3", "点"]
