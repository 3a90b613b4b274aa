"""Our state machine against the stock class's, fed the same scores: the same edges in the same hops.

The stock class stands without its network here; only the last tests let a real one hear real speech.
"""

import pickle
from collections.abc import Iterator
from itertools import cycle
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from funasr.frontends.wav_frontend import WavFrontendOnline
from funasr.models.fsmn_vad_streaming.encoder import FSMN
from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming, VADXOptions
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support import utterances
from xingji.core.errors import EngineError
from xingji.core.types import Samples
from xingji.engines.endpointing import Endpointer, Kind, Rules

Floats = NDArray[np.float32]
Hop = tuple[Floats, Samples, int, bool]  # what ``hear`` takes
Edges = list[tuple[Kind, int]]

SHIFT, LENGTH = 160, 400
NOTHING = np.zeros(0, np.int16)
TINY = {name: 2 for name in ("input_dim", "input_affine_dim", "linear_dim", "proj_dim", "output_affine_dim")}
TINY |= {"fsmn_layers": 1, "lorder": 2, "rorder": 0, "lstride": 1, "rstride": 0, "output_dim": 2}
assert FSMN.__name__ == "FSMN"  # its import enters it into funasr's tables


class Stock:
    """One stream through ``FsmnVADStreaming.forward``, with the scores given instead of computed."""

    def __init__(self, model: Any) -> None:
        self._model, self.cache, self._samples = model, model.init_cache({}), NOTHING
        model.vad_opts.max_single_segment_time = inf

    def hear(self, scores: Floats, samples: Samples, end_silence_ms: int, last: bool) -> Edges:
        options, stats = self._model.vad_opts, self.cache["stats"]
        stats.max_end_sil_frame_cnt_thresh = max(0, end_silence_ms - options.speech_to_sil_time_thres)
        self._samples = np.concatenate((self._samples, samples))
        with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
            patch.setattr(self._model.encoder, "forward", lambda *_, **__: torch.from_numpy(scores[None]))
            spans = self._model.forward(
                feats=torch.zeros(1, len(scores), 1),
                waveform=self.next_frames(len(scores)),
                cache=self.cache,
                is_final=last,
                is_streaming_input=True,
            )
        del stats.output_data_buf[: stats.output_data_buf_offset]
        stats.output_data_buf_offset = 0
        pairs = [zip(("onset", "endpoint"), pair, strict=True) for batch in spans for pair in batch]
        return [(kind, ms) for pair in pairs for kind, ms in pair if ms >= 0]

    def next_frames(self, count: int) -> torch.Tensor:
        """The waveform (1, n) of exactly these frames."""
        begin = self.frames * SHIFT
        return waveform(self._samples[begin : begin + (count - 1) * SHIFT + LENGTH])

    @property
    def frames(self) -> int:
        return int(self.cache["stats"].frm_cnt)


def waveform(samples: Samples) -> torch.Tensor:
    return torch.from_numpy(samples.astype(np.float32) / np.float32(32_768))[None]


def bare(**options: Any) -> Any:
    """The stock class with a network of no use."""
    return FsmnVADStreaming(encoder="FSMN", encoder_conf=TINY, **options)


def soft(scores: Floats) -> Floats:
    """Posteriors away from 0 and 1: the stock class takes their logarithms."""
    return scores * np.float32(1 - 1e-5) + np.float32(1e-9)


def cut(scores: Floats, samples: Samples, sizes: list[int], waits: list[int], rest: int) -> Iterator[Hop]:
    """Hops of these many frames in turn with these end silences, then the last one, of at most ``rest`` frames.

    Frames lag two shifts behind the samples, as they do in the detector's front end.
    """
    at, heard, body = 0, 0, len(scores) - min(rest, len(scores))
    for size, wait in zip(cycle(sizes), cycle(waits), strict=False):
        last = at == body
        size, came = (len(scores) - at, len(samples)) if last else (min(size, body - at), 0)
        came = came or min((at + size + 1) * SHIFT + LENGTH, len(samples))
        yield scores[at : at + size], samples[heard:came], wait, last
        at, heard = at + size, came
        if last:
            return


