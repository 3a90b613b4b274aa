"""The scores behind the engines' texts, for tests that compare two ways to compute them."""

from typing import Any

import pytest
import torch

from xingji.core.messages import Transcribe
from xingji.core.types import Samples
from xingji.engines.loading import running, waveform
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.paraformer_step import Chunk, Memory
from xingji.engines.sensevoice import SenseVoice

CHUNK = 9_600
FRAMES = CHUNK // 960
Feats = list[tuple[torch.Tensor, bool]]


def features(engine: StreamingParaformer, samples: Samples) -> Feats:
    """What the stock front end gives for each chunk, and whether it is the last."""
    memory: dict[str, Any] = {}
    pieces = [samples[at : at + CHUNK] for at in range(0, len(samples), CHUNK)]
    rows = []
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        feats, _ = engine.loaded.frontend(waveform(piece), [len(piece)], cache=memory, is_final=last)
        rows.append((feats[0].clone(), last))
    return rows


def run(engine: StreamingParaformer, parts: list[Feats], starts: list[int]) -> list[list[torch.Tensor]]:
    """Every part begins at its step; all that are running share each step."""
    memories: list[Memory] = [engine._network.open(FRAMES) for _ in parts]
    answers: list[list[torch.Tensor]] = [[] for _ in parts]
    for now in range(max(start + len(part) for start, part in zip(starts, parts, strict=True))):
        live = [row for row, part in enumerate(parts) if starts[row] <= now < starts[row] + len(part)]
        if live:
            chunks = [Chunk(memories[row], *parts[row][now - starts[row]]) for row in live]
            with running():
                for row, (memory, scores) in zip(live, engine._network.step(chunks), strict=True):
                    memories[row] = memory
                    answers[row].append(scores)
    return answers


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))
    if len(ours):
        assert float((ours - theirs).abs().max()) <= 1e-4


def segment_scores(engine: SenseVoice, sounds: list[Samples], monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Log-probabilities of a batch, padding included. All must go through the network in one call."""
    network, kept = engine._network, []
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_network", lambda *given: kept.append(network(*given)) or kept[-1])
        engine.transcribe([Transcribe(1, sound, "auto", True) for sound in sounds])
    (answer,) = kept
    return torch.log_softmax(answer, dim=-1)
