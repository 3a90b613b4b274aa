"""Hotwords by the posteriors: a small vocabulary, and logits that say how sure the recogniser was."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.ctc import Array, Token, greedy, log_posteriors
from xingji.core.spotting import (
    Placed,
    Reading,
    Spelt,
    Spotted,
    Spotter,
    Unit,
    Vocabulary,
    allowance,
    heard_as,
    put_in,
    spot,
)
from xingji.core.types import HotwordHit, Stage

SOUNDS = {
    "请": ["qing3"], "张": ["zhang1"], "章": ["zhang1"], "伟": ["wei3"], "威": ["wei1"], "一": ["yi1"], "共": ["gong4"],
    "林": ["lin2"], "凌": ["ling2"], "涛": ["tao1"], "来": ["lai2"], "重": ["zhong4", "chong2"],
}  # fmt: skip
PIECES = ["", *SOUNDS, "，", "GPU", "API", ""]
VOCABULARY = Vocabulary(PIECES, [SOUNDS.get(piece, []) for piece in PIECES])
RARE = {"薇": ["wei1"], "通": ["tong1"], "滔": ["tao1"], "庆": ["qing4"]}  # of hotwords only


def hotword(text: str, weight: int = 50, words: int = 1) -> Spelt:
    cut = [text] if text in PIECES else text.split("+") if "+" in text else list(text)
    sounds = SOUNDS | RARE
    units = tuple(Unit(part, heard_as(part, sounds.get(part, []))) for part in cut)
    return Spelt("".join(cut), units, allowance(weight, words))


def heard(*places: dict[str, float]) -> Reading:
    """Each place is a frame with these posteriors, and a blank frame after it; what is left goes to the blank."""
    rows = []
    for place in ({}, *places):
        for posteriors in (place, {}):
            row = np.full(len(PIECES), 1e-9)
            for piece, posterior in posteriors.items():
                row[PIECES.index(piece)] = posterior
            row[0] += max(0.0, 1 - row.sum())
            rows.append(np.log(row))
    logits = np.array(rows, np.float32)
    return Reading(logits, written(logits), VOCABULARY, 0)


def written(logits: Array) -> list[Token]:
    return greedy(logits.argmax(axis=-1), log_posteriors(logits).max(axis=-1), 0)


def words(reading: Reading, *table: Spelt) -> list[tuple[int, int, str]]:
    return [(s.start, s.end, s.word.text) for s in Spotter(table, VOCABULARY).spot(reading, set())]


SURE_WEI = {"伟": 0.6, "威": 0.3}


def test_a_hotword_that_may_have_been_said_is_found() -> None:
    reading = heard({"请": 0.9}, {"张": 0.5, "章": 0.4}, SURE_WEI, {"来": 0.9})
    [spotted] = Spotter([hotword("章薇")], VOCABULARY).spot(reading, set())
    assert (spotted.start, spotted.end, spotted.word.text) == (1, 3, "章薇")
    assert spotted.frames == (4, 6), "where its sounds are"
    assert spotted.confidences == (0.9, 0.3), "of all that sound like it"
    assert spotted.score == pytest.approx((0.3 / 0.6) ** 0.5, abs=0.02)


def test_not_where_the_sound_is_another() -> None:
    for place in ({"伟": 0.98, "威": 0.001}, {"来": 0.9}, {"GPU": 0.9}):
        assert words(heard({"张": 0.9}, place), hotword("章薇")) == []


def test_weight_and_size_of_the_table_decide_how_much_may_be_lacking() -> None:
    reading = heard({"张": 0.9}, {"伟": 0.9, "威": 0.06})  # lacks 2.7
    assert words(reading, hotword("章薇", 50)) == [(0, 2, "章薇")]
    assert words(reading, hotword("章薇", 30)) == words(reading, hotword("章薇", 1)) == []
    assert words(reading, hotword("章薇", 50, words=10_000)) == []
    assert words(reading, hotword("章薇", 100, words=10_000)) == [(0, 2, "章薇")]


def test_sounds_that_nobody_merges_need_more() -> None:
    near = heard({"林": 0.8, "凌": 0.1}, {"涛": 0.9})  # lacks 2.1
    assert words(near, hotword("凌涛")) == [(0, 2, "凌涛")]
    assert words(heard({"一": 0.8, "凌": 0.1}, {"涛": 0.9}), hotword("凌涛")) == []
    assert words(heard({"一": 0.8, "凌": 0.1}, {"涛": 0.9}), hotword("凌涛", 70)) == [(0, 2, "凌涛")]


def test_what_sounds_as_it_is_written_is_left_to_the_text_and_keeps_its_place() -> None:
    reading = heard({"张": 0.9}, SURE_WEI)
    assert words(reading, hotword("张伟")) == words(reading, hotword("章伟")) == []
    assert words(reading, hotword("章薇"), hotword("章伟")) == []


def test_one_token_too_many_is_forgiven_and_no_more() -> None:
    between = {"一": 0.6}
    assert words(heard({"凌": 0.9}, between, {"涛": 0.9}), hotword("凌滔")) == [(0, 3, "凌滔")]
    assert words(heard({"凌": 0.9}, between, between | {"共": 0.6}, {"涛": 0.9}), hotword("凌滔", 100)) == []
    assert words(heard({"凌": 0.9}, {"，": 0.6}, {"涛": 0.9}), hotword("凌滔", 100)) == [], "not across a mark"
    long = heard({"凌": 0.9}, {"涛": 0.9}, between, {"来": 0.9})
    assert words(long, hotword("凌滔来")) == [(0, 4, "凌滔来")]


def test_the_longest_wins_and_nothing_lies_over_another() -> None:
    reading = heard({"请": 0.9}, {"林": 0.8, "凌": 0.15}, {"涛": 0.9}, {"来": 0.9})
    assert words(reading, hotword("凌涛"), hotword("凌涛来"), hotword("请凌")) == [(1, 4, "凌涛来")]


def test_the_first_table_wins() -> None:
    reading = heard({"张": 0.5, "林": 0.2}, SURE_WEI)
    first, second = (Spotter([hotword(word)], VOCABULARY) for word in ("章威", "章薇"))
    assert [s.word.text for s in spot([first, second], reading)] == ["章威"]
    assert [s.word.text for s in spot([second, first], reading)] == ["章薇"]


def test_words_without_han_are_found_by_their_tokens() -> None:
    reading = heard({"GPU": 0.6, "API": 0.3}, {"来": 0.9})
    assert words(reading, hotword("API+来", 60)) == [(0, 2, "API来")]
    assert words(reading, hotword("api+来", 60)) == [(0, 2, "api来")]


def test_every_reading_of_a_character_counts() -> None:
    assert words(heard({"张": 0.5, "重": 0.4}, {"请": 0.9}), hotword("重请", 60)) == [(0, 2, "重请")]


def test_too_short_and_unwritable_words_are_not_looked_for() -> None:
    table = Spotter([hotword("威"), Spelt("@@", (), 3.0), hotword("章威")], VOCABULARY)
    assert len(table) == 3
    assert [s.word.text for s in table.spot(heard(SURE_WEI, {"来": 0.9}), set())] == []


def test_there_must_be_a_frame_for_every_unit() -> None:
    """Tokens that follow one another without a blank leave none to spare, which more units would need."""
    tokens = [Token(PIECES.index("凌"), 0, 0, 1.0), Token(PIECES.index("涛"), 0, 0, 1.0)]
    reading = Reading(heard({"凌": 0.4, "林": 0.2, "涛": 0.3}).logits[2:3], tokens, VOCABULARY, 0)
    assert words(reading, hotword("林涛")) == []


def test_many_alternatives_are_cut_to_the_best() -> None:
    pieces = ["", *map(chr, range(0x4E00, 0x4E00 + 400))]
    vocabulary = Vocabulary(pieces, [[f"s{number}"] if piece else [] for number, piece in enumerate(pieces)])
    row = np.linspace(0, 1, len(pieces), dtype=np.float32)
    row[0] = -9
    reading = Reading(row[None], written(row[None]), vocabulary, 0)
    assert len(reading.heard[0]) <= 17


places = st.lists(
    st.dictionaries(st.sampled_from([piece for piece in PIECES if piece]), st.floats(0.01, 0.3), max_size=3), max_size=7
)
tables = st.lists(
    st.sampled_from(["章薇", "凌滔", "请来", "一通", "张伟来", "API+来", "重庆"]), max_size=5, unique=True
)


@given(places, tables, st.integers(1, 100))
def test_whatever_is_found_is_in_order_and_inside(
    posteriors: list[dict[str, float]], table: list[str], weight: int
) -> None:
    reading = heard(*posteriors)
    found = spot([Spotter([hotword(word, weight) for word in table], VOCABULARY)], reading)
    assert all(left.end <= right.start for left, right in pairwise(found))
    for s in found:
        first, last = reading.stretch(s.start, s.end)
        assert 0 <= s.start < s.end <= len(reading.tokens) and 0 < s.score <= 1
        assert list(s.frames) == sorted(set(s.frames)) and first <= s.frames[0] and s.frames[-1] < last
        assert all(0 <= confidence <= 1 for confidence in s.confidences)
    text = "".join(PIECES[token.id] for token in reading.tokens)
    at, placed = 0, []
    for token in reading.tokens:
        placed.append(Placed(token, at, at + len(PIECES[token.id])))
        at = placed[-1].end
    new, moved, hits = put_in(text, placed, found)
    assert [hit.word for hit in hits] == [s.word.text for s in found]
    assert "".join(new[piece.start : piece.end] for piece in moved) == new
    frames = [piece.token.first for piece in moved]
    assert frames == sorted(frames)
    assert len(new) == len(text) + sum(len(hit.word) - len(hit.replaced) for hit in hits)


def test_put_in() -> None:
    token = Token(1, 3, 3, 0.9)
    placed = [Placed(token, 0, 1), Placed(token, 1, 2), Placed(token, 2, 3), Placed(token, 4, 7), Placed(token, 7, 8)]
    found = [
        Spotted(1, 3, hotword("凌涛来"), (5, 6, 7), (0.5, 0.6, 0.7), 0.8),
        Spotted(3, 4, Spelt("A B", (Unit("A", ("=a",)), Unit("B", ("=b",))), 3), (9, 10), (0.1, 0.2), 0.4),
    ]
    text, moved, hits = put_in("请张伟 GPU。", placed, found)
    assert text == "请凌涛来 A B。"
    assert [text[piece.start : piece.end] for piece in moved] == ["请", "凌", "涛", "来", "A", "B", "。"]
    assert [piece.token.first for piece in moved] == [3, 5, 6, 7, 9, 10, 3]
    assert hits == (
        HotwordHit("凌涛来", "张伟", Stage.SECOND_PASS, 0.8),
        HotwordHit("A B", "GPU", Stage.SECOND_PASS, 0.4),
    )
