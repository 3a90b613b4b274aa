"""Streaming text: it only grows, it does not depend on how jobs are cut, and no frame is lost."""

import math
import random
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xingji.core.errors import EngineError
from xingji.core.messages import Decode
from xingji.core.types import Samples
from xingji.engines.paraformer import Segment, StreamingParaformer, _append
from xingji.engines.paraformer_step import Chunk, LookBack, Memory

CHUNK = 9_600
REFERENCE = "大家好我是赵磊经理欢迎参加今天的会议"


def stream(engine: StreamingParaformer, samples: Samples, sizes: list[int] | None = None) -> list[str]:
    """Feed the segment in jobs of ``sizes`` chunks (one each by default), the rest as the last job."""
    state, at, texts = engine.open(), 0, []
    for size in sizes if sizes is not None else [1] * (len(samples) // CHUNK):
        piece = samples[at : at + size * CHUNK]
        piece = piece[: len(piece) // CHUNK * CHUNK]
        texts += engine.decode([(state, Decode(1, piece, at, False, CHUNK, True))])
        at += len(piece)
    return [*texts, *engine.decode([(state, Decode(1, samples[at:], at, True, CHUNK, True))])]


def distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row_before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            row_before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, row_before + (x != y))
    return row[-1]


def test_hears_the_sentence_and_only_grows(paraformer: StreamingParaformer, speech: Samples) -> None:
    texts = stream(paraformer, speech)
    for before, after in pairwise(texts):
        assert after.startswith(before)
    assert texts[len(texts) // 2]  # text comes while speech goes on
    assert distance(texts[-1], REFERENCE) / len(REFERENCE) < 0.3


def test_text_does_not_depend_on_chunks_per_job(paraformer: StreamingParaformer, speech: Samples) -> None:
    rng, wanted = random.Random(5), stream(paraformer, speech)
    assert stream(paraformer, speech, [])[-1] == wanted[-1]
    for _ in range(3):
        sizes = [rng.randint(0, 4) for _ in range(5)]
        texts = stream(paraformer, speech, sizes)
        assert texts[-1] == wanted[-1]
        for done, text in zip(np.cumsum(sizes), texts, strict=False):
            assert text == (wanted[min(done, len(wanted) - 1) - 1] if done else "")


def test_interleaved_segments_do_not_mix(paraformer: StreamingParaformer, speech: Samples) -> None:
    sounds = [speech, speech[30_000:], speech[::-1].copy()]
    alone = [stream(paraformer, sound)[-1] for sound in sounds]
    states, texts = [paraformer.open() for _ in sounds], [""] * 3
    for at in range(0, len(speech), CHUNK):
        live = [i for i, sound in enumerate(sounds) if at < len(sound)]
        items = []
        for i in live:
            piece = sounds[i][at : at + CHUNK]
            items.append((states[i], Decode(i, piece, at, at + CHUNK >= len(sounds[i]), CHUNK, True)))
        for i, text in zip(live, paraformer.decode(items), strict=True):
            texts[i] = text
    assert texts == alone


@pytest.mark.parametrize("whole", [0, 1, 3])
@pytest.mark.parametrize("tail", [0, 1, 159, 160, 300, 399, 400, 640, 800, 959, 960, 961, 9_599])
def test_every_frame_reaches_the_encoder(
    paraformer: StreamingParaformer,
    speech: Samples,
    monkeypatch: pytest.MonkeyPatch,
    whole: int,
    tail: int,
) -> None:
    """The stock call leaves out a tail of less than 960 samples (60 ms)."""
    frames: list[int] = []
    step = paraformer.stepper.step

    def spy(chunks: list[Chunk]) -> list[tuple[Memory, Any]]:
        (chunk,) = chunks
        frames.append(len(chunk.frames))
        assert len(frames) <= whole or chunk.last
        return step(chunks)

    monkeypatch.setattr(paraformer.stepper, "step", spy)
    length = whole * CHUNK + tail
    text = stream(paraformer, speech[10_000 : 10_000 + length])[-1]
    heard = (length - 400) // 160 + 1 if length >= 400 else 0
    assert sum(frames) == math.ceil(heard / 6)
    assert length >= 400 or (text == "" and frames == [])


def test_a_short_tail_changes_nothing_said_before(paraformer: StreamingParaformer, speech: Samples) -> None:
    whole = stream(paraformer, speech[: 5 * CHUNK], [5])[0]
    for tail in (0, 1, 300, 700):
        assert stream(paraformer, speech[: 5 * CHUNK + tail])[-1].startswith(whole)


def test_agrees_with_the_stock_call_where_that_one_is_right(
    paraformer: StreamingParaformer, stock: Callable[[str], Any], speech: Samples
) -> None:
    auto = stock("paraformer")
    options: dict[str, Any] = {
        "chunk_size": [0, 10, 5],
        "encoder_chunk_look_back": 4,
        "decoder_chunk_look_back": 1,
        "encoder_conf": {"output_size": auto.model.encoder.output_size()},
        "frontend_conf": {"n_mels": 80, "lfr_m": 7},
        "device": "cpu",
        "tokenizer": auto.kwargs["tokenizer"],
        "frontend": auto.kwargs["frontend"],
        "key": ["stock"],
    }
    samples, cache, text = speech[: 8 * CHUNK + 4_000], {}, ""
    with torch.inference_mode():
        for at in range(0, len(samples), CHUNK):
            sound = torch.from_numpy(samples[at : at + CHUNK] / np.float32(32_768))
            final = at + CHUNK >= len(samples)
            answer, _ = auto.model.inference([sound], cache=cache, is_final=final, **options)
            text += answer[0]["text"]
    assert len(text) > 10
    assert stream(paraformer, samples)[-1] == text


def test_state_of_a_long_segment_is_bounded(paraformer: StreamingParaformer, speech: Samples) -> None:
    state, sizes = paraformer.open(), []
    samples = np.tile(speech, 6)[: 50 * CHUNK]

    def numbers(thing: Any) -> int:
        match thing:
            case np.ndarray():
                return thing.nbytes if thing.base is None else numbers(thing.base)  # of all that it keeps alive
            case torch.Tensor():
                return thing.untyped_storage().nbytes()
            case LookBack():
                return numbers(thing.frames)
            case dict():
                return sum(map(numbers, thing.values()))
            case list() | tuple():
                return sum(map(numbers, thing))
            case Memory():
                return sum(numbers(getattr(thing, field.name)) for field in fields(thing))
        return 0

    for at in range(0, len(samples), CHUNK):
        paraformer.decode([(state, Decode(1, samples[at : at + CHUNK], at, False, CHUNK, True))])
        sizes.append(numbers(state.memory) + numbers(state.features._waiting))
    assert max(sizes[40:]) <= 1.05 * max(sizes[:10])  # a chunk with more words holds a few vectors more


def test_jobs_must_continue_their_segment_in_whole_chunks(paraformer: StreamingParaformer) -> None:
    state, sound = paraformer.open(), np.zeros(CHUNK, np.int16)
    paraformer.decode([(state, Decode(1, sound, 0, False, CHUNK, True))])
    for job, word in [
        (Decode(1, sound, 0, False, CHUNK, True), "continue"),
        (Decode(1, sound, CHUNK, False, CHUNK // 2, True), "continue"),
        (Decode(1, sound[:-1], CHUNK, False, CHUNK, True), "part of a chunk"),
    ]:
        with pytest.raises(EngineError, match=word):
            paraformer.decode([(state, job)])
    paraformer.decode([(state, Decode(1, sound[:0], CHUNK, True, CHUNK, True))])
    with pytest.raises(EngineError, match="continue"):
        paraformer.decode([(state, Decode(1, sound, CHUNK, True, CHUNK, True))])
    for chunk in (0, 960, 9_601):
        with pytest.raises(EngineError, match="multiple"):
            paraformer.decode([(paraformer.open(), Decode(1, sound, 0, True, chunk, True))])


def joined(pieces: list[str]) -> str:
    state = Segment()
    for piece in pieces:
        _append(state, piece)
    return state.text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["你", "好"], "你好"),
        (["hel@@", "lo", "world"], "hello world"),
        (["打", "开", "p@@", "p@@", "t", "文", "件"], "打开ppt文件"),
        (["ok", "好", "ok", "the", "a@@", "pi"], "ok好ok the api"),
        (["don't", "go"], "don't go"),
        (["三", "3", "4"], "三3 4"),
        (["<s>", "好", "<unk>", "</s>", "<blank>"], "好"),
        (["hel@@", "<unk>", "lo"], "hello"),
        (["hel@@"], "hel"),
        (["hel@@", "好"], "hel好"),
        ([], ""),
    ],
)
def test_pieces_become_words(pieces: list[str], text: str) -> None:
    assert joined(pieces) == text


@given(st.lists(st.sampled_from(["好", "的", "ok", "a@@", "b", "<unk>", "it's", "7"]), max_size=12))
def test_text_of_pieces_only_grows(pieces: list[str]) -> None:
    texts = [joined(pieces[:n]) for n in range(len(pieces) + 1)]
    for before, after in pairwise(texts):
        assert after.startswith(before)
    assert "  " not in texts[-1] and texts[-1] == texts[-1].strip()


def test_words_are_where_they_were_said(paraformer: StreamingParaformer, speech: Samples) -> None:
    """One for each character, in order, inside the sound, in the recording's own time, and the same for one job as
    for many."""
    begin, quiet = 1_000_000, 8_000
    sound = np.pad(speech, quiet)
    state, other = paraformer.open(), paraformer.open()
    text = paraformer.decode([(state, Decode(1, sound, 0, True, CHUNK, True, begin))])[0]
    found = paraformer.words(state)
    assert "".join(word.text for word in found) == text
    sounding = begin + quiet + np.flatnonzero(np.abs(speech) > 200)
    assert abs(found[0].span.start - sounding[0]) < 2_400 and abs(found[-1].span.end - sounding[-1]) < 4_000
    assert all(word.span.start < word.span.end for word in found)
    assert all(left.span.end <= right.span.start for left, right in pairwise(found))
    assert all(word.confidence is not None and 0 < word.confidence <= 1 for word in found)
    lengths = sorted(word.span.end - word.span.start for word in found)
    assert 1_600 < lengths[len(lengths) // 2] < 5_600  # 100 to 350 ms

    assert paraformer.words(other) == ()
    for at in range(0, len(sound), CHUNK):
        piece = sound[at : at + CHUNK]
        job = Decode(1, piece, at, at + CHUNK >= len(sound), CHUNK, True, begin + at)
        so_far = paraformer.decode([(other, job)])[0]
        words = paraformer.words(other)
        assert "".join(word.text for word in words) == so_far
        assert not words or (begin <= words[0].span.start and words[-1].span.end <= begin + at + len(piece))
    assert paraformer.words(other) == found
