"""The detector's rules, with posteriors that follow loudness: noise is speech, zeros are silence.

Everything but the scores is real: front end, frames, the state machine.
"""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xingji.core.errors import EngineError
from xingji.core.messages import Detect, Edge
from xingji.core.types import Samples
from xingji.engines.endpointing import Endpointer, _Window
from xingji.engines.features import Features
from xingji.engines.fsmn_vad import Fsmn, VadState

RATE, HOP, WAIT = 16_000, 3_200, 12_800
WINDOW = 6_400 + HOP  # the class may place an onset up to 400 ms back and is asked once per hop


@pytest.fixture(scope="module")
def loud(models: Path) -> Fsmn:
    """A detector that takes loud for speech, with exactly saturated posteriors."""
    engine = Fsmn(models / "vad", "cpu", "torch")
    engine.network = ByLoudness()
    return engine


class ByLoudness:
    """In place of the network."""

    def __call__(self, features: Any, past: Any) -> tuple[Any, Any]:
        quiet = (features.mean(axis=-1) < 0).astype(np.float32)
        return np.stack((quiet, 1 - quiet), axis=-1), past

    def fetched(self, result: Any) -> Any:
        return result


def sound(*parts: float) -> Samples:
    """Seconds of silence, speech, silence, … in turn."""
    rng = np.random.default_rng(1)
    pieces = [
        rng.integers(-9_000, 9_000, round(seconds * RATE)) if i % 2 else np.zeros(round(seconds * RATE))
        for i, seconds in enumerate(parts)
    ]
    return np.concatenate(pieces).astype(np.int16)


def feed(engine: Fsmn, samples: Samples, hops: Iterable[int] = (), **options: Any) -> list[Edge]:
    return bounds(heard(engine, samples, hops, **options))


def bounds(edges: Iterable[Edge]) -> list[Edge]:
    """Only what begins and ends speech."""
    return [edge for edge in edges if edge.kind in ("onset", "endpoint")]


def heard(
    engine: Fsmn,
    samples: Samples,
    hops: Iterable[int] = (),
    *,
    offset: int = 0,
    end_silence: int = WAIT,
    state: VadState | None = None,
) -> list[Edge]:
    """The whole recording with a flush at its end; ``hops`` are the sizes of the first jobs."""
    state, edges, at, first = state or engine.open(), [], 0, True
    for size in hops:
        piece = samples[at : at + size * HOP]
        piece = piece[: len(piece) // HOP * HOP]
        edges += engine.detect([(state, Detect(piece, offset + at, first, False, end_silence, HOP))])[0]
        at, first = at + len(piece), False
    edges += engine.detect([(state, Detect(samples[at:], offset + at, first, True, end_silence, HOP))])[0]
    return edges


def times(edges: list[Edge]) -> list[tuple[str, float]]:
    return [(edge.kind, round(edge.at / RATE, 2)) for edge in edges]


def test_finds_two_stretches_and_says_when_it_knew(loud: Fsmn) -> None:
    edges = feed(loud, sound(1, 2, 1.5, 1, 1.5))
    onset, endpoint, onset2, endpoint2 = edges
    assert [e.kind for e in edges] == ["onset", "endpoint"] * 2
    assert RATE - WINDOW <= onset.at < RATE
    assert 3 * RATE <= endpoint.at <= 3.2 * RATE  # with the class's 100 ms of look-ahead
    assert 4.5 * RATE - WINDOW <= onset2.at < 4.5 * RATE
    assert 5.5 * RATE <= endpoint2.at <= 5.7 * RATE
    assert endpoint.decided - 3 * RATE <= WAIT + 2 * HOP
    for edge in edges:
        assert edge.at <= edge.decided and edge.decided % HOP == 0


@pytest.mark.parametrize("sizes", [[1] * 200, [2] * 100, [7, 1, 1, 13, 2], [50]])
def test_edges_do_not_depend_on_hops_per_job(loud: Fsmn, sizes: list[int]) -> None:
    samples = sound(0.63, 1.71, 1.2, 0.9, 0.1, 0.4, 2.003)
    found, whole = heard(loud, samples, sizes), heard(loud, samples)
    assert found == whole
    assert [edge.certainty for edge in found] == [edge.certainty for edge in whole] == [1.0] * len(whole)


def test_offset_moves_edges_and_nothing_else(loud: Fsmn) -> None:
    samples = sound(0.5, 1, 1.5)
    moved = heard(loud, samples, offset=123_457)
    assert moved == [Edge(e.kind, e.at + 123_457, e.decided + 123_457) for e in heard(loud, samples)]


@pytest.mark.parametrize("extra", [0, 1, 79, 159, 160, 399, 400, 1_600, 3_199])
def test_flush_ends_open_speech_exactly_at_the_end(loud: Fsmn, extra: int) -> None:
    samples = sound(1, 1 + extra / RATE)
    edges = feed(loud, samples)
    assert [e.kind for e in edges] == ["onset", "endpoint"]
    assert edges[-1] == Edge("endpoint", len(samples), len(samples))


@pytest.mark.parametrize("extra", [0, 1, 399, 400, 3_199])
def test_flush_in_an_own_job(loud: Fsmn, extra: int) -> None:
    samples = sound(1, 1, extra / RATE)
    edges = feed(loud, samples, [10])
    assert edges == feed(loud, samples)
    assert edges[-1].at == len(samples)


@pytest.mark.parametrize("frames", range(12, 24))
def test_speech_that_begins_in_the_last_frames_is_closed_too(loud: Fsmn, frames: int) -> None:
    edges = feed(loud, sound(1, frames * 0.01))
    assert [e.kind for e in edges] in ([], ["onset", "endpoint"])
    assert all(e.at <= e.decided for e in edges)


def test_edges_are_in_order_whatever_is_decided(loud: Fsmn, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[("onset", 9_000)], [("endpoint", 10)], [], [("onset", 0)]])
    monkeypatch.setattr(Endpointer, "hear", lambda *_: next(answers))
    edges = feed(loud, sound(0.6), [1, 1, 1], offset=100)
    assert [(e.at, e.decided) for e in edges] == [
        (3_300, 3_300),
        (3_300, 6_500),
        (3_300, 9_700),
        (9_700, 9_700),
    ]