def assert_same(hops: list[Hop], ours: Endpointer, stock: Stock) -> Edges:
    """Hop by hop; the answer is all edges."""
    edges: Edges = []
    for number, hop in enumerate(hops):
        found = ours.hear(*hop)
        assert found == stock.hear(*hop), f"hop {number} of {len(hops)}"
        assert ours.frames == stock.frames
        edges += found
    return edges


def sound(rng: np.random.Generator, runs: list[tuple[int, float, int]]) -> tuple[Floats, Samples]:
    """Scores (T, 4) and samples of runs: frames, the share of them that is speech, and how loud they are (dB).

    Outputs 0 and 2 mean silence. The two classes of frames touch at 0.2, where the rule divides them.
    """
    frames = sum(length for length, _, _ in runs)
    speech = np.concatenate([rng.random(length) < share for length, share, _ in runs])
    silence = np.where(speech, rng.uniform(0, 0.2, frames), rng.uniform(0.2, 1, frames))
    split = rng.uniform(0.9, 1, frames)
    scores = np.stack([silence * split, (1 - silence) / 2, silence * (1 - split), (1 - silence) / 2], axis=1)
    peaks = np.concatenate([np.full(length * SHIFT, 10 ** ((level - 21) / 20)) for length, _, level in runs])
    peaks = np.append(peaks, np.full(LENGTH - SHIFT, peaks[-1]))  # 21 dB: of a frame of noise that fills the range
    samples = (rng.uniform(-32_767, 32_767, len(peaks)) * peaks).astype(np.int16)
    return soft(scores.astype(np.float32)), samples


RUNS = st.lists(
    st.tuples(st.integers(1, 150), st.sampled_from([0, 0, 0.03, 0.5, 0.7, 0.8, 0.97, 1, 1]), st.integers(-60, 21)),
    min_size=1,
    max_size=16,
)
SIZES = st.one_of(st.just([20]), st.lists(st.integers(1, 45), min_size=1, max_size=8))
WAITS = st.lists(st.sampled_from([200, 400, 800, 1_500]), min_size=1, max_size=9)
SEEDS = st.integers(0, 99)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "window_size_ms": st.sampled_from([100, 200, 300]),
        "sil_to_speech_time_thres": st.sampled_from([50, 100, 200]),
        "speech_to_sil_time_thres": st.sampled_from([0, 50, 100, 250]),
        "lookback_time_start_point": st.sampled_from([0, 50, 600]),
        "lookahead_time_end_point": st.sampled_from([0, 50, 300]),
        "speech_2_noise_ratio": st.sampled_from([0.7, 1.3]),
        "speech_noise_thres": st.sampled_from([-0.2, 0.31, 0.83]),
        "decibel_thres": st.sampled_from([-55.0, -20.0, 10.0]),
        "snr_thres": st.sampled_from([-80.0, -5.0, 0.0, 8.0, 45.0, 70.0]),
        "noise_frame_num_used_for_snr": st.sampled_from([1, 5, 30]),
    },
)


@settings(max_examples=200, deadline=None)
@given(RUNS, SIZES, WAITS, st.integers(0, 3), SEEDS)
def test_decides_as_the_stock_class(
    runs: list[tuple[int, float, int]], sizes: list[int], waits: list[int], rest: int, seed: int
) -> None:
    hops = list(cut(*sound(np.random.default_rng(seed), runs), sizes, waits, rest))
    assert_same(hops, Endpointer(Rules.read({})), Stock(bare()))


@settings(max_examples=200, deadline=None)
@given(RUNS, SIZES, st.integers(0, 3), SEEDS, OPTIONS, st.lists(st.integers(0, 1_500), min_size=1, max_size=5))
def test_decides_as_the_stock_class_with_any_options(
    runs: list[tuple[int, float, int]],
    sizes: list[int],
    rest: int,
    seed: int,
    options: dict[str, Any],
    waits: list[int],
) -> None:
    hops = list(cut(*sound(np.random.default_rng(seed), runs), sizes, waits, rest))
    options |= {"sil_pdf_ids": [0, 2], "silence_pdf_num": 2} if seed % 2 else {}
    assert_same(hops, Endpointer(Rules.read(options)), Stock(bare(**options)))


