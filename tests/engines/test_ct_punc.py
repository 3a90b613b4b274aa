"""Live marks: words are never touched, what is frozen stays, and the cut of the growth leaves no trace."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xingji.core.errors import EngineError
from xingji.engines import Revision
from xingji.engines.ct_punc import CtPunc

MARKS = set("，。？！、；：")
ENDS = set("。？！")
PARAGRAPH = "大家好我是张伟经理欢迎参加今天的会议下一个议题是语音识别大家有什么问题吗虽然有点困难但是非常重要谢谢大家"
WORDS = st.sampled_from([*PARAGRAPH, "ok", "ppt", "don't", "3", "龘", "吗", "请", "但是"])


def words(pieces: Sequence[str]) -> str:
    """As the recogniser writes: Latin words apart, Han characters together."""
    text = ""
    for piece in pieces:
        text += " " * (text[-1:].isascii() and text != "" and piece.isascii()) + piece
    return text


def grow(engine: CtPunc, bare: str, cuts: Sequence[int]) -> list[Revision]:
    state = engine.open()
    steps = [engine.revise([(state, bare[:cut], False)])[0] for cut in cuts]
    return [*steps, *engine.revise([(state, bare, True)])]


def without_marks(text: str) -> str:
    return "".join(c for c in text if c not in MARKS and c != " ")


several = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@several
@given(st.lists(WORDS, min_size=1, max_size=90), st.lists(st.integers(0, 120), max_size=12))
def test_growing_text(punc: CtPunc, pieces: list[str], cuts: list[int]) -> None:
    bare = words(pieces)
    cuts = sorted(min(cut, len(bare)) for cut in cuts)
    revisions = grow(punc, bare, cuts)
    for cut, (text, stable) in zip([*cuts, len(bare)], revisions, strict=True):
        assert without_marks(text) == without_marks(bare[:cut])  # every word, in order
        assert text[:1] not in MARKS
        assert not any(a in MARKS and b in MARKS for a, b in pairwise(text))
        assert "  " not in text and text == text.strip()
        assert 0 <= stable <= len(text)
    for text, _ in revisions[:-1]:
        assert text[-1:] not in MARKS
    final = revisions[-1]
    assert final.text[-1] in ENDS and final.stable == len(final.text)
    for i, (text, stable) in enumerate(revisions):  # what was said to be stable was
        assert all(later.text.startswith(text[:stable]) for later in revisions[i:])
        assert all(later.stable >= stable for later in revisions[i:])
    assert final == grow(punc, bare, [])[-1]  # the steps leave no trace


@pytest.fixture
def touchy(punc: CtPunc, monkeypatch: pytest.MonkeyPatch) -> CtPunc:
    """Marks that change with every letter of what the model is shown: nothing slips through."""

    monkeypatch.setattr(punc, "_numbers", Checksums({"<unk>": 0}))
    monkeypatch.setattr(punc, "_embedding", Numbers())
    monkeypatch.setattr(punc, "network", Played(lambda words: (words + words.sum()) % 6))
    return punc


class Checksums(dict[str, int]):
    """Every word has a number of its own."""

    def get(self, token: str, unknown: Any = None) -> int:
        return crc32(token.encode())


class Numbers:
    """Embeds each word as its number."""

    def __getitem__(self, numbers: list[int]) -> Any:
        return np.array(numbers, np.int64)[:, None]


class Played:
    """In place of the network: ``pick`` says which mark each word gets, (words,) to (words,)."""

    def __init__(self, pick: Any) -> None:
        self._pick = pick

    def __call__(self, words: Any, lengths: Any) -> Any:
        assert words.shape[:2] == (len(lengths), max(lengths))
        scores = np.zeros((*words.shape[:2], 6))
        for row, length in enumerate(lengths):
            scores[row, :length] = np.eye(6)[self._pick(words[row, :length, 0])]
        return scores

    def fetched(self, result: Any) -> Any:
        return result


@several
@given(st.lists(st.sampled_from("abc好的吗 '"), min_size=1, max_size=60), st.data())
def test_words_that_grow_letter_by_letter(touchy: CtPunc, letters: list[str], data: st.DataObject) -> None:
    punc = touchy
    bare = " ".join("".join(letters).split())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bare)), max_size=20)))
    revisions = grow(punc, bare, cuts)
    for i, (text, stable) in enumerate(revisions):
        assert all(later.text.startswith(text[:stable]) for later in revisions[i:])
    assert revisions[-1] == grow(punc, bare, [])[-1]


@pytest.mark.parametrize("before", range(5, 16))
def test_half_a_word_freezes_nothing(touchy: CtPunc, before: int) -> None:
    bare = "好" * before + "hello" + "吗" * 12
    revisions = grow(touchy, bare, [before + 2])
    assert revisions[1] == grow(touchy, bare, [])[-1]
    assert revisions[1].text.startswith(revisions[0].text[: revisions[0].stable])


def test_punctuates_the_domain(punc: CtPunc) -> None:
    text = grow(punc, PARAGRAPH, range(2, len(PARAGRAPH), 3))[-1].text
    assert text.startswith("大家好，我是张伟")
    assert "大家有什么问题吗？" in text
    assert text.endswith("谢谢大家。")


def test_text_is_frozen_soon(punc: CtPunc) -> None:
    for cut, (text, stable) in enumerate(grow(punc, PARAGRAPH, range(1, len(PARAGRAPH)))[:-1], 1):
        assert len(without_marks(text[stable:])) <= 10, cut


def test_nothing_and_one_word(punc: CtPunc) -> None:
    """The stock call raises on both."""
    assert grow(punc, "", [0]) == [Revision("", 0)] * 2
    assert grow(punc, " ", [0]) == [Revision("", 0)] * 2
    assert grow(punc, "好", [1]) == [Revision("好", 0), Revision("好。", 2)]
    assert grow(punc, "ok", [1])[-1] == Revision("ok。", 3)


def choose(punc: CtPunc, monkeypatch: pytest.MonkeyPatch, mark: str) -> list[int]:
    """Make the model put ``mark`` everywhere; returns the list that collects its input lengths."""
    lengths: list[int] = []
    index = ["<unk>", "_", "，", "。", "？", "、"].index(mark)

    def pick(words: Any) -> Any:
        lengths.append(len(words))
        return np.full(len(words), index)

    monkeypatch.setattr(punc, "network", Played(pick))
    return lengths


@pytest.mark.parametrize(
    ("mark", "live", "final"),
    [
        ("_", "请打开", "请打开。"),
        ("<unk>", "请打开", "请打开。"),
        ("，", "请，打，开", "请，打，开。"),
        ("、", "请、打、开", "请、打、开。"),
        ("。", "请。打。开", "请。打。开。"),
        ("？", "请？打？开", "请？打？开？"),
    ],
)
def test_last_mark(punc: CtPunc, monkeypatch: pytest.MonkeyPatch, mark: str, live: str, final: str) -> None:
    choose(punc, monkeypatch, mark)
    assert [revision.text for revision in grow(punc, "请打开", [3])] == [live, final]


def test_latin_spacing(punc: CtPunc, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(punc, monkeypatch, "_")
    assert grow(punc, "ok the ppt好the end", [])[-1].text == "ok the ppt好the end。"
    choose(punc, monkeypatch, "，")
    assert grow(punc, "ok the ppt好the end", [])[-1].text == "ok，the，ppt，好，the，end。"


@pytest.mark.parametrize("mark", ["_", "，", "。"])
def test_work_per_step_is_bounded(punc: CtPunc, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """The stock call remembers everything since the last sentence end: 100 ms a step after 180 characters."""
    lengths = choose(punc, monkeypatch, mark)
    bare = PARAGRAPH * 6
    grow(punc, bare, range(3, len(bare), 3))
    assert max(lengths) <= 55
    assert len(lengths) <= len(bare) / 3 + len(bare) / 5 + 1


def test_marks_in_the_words_are_not_doubled(punc: CtPunc, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(punc, monkeypatch, "。")
    assert grow(punc, "好？", [1, 2]) == [Revision("好", 0), Revision("好？", 0), Revision("好？", 2)]
    assert grow(punc, "好，请", [])[-1].text == "好，请。"


def test_text_must_grow(punc: CtPunc) -> None:
    state = punc.open()
    punc.revise([(state, "大家好", False)])
    with pytest.raises(EngineError, match="instead of growing"):
        punc.revise([(state, "大家不好", False)])


def test_streams_do_not_mix(punc: CtPunc) -> None:
    texts = [PARAGRAPH, PARAGRAPH[15:], "请打开空调"]
    states, alone = [punc.open() for _ in texts], [grow(punc, text, [])[-1] for text in texts]
    for cut in range(1, len(PARAGRAPH)):
        punc.revise([(state, text[:cut], False) for state, text in zip(states, texts, strict=True)])
    assert punc.revise([(s, text, True) for s, text in zip(states, texts, strict=True)]) == alone


@several
@given(st.lists(WORDS, min_size=1, max_size=50))
def test_scores_are_those_of_the_stock_class(punc: CtPunc, stock: Callable[[str], Any], pieces: list[str]) -> None:
    auto = stock("punc")
    ids = torch.tensor([auto.kwargs["tokenizer"].tokens2ids(pieces)])
    with torch.inference_mode():
        theirs, _ = auto.model.punc_forward(
            text=ids, text_lengths=torch.tensor([ids.shape[1]]), vad_indexes=torch.zeros(1, dtype=torch.int64)
        )
    alone, shorter = punc.scores([pieces, pieces[: len(pieces) // 2 + 1]])  # company changes nothing
    assert np.abs(alone - theirs[0].numpy()).max() <= 1e-4
    assert np.abs(shorter - punc.scores([pieces[: len(pieces) // 2 + 1]])[0]).max() <= 1e-4
