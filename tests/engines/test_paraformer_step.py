"""The batched step is the stock network: same tokens, log-probabilities within 1e-4, whoever shares the batch."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xingji.core.types import Samples
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.paraformer_step import Chunk, integrate, positions

from .scores import CHUNK, FRAMES, Array, Feats, assert_same, features, run

pytestmark = pytest.mark.models


def by_stock(auto: Any, feats: Feats) -> list[Array]:
    """The stock class's log-probabilities, chunk by chunk."""
    model, tokenizer, seen = auto.model, auto.kwargs["tokenizer"], []
    decoder = model.cal_decoder_with_predictor_chunk

    def spy(*args: Any, **kwargs: Any) -> Any:
        answer = decoder(*args, **kwargs)
        seen.append(answer[0][0].numpy().copy())
        return answer

    state = model.init_cache(
        {},
        chunk_size=[0, FRAMES, FRAMES // 2],
        encoder_conf={"output_size": model.encoder.output_size()},
        frontend_conf={"n_mels": 80, "lfr_m": 7},
        encoder_chunk_look_back=4,
        decoder_chunk_look_back=1,
    )
    model.cal_decoder_with_predictor_chunk = spy
    answers = []
    try:
        with torch.inference_mode():
            for frames, last in feats:
                seen.clear()
                model.generate_chunk(
                    torch.from_numpy(frames.copy())[None],  # the stock class scales its input in place
                    torch.tensor([len(frames)]),
                    key=["stock"],
                    tokenizer=tokenizer,
                    cache=state,
                    is_final=last,
                    device="cpu",
                )
                answers.append(seen[0] if seen else np.zeros((0, len(tokenizer.token_list)), np.float32))
    finally:
        del model.cal_decoder_with_predictor_chunk
    return answers


@pytest.fixture(scope="session")
def cut(paraformer: StreamingParaformer, stock: Callable[[str], Any], speech: Samples) -> Any:
    """Features and stock answers of a piece of the sentence, made once for each."""

    @cache
    def make(start: int, length: int) -> tuple[Feats, list[Array]]:
        feats = features(paraformer, np.tile(speech, 2)[start : start + length])
        return feats, by_stock(stock("paraformer"), feats)

    return make


@pytest.mark.parametrize("length", [CHUNK * 6, CHUNK * 7 + 400, CHUNK * 3 + 9_599, 2_000])
def test_one_segment_alone_is_the_stock_class(paraformer: StreamingParaformer, cut: Any, length: int) -> None:
    feats, theirs = cut(8_000, length)
    (ours,) = run(paraformer, [feats], [0])
    assert sum(map(len, theirs)) > 0 or length == 2_000
    for ours_now, theirs_now in zip(ours, theirs, strict=True):
        assert_same(ours_now, theirs_now)


# A small set of pieces, so that most are made once; starts and company are what varies.
segments = st.tuples(
    st.integers(0, 5),
    st.sampled_from([0, 8_000, 20_000]),
    st.sampled_from([900, 9_600, 25_000, 48_300, 57_600, 77_777]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(segments, min_size=1, max_size=6))
def test_segments_that_come_and_go_share_steps_and_stay_themselves(
    paraformer: StreamingParaformer, cut: Any, drawn: list[tuple[int, int, int]]
) -> None:
    made = [cut(start, length) for _, start, length in drawn]
    answers = run(paraformer, [feats for feats, _ in made], [begin for begin, _, _ in drawn])
    for ours, (_, theirs) in zip(answers, made, strict=True):
        for ours_now, theirs_now in zip(ours, theirs, strict=True):
            assert_same(ours_now, theirs_now)


def test_the_longest_of_a_batch_may_have_nothing_to_say(paraformer: StreamingParaformer, cut: Any) -> None:
    (loud, theirs), (short, _) = cut(0, 48_300), cut(0, 900)
    ours, _ = run(paraformer, [loud, short], [0, 5])  # the last step of one, without a word, beside the only one
    for ours_now, theirs_now in zip(ours, theirs, strict=True):
        assert_same(ours_now, theirs_now)


def _full(*_: Any) -> Any:
    raise MemoryError


def test_a_failed_step_leaves_the_memories_as_they_were(
    paraformer: StreamingParaformer, cut: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    feats, theirs = cut(8_000, CHUNK * 4)
    stepper = paraformer.stepper
    ((memory, _),) = stepper.step([Chunk(stepper.open(FRAMES), *feats[0])])
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(paraformer.stepper, "_say", _full)
        stepper.step([Chunk(memory, *feats[1])])
    ((_, scores),) = stepper.step([Chunk(memory, *feats[1])])
    assert_same(scores, theirs[1])


def test_the_position_code_is_the_stock_one(stock: Callable[[str], Any]) -> None:
    """A segment has at most 30 s, 500 frames."""
    theirs = stock("paraformer").model.encoder.embed.encode(torch.arange(1, 501)[None], 560)[0]
    assert float(np.abs(positions(500, 560) - theirs.numpy()).max()) <= 1e-4
    assert np.array_equal(positions(500, 560), positions(900, 560)[:500])


@pytest.mark.parametrize(
    "weights, tokens, rest",
    [
        ([], 0, 0.0),
        ([0.25, 0.5], 0, 0.75),
        ([0.5, 0.5], 1, 0.0),
        ([0.75, 0.5, 0.75], 2, 0.0),
        ([0.9, 0.9, 0.9], 2, 0.7),
    ],
)
def test_the_counter_fires_each_time_the_sum_passes_one(weights: list[float], tokens: int, rest: float) -> None:
    shares, current, total = integrate(np.array(weights, np.float32), np.float32(1))
    assert shares.shape == (tokens, len(weights))
    assert float(total) == pytest.approx(rest, abs=1e-6)
    assert np.allclose(shares.sum(1), 1) if tokens else True
    assert np.allclose(shares.sum(0) + current, weights, atol=1e-6)