@pytest.mark.parametrize("options", [{}, {"snr_thres": 6.0, "decibel_thres": -40.0}], ids=["published", "by level"])
def test_decides_as_the_stock_class_in_long_conversations(options: dict[str, Any]) -> None:
    """Turns as people take them, so that every rule is used often."""
    rng, onsets, endpoints = np.random.default_rng(7), 0, 0
    for stream in range(12):
        runs = []
        while sum(length for length, _, _ in runs) < 3_000:
            runs.append((int(rng.integers(5, 180)), float(rng.choice([0.85, 0.97, 1])), int(rng.integers(-10, 21))))
            runs.append((int(rng.choice([4, 8, 15, 30, 50, 90, 170])), 0.04, int(rng.integers(-40, 5))))
        rules, waits = Rules.read(options), [int(rng.choice([200, 400, 800, 1_500])) for _ in range(40)]
        hops = list(cut(*sound(rng, runs), [20], waits, stream % 4))
        edges = assert_same(hops, Endpointer(rules), Stock(bare(**options)))
        assert [kind for kind, _ in edges] == (["onset", "endpoint"] * len(edges))[: len(edges)]
        assert [at for _, at in edges] == sorted(at for _, at in edges)
        onsets, endpoints = onsets + (len(edges) + 1) // 2, endpoints + len(edges) // 2
    assert onsets > 80 and endpoints > 80


def test_rules_lack_nothing_where_the_options_do() -> None:
    assert Rules.read({}) == Rules.read({**vars(VADXOptions()), "sil_pdf_ids": (0,)})
    assert Rules.read({"sil_pdf_ids": [0]}) == Rules.read({})


@pytest.mark.parametrize("option", [{"detect_mode": 0}, {"do_extend": 0}, {"sample_rate": 8_000}])
def test_refuses_options_it_would_not_follow(option: dict[str, int]) -> None:
    with pytest.raises(EngineError, match=f"{next(iter(option))} must be"):
        Rules.read(option)


def hear(*parts: int, wait: int = 800, last: bool = True, endpointer: Endpointer | None = None) -> Edges:
    """One hop of so many frames of silence, speech, silence, …, each certain: scores of exactly 1 and 0."""
    silence = np.concatenate([np.full(length, (number + 1) % 2) for number, length in enumerate(parts)])
    scores = np.stack([silence, 1 - silence], axis=1).astype(np.float32)
    return (endpointer or Endpointer(Rules.read({}))).hear(scores, NOTHING, wait, last)


def test_an_onset_lies_back_and_an_endpoint_leaves_silence_in() -> None:
    # Speech is frames 50 … 149. The window of 20 holds 15 of it at frame 64, and no more than 15 at frame 154.
    # The onset lies 20 + 20 frames back; the endpoint is after 11 frames, at most, of the silence that counts.
    assert hear(50, 100, 200) == [("onset", 240), ("endpoint", 1_660)]


def test_an_onset_is_not_before_the_stream_nor_in_the_segment_before() -> None:
    assert hear(0, 100) == [("onset", 0), ("endpoint", 1_000)]
    assert hear(50, 100, 26, 30, 100, wait=200)[:3] == [("onset", 240), ("endpoint", 1_600), ("onset", 1_600)]


def test_fourteen_frames_are_no_speech() -> None:
    assert hear(50, 14, 200) == []
    assert hear(50, 15, 200) != []