def test_a_pause_is_known_long_before_the_endpoint_that_lies_there(loud: Fsmn) -> None:
    _, pause, resume, last_pause, endpoint = edges = heard(loud, sound(0.4, 1, 0.5, 1, 1.2))
    assert [e.kind for e in edges] == ["onset", "pause", "resume", "pause", "endpoint"]
    assert 1.4 * RATE <= pause.at <= 1.7 * RATE and pause.decided - pause.at <= HOP
    assert 1.9 * RATE <= resume.decided <= 2.3 * RATE
    assert last_pause.at == endpoint.at and endpoint.decided - last_pause.decided >= RATE // 4


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.tuples(st.floats(0.02, 1.5), st.floats(0.02, 1.5)), min_size=1, max_size=5))
@pytest.mark.parametrize("wait", [3_200, 6_400, 12_800])
def test_pauses_and_resumptions_alternate_and_the_endpoint_lies_at_the_pause(
    loud: Fsmn, wait: int, parts: list[tuple[float, float]]
) -> None:
    pause = None
    for edge in heard(loud, sound(*(s for pair in parts for s in pair), 2.0), end_silence=wait):
        match edge.kind:
            case "pause":
                assert pause is None
                pause = edge.at
            case "resume":
                assert pause is not None
                pause = None
            case "endpoint":
                assert pause in (None, edge.at)
                pause = None
            case "onset":
                assert pause is None


def test_short_click_is_no_speech(loud: Fsmn) -> None:
    assert feed(loud, sound(1, 0.08, 2)) == []


def test_interleaved_streams_keep_their_own_end_silence(loud: Fsmn) -> None:
    """The stock class keeps the option in the shared model: the second stream would change the first."""
    samples, waits = sound(0.4, 1, 0.5, 1, 1.2, 1, 1.1), (4_800, 12_800, 16_000)
    alone = [heard(loud, samples, end_silence=wait) for wait in waits]
    assert [len(bounds(edges)) for edges in alone] == [6, 4, 4]
    assert alone[1] != alone[2]
    states, together = [loud.open() for _ in waits], [[] for _ in waits]
    for at in range(0, len(samples), HOP):
        piece, last = samples[at : at + HOP], at + HOP >= len(samples)
        jobs = [Detect(piece, at, at == 0, last, wait, HOP) for wait in waits]
        for edges, found in zip(together, loud.detect(list(zip(states, jobs, strict=True))), strict=True):
            edges += found
    assert together == alone


