"""The scores behind the engines' texts, for tests that compare two ways to compute them."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from xingji.core.messages import Transcribe
from xingji.core.types import Samples
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.paraformer_step import Chunk, Memory
from xingji.engines.sensevoice import SenseVoice

CHUNK = 9_600
FRAMES = CHUNK // 960
Array = NDArray[np.float32]
Feats = list[tuple[Array, bool]]


def features(engine: StreamingParaformer, samples: Samples) -> Feats:
    """What the front end gives for each chunk, and whether it is the last."""
    walk = engine.front_end.open()
    pieces = [samples[at : at + CHUNK] for at in range(0, len(samples), CHUNK)]
    return [(walk.push(piece, piece is pieces[-1]), piece is pieces[-1]) for piece in pieces]


def run(engine: StreamingParaformer, parts: list[Feats], starts: list[int]) -> list[list[Array]]:
    """Every part begins at its step; all that are running share each step."""
    memories: list[Memory] = [engine.stepper.open(FRAMES) for _ in parts]
    answers: list[list[Array]] = [[] for _ in parts]
    for now in range(max(start + len(part) for start, part in zip(starts, parts, strict=True))):
        live = [row for row, part in enumerate(parts) if starts[row] <= now < starts[row] + len(part)]
        if live:
            chunks = [Chunk(memories[row], *parts[row][now - starts[row]]) for row in live]
            for row, (memory, scores) in zip(live, engine.stepper.step(chunks), strict=True):
                memories[row] = memory
                answers[row].append(scores)
    return answers


def assert_same(ours: Array, theirs: Array) -> None:
    assert ours.shape == theirs.shape
    assert np.array_equal(ours.argmax(-1), theirs.argmax(-1))
    if len(ours):
        assert float(np.abs(ours - theirs).max()) <= 1e-4


def log_softmax(logits: Array) -> Array:
    apart = logits - logits.max(axis=-1, keepdims=True)
    scores: Array = apart - np.log(np.exp(apart).sum(axis=-1, keepdims=True))
    return scores


def segment_scores(engine: SenseVoice, sounds: list[Samples], monkeypatch: pytest.MonkeyPatch) -> Array:
    """Log-probabilities of a batch, padding included. All must go through the network in one call."""
    kept: list[Any] = []
    spy = Spied(engine.network, kept)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "network", spy)
        engine.transcribe([Transcribe(1, sound, "auto", True) for sound in sounds])
    (answer,) = kept
    encoded, best, sure = map(engine.network.fetched, answer)
    logits = engine.head.fetched(engine.head(encoded.reshape(-1, encoded.shape[2])))
    scores = log_softmax(logits.reshape(*best.shape, -1))
    assert np.array_equal(best, scores.argmax(axis=-1))
    assert np.allclose(sure, scores.max(axis=-1), atol=1e-4)
    return scores


class Spied:
    """A network that remembers its results."""

    def __init__(self, network: Any, kept: list[Any]) -> None:
        self._network, self._kept = network, kept

    def __call__(self, *inputs: Any) -> Any:
        self._kept.append(self._network(*inputs))
        return self._kept[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)