@pytest.mark.parametrize(
    ("wait", "decided", "at"), [(800, 65, 1_660), (250, 10, 1_650), (200, 5, 1_600), (0, 1, 1_560)]
)
def test_decides_once_the_window_has_been_silent_so_long(wait: int, decided: int, at: int) -> None:
    """The 150 ms that the window is supposed to take count as heard; of the rest, 110 ms stay in the segment."""
    endpointer = Endpointer(Rules.read({}))
    hear(50, 100, 5 + decided - 1, wait=wait, last=False, endpointer=endpointer)
    assert endpointer.frames == 50 + 100 + 5 + decided - 1
    assert hear(1, wait=wait, last=False, endpointer=endpointer) == [("endpoint", at)]


def test_the_end_silence_counts_that_is_asked_for_now() -> None:
    endpointer = Endpointer(Rules.read({}))
    assert hear(50, 100, 50, wait=800, last=False, endpointer=endpointer) == [("onset", 240)]
    assert hear(1, wait=400, last=False, endpointer=endpointer) == [("endpoint", 2_010 - 140)]


def test_the_last_frame_closes_what_an_earlier_one_opened() -> None:
    assert hear(50, 16) == [("onset", 240), ("endpoint", 660)]
    assert hear(50, 15) == [("onset", 240)]
    assert hear(50, 100, 3) == [("onset", 240), ("endpoint", 1_530)]
    assert hear(50, 100, 30) == [("onset", 240), ("endpoint", 1_800)]
    assert hear(50) == hear(0) == []


def test_certainty_is_that_of_the_surest_frames_of_a_segment() -> None:
    endpointer = Endpointer(Rules.read({}))
    assert endpointer.certainty == 1.0

    def hear(likely: list[float], last: bool = False) -> Edges:
        speech = np.array(likely, np.float32)
        return endpointer.hear(np.stack([1 - speech, speech], axis=1), NOTHING, 800, last)

    assert hear([0.99] * 5 + [0.1] * 50) == []  # a click, long before, says nothing about what follows
    hear([0.9] * 30 + [0.1] * 10)
    assert endpointer.certainty == pytest.approx(0.9)
    hear([0.95] * 10)
    assert endpointer.certainty == pytest.approx(0.925)
    assert hear([0.1] * 100)[0][0] == "endpoint"
    hear([0.98] * 5)
    assert endpointer.certainty == pytest.approx(0.925)  # of the segment that was closed
    assert hear([0.85] * 40, last=True)[-1][0] == "endpoint"
    assert endpointer.certainty == pytest.approx((0.98 * 5 + 0.85 * 15) / 20)


def test_a_last_hop_without_frames_decides_nothing() -> None:
    endpointer = Endpointer(Rules.read({}))
    assert hear(50, 100, last=False, endpointer=endpointer) == [("onset", 240)]
    assert hear(0, endpointer=endpointer) == []


def test_certain_scores_decide_as_softened_ones_do() -> None:
    rng, stock, ours = np.random.default_rng(3), Stock(bare()), Endpointer(Rules.read({}))
    edges: Edges = []
    for _ in range(100):
        silence = np.repeat(rng.integers(0, 2, 2), 10).astype(np.float32)
        scores, samples = np.stack([silence, 1 - silence], axis=1), np.zeros(20 * SHIFT + LENGTH, np.int16)
        edges += (found := ours.hear(scores, samples, 200, False))
        assert found == stock.hear(soft(scores), samples, 200, False)
    assert len(edges) > 10


def loud(level: float, frames: int) -> Samples:
    """Samples whose frames have so many dB."""
    return np.full(frames * SHIFT, 32_768 * np.sqrt(10 ** (level / 10) / LENGTH)).astype(np.int16)


def test_levels_count_only_where_the_rules_ask_for_them() -> None:
    certain = np.tile(np.array([[0, 1]], np.float32), (30, 1))
    asked = {"decibel_thres": -30.0}
    assert not Rules.read({}).by_level and Rules.read(asked).by_level
    assert Endpointer(Rules.read({})).hear(certain, NOTHING, 800, False) == [("onset", 0)]
    assert Endpointer(Rules.read(asked)).hear(certain, loud(-29, 32), 800, False) == [("onset", 0)]
    assert Endpointer(Rules.read(asked)).hear(certain, loud(-31, 32), 800, False) == []