def test_end_silence_may_change_within_a_stream(loud: Fsmn) -> None:
    samples, state = sound(0.4, 1, 0.45, 1, 0.45, 0.6), loud.open()
    half = 12 * HOP
    edges = list(loud.detect([(state, Detect(samples[:half], 0, True, False, 12_800, HOP))])[0])
    edges += loud.detect([(state, Detect(samples[half:], half, False, True, 4_800, HOP))])[0]
    edges = bounds(edges)
    assert [e.kind for e in edges] == ["onset", "endpoint"] * 2  # the first pause was bridged, the second not
    assert 2.85 * RATE <= edges[1].at <= 3.05 * RATE


def test_a_long_segment_ends_at_shorter_pauses(loud: Fsmn) -> None:
    """Pauses of 0.5 s: bridged before 15 s, an end after it. Of 0.12 s: an end from 25 s on."""
    assert len(feed(loud, sound(0.4, 13, 0.5, 0.9))) == 2
    edges = feed(loud, sound(0.4, 13, 0.5, 2, 0.5, 1))
    assert len(edges) == 4
    assert 15.9 * RATE <= edges[1].at <= 16.1 * RATE
    assert len(feed(loud, sound(0.4, 20, 0.12, 2))) == 2
    edges = feed(loud, sound(0.4, 20, 0.12, 5, 0.12, 1))
    assert len(edges) == 4
    assert 25.52 * RATE <= edges[1].at <= 25.75 * RATE


def test_a_segment_is_long_by_what_it_may_grow_to(loud: Fsmn) -> None:
    """Pauses of 0.5 s end a segment from half of the longest on."""
    samples = sound(0.4, 6, 0.5, 2, 1.5)
    jobs = [Detect(samples, 0, True, True, WAIT, HOP, longest) for longest in (10 * RATE, 20 * RATE)]
    short, long = (bounds(loud.detect([(loud.open(), job)])[0]) for job in jobs)
    assert (len(short), len(long)) == (4, 2)


def test_speech_without_a_pause_is_never_cut_here(loud: Fsmn) -> None:
    """The stock class cuts at 60 s; where to cut is the session's matter."""
    edges = feed(loud, sound(0.4, 65, 1.2))
    assert [e.kind for e in edges] == ["onset", "endpoint"]
    assert edges[1].at >= 65.4 * RATE