def test_frames_may_not_run_ahead_of_their_samples() -> None:
    endpointer, scores = Endpointer(Rules.read({"decibel_thres": -30.0})), np.full((30, 2), 0.5, np.float32)
    endpointer.hear(scores, loud(-29, 32), 800, False)
    with pytest.raises(ValueError):
        endpointer.hear(scores, loud(-29, 29), 800, False)


@pytest.mark.parametrize(("above", "found"), [(19, []), (21, [("onset", 260)])])
def test_speech_is_louder_than_the_noise_before_it(above: int, found: Edges) -> None:
    """Frames 50 and 51 are half in the noise."""
    endpointer = Endpointer(Rules.read({"snr_thres": 20.0}))
    scores = np.tile(np.array([[1, 0]], np.float32), (50, 1))
    assert endpointer.hear(scores, loud(-20, 52), 800, False) == []
    assert endpointer.hear(1 - scores, loud(-20 + above, 50), 800, False) == found


@pytest.mark.parametrize("options", [{}, {"snr_thres": -1.0}], ids=["published", "by level"])
def test_state_is_bounded(options: dict[str, float]) -> None:
    """A stream of twenty minutes is no more than one of one, but for a longer number or two."""
    rng, endpointer, sizes, edges = np.random.default_rng(5), Endpointer(Rules.read(options)), [], 0
    samples = rng.integers(-3_000, 3_000, 20 * SHIFT).astype(np.int16)
    endpointer.hear(np.ones((18, 2), np.float32), samples, 800, False)  # two frames lag behind
    for hop in range(1_200 * 5):
        scores = rng.uniform(0, 0.1, (20, 2)).astype(np.float32) + np.float32(hop // 12 % 2 * 0.9)
        edges += len(endpointer.hear(scores, samples, 800, False))
        sizes.append(len(pickle.dumps(endpointer)))
    assert edges > 400
    assert max(sizes) <= max(sizes[:300]) + 8


def real(path: Path) -> tuple[Any, Any, Rules]:
    """The stock class with its weights, its front end, and the rules of its configuration."""
    config = yaml.safe_load((path / "config.yaml").read_text("utf-8"))
    model = FsmnVADStreaming(encoder=config["encoder"], encoder_conf=config["encoder_conf"], **config["model_conf"])
    model.load_state_dict(torch.load(path / "model.pt", map_location="cpu"))
    front_end = WavFrontendOnline(**{**config["frontend_conf"], "cmvn_file": str(path / "am.mvn"), "dither": 0.0})
    torch.set_num_threads(1)  # more of them wait for one another longer than they compute
    return model.eval(), front_end, Rules.read(config["model_conf"])


def test_hears_real_speech_as_the_stock_class_does(models: Path) -> None:
    """Features, scores and their number in each hop as the front end and the network of the pack give them."""
    (model, front_end, rules), edges, recordings = real(models / "vad"), 0, utterances()
    for number, recording in enumerate(recordings):
        wait = (200, 800)[number % 2]
        pcm = np.frombuffer(recording.pcm, np.int16)
        pcm = np.concatenate([pcm, np.zeros(400 * number + wait * 16, np.int16), pcm[: 3_000 * number + 16_000]])
        stock, ours = Stock(model), Endpointer(rules)
        memory, at, last = stock.cache["frontend"], 0, False
        while not last:
            piece, last = pcm[at : at + 3_200], at + 3_200 > len(pcm)
            with torch.inference_mode():
                feats, _ = front_end(waveform(piece), [len(piece)], cache=memory, is_final=last, return_waveform=True)
                scores = np.zeros((0, 2), np.float32)
                if feats.numel():
                    scores = model.encoder(feats, cache=stock.cache["encoder"])[0].numpy().copy()
            edges += len(assert_same([(soft(scores), piece, wait, last)], ours, stock))
            at += len(piece)
    assert edges >= 2 * len(recordings)