def test_digital_silence_and_full_scale_are_safe_with_saturated_scores(loud: Fsmn) -> None:
    assert feed(loud, sound(3)) == []
    assert times(feed(loud, np.full(RATE, 32_767, np.int16) * np.tile([1, -1], RATE // 2)))[-1] == (
        "endpoint",
        1,
    )


def test_scores_are_those_of_the_stock_class(vad: Fsmn, stock: Callable[[str], Any]) -> None:
    """Hop by hop, for streams that share every hop."""
    encoder = stock("vad").model.encoder
    sounds = np.random.default_rng(3).normal(0, 2, (3, 40, 400)).astype(np.float32)
    past, caches = np.stack([np.zeros(vad._past, np.float32)] * 3, axis=1), [{}, {}, {}]
    with torch.inference_mode():
        for at in range(0, 40, 8):
            hop = sounds[:, at : at + 8]
            scores, past = map(vad.network.fetched, vad.network(hop, past))
            for row, cache in enumerate(caches):
                theirs = encoder(torch.from_numpy(hop[row : row + 1].copy()), cache=cache)
                assert np.abs(scores[row] - theirs[0].numpy()).max() <= 1e-5


def weight(thing: Any, seen: set[int] | None = None) -> int:
    """Numbers and objects reachable from ``thing``: what an hour of audio must not let grow."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    match thing:
        case np.ndarray():
            return thing.size if thing.base is None else weight(thing.base, seen)
        case Features() | Endpointer() | _Window():
            names = thing.__slots__ if hasattr(thing, "__slots__") else vars(thing)
            return sum(weight(getattr(thing, name), seen) for name in names)
        case deque():
            return len(thing)
        case dict():
            return sum(1 + weight(v, seen) for v in thing.values())
        case list() | tuple() | set():
            return sum(1 + weight(v, seen) for v in thing)
        case VadState():
            return sum(weight(getattr(thing, name), seen) for name in VadState.__slots__)
        case _ if hasattr(thing, "__dict__"):
            return 1 + weight(vars(thing), seen)
        case _:
            return 1


@pytest.mark.parametrize("parts", [(60.0,), (0.4, 60.0), (0.5, 0.7, 1.0, 0.7) * 16], ids=["silence", "speech", "turns"])
def test_state_is_bounded(loud: Fsmn, parts: tuple[float, ...]) -> None:
    samples, state, weights = sound(*parts), loud.open(), []
    for at in range(0, len(samples) // HOP * HOP, HOP):
        loud.detect([(state, Detect(samples[at : at + HOP], at, at == 0, False, WAIT, HOP))])
        weights.append(weight(state))
    early, late = max(weights[10:60]), max(weights[-50:])
    assert late <= early


def test_state_after_a_flush_is_closed_and_can_begin_again(loud: Fsmn) -> None:
    state, samples = loud.open(), sound(0.5, 1)
    first = feed(loud, samples, state=state)
    with pytest.raises(EngineError):
        loud.detect([(state, Detect(samples[:HOP], len(samples), False, False, WAIT, HOP))])
    assert feed(loud, samples, state=state) == first


def test_jobs_must_continue_their_stream_in_whole_hops(loud: Fsmn) -> None:
    state = loud.open()
    with pytest.raises(EngineError, match="continue"):
        loud.detect([(state, Detect(sound(0.2), 0, False, False, WAIT, HOP))])
    loud.detect([(state, Detect(sound(0.2), 0, True, False, WAIT, HOP))])
    with pytest.raises(EngineError, match="continue"):
        loud.detect([(state, Detect(sound(0.2), 2 * HOP, False, False, WAIT, HOP))])
    with pytest.raises(EngineError, match="part of a hop"):
        loud.detect([(state, Detect(sound(0.3), HOP, False, False, WAIT, HOP))])


def test_agrees_with_the_stock_call(vad: Fsmn, stock: Callable[[str], Any], speech: Samples) -> None:
    """Same model, same hops, fixed end silence: the edges of the class's own streaming call."""
    auto = stock("vad")
    quiet = np.zeros(2 * RATE, np.int16)
    samples = np.concatenate([quiet, speech, quiet, speech[:40_000], quiet])
    samples = samples[: len(samples) // HOP * HOP]
    cache: dict[str, Any] = {}
    theirs = []
    for at in range(0, len(samples), HOP):
        answer, _ = auto.model.inference(
            [torch.from_numpy(samples[at : at + HOP] / np.float32(32_768))],
            key=["stock"],
            frontend=auto.kwargs["frontend"],
            cache=cache,
            device="cpu",
            chunk_size=200,
            is_final=False,
            max_end_silence_time=800,
        )
        theirs += [(kind, ms * 16) for pair in answer[0]["value"] for kind, ms in zip("be", pair, strict=True)]
    edges = [(e.kind[0].replace("o", "b"), e.at) for e in feed(vad, samples)]
    assert len(edges) == 4
    assert edges == [(kind, at) for kind, at in theirs if at >= 0]


def test_streams_that_come_and_go_share_hops_and_stay_themselves(vad: Fsmn, speech: Samples) -> None:
    quiet = np.zeros(RATE, np.int16)
    recordings = [
        np.concatenate([quiet, speech[start:], quiet, quiet])[: length // HOP * HOP + rest]
        for start, length, rest in [(0, 99_000, 0), (20_000, 70_000, 1_000), (40_000, 80_000, 399), (0, 60_000, 3_199)]
    ]
    alone = [heard(vad, recording) for recording in recordings]
    assert sum(map(len, alone)) >= 6
    states, together = [vad.open() for _ in recordings], [list[Edge]() for _ in recordings]
    for now in range(60):
        items = []
        for row, recording in enumerate(recordings):
            at = (now - 3 * row) * HOP  # each begins 0.6 s after the one before
            if 0 <= at <= len(recording):
                piece = recording[at : at + HOP]
                items.append((row, Detect(piece, at, at == 0, len(piece) < HOP, WAIT, HOP)))
        rows = [row for row, _ in items]
        for row, edges in zip(rows, vad.detect([(states[row], job) for row, job in items]), strict=True):
            together[row] += edges
    assert together == alone


def test_real_speech_is_found(vad: Fsmn, speech: Samples) -> None:
    quiet = np.zeros(RATE, np.int16)
    onset, endpoint = feed(vad, np.concatenate([quiet, speech, quiet]))
    assert RATE - WINDOW <= onset.at <= 1.2 * RATE
    assert RATE + len(speech) - 0.5 * RATE <= endpoint.at <= RATE + len(speech) + 0.4 * RATE
