"""Write the graphs of the recognisers beside their weights, and say what int8 changes in what they read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xingji.core.messages import Decode, NoSpeech, Transcribe
from xingji.core.scoring import cer
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines import graphs
from xingji.engines.graphs import Axes, Graphs, Precision
from xingji.engines.loading import Loaded
from xingji.engines.networks import SegmentNetwork, StreamDecoder, StreamEncoder
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.paraformer_step import LookBack, Stepper
from xingji.engines.sensevoice import SenseVoice

_CHUNK = SAMPLE_RATE * 6 // 10

_SEGMENT: Axes = {
    "features": {0: "rows", 1: "frames"},
    "prompt": {0: "rows"},
    "lengths": {0: "rows"},
    "logits": {0: "rows", 1: "frames_and_prompt"},
}
_ENCODER: Axes = {
    "x": {0: "rows", 1: "frames"},
    "past": {2: "rows", 4: "past"},
    "bias": {0: "rows", 3: "past_and_frames"},
    "inside": {0: "rows", 1: "frames"},
    "encoded": {0: "rows", 1: "frames"},
    "weights": {0: "rows", 1: "frames"},
    "new": {2: "rows", 4: "frames"},
}
_DECODER: Axes = {
    "encoded": {0: "rows", 1: "frames"},
    "embedding": {0: "rows", 1: "tokens"},
    "spoken": {1: "rows"},
    "past": {2: "rows", 4: "past"},
    "bias": {0: "rows", 3: "past_and_frames"},
    "scores": {0: "rows", 1: "tokens"},
    "said": {1: "rows", 3: "said"},
    "new": {2: "rows", 4: "frames"},
}


def optimise(part: str, path: Path, precision: Precision) -> Graphs:
    """Export the recogniser in ``path`` (``part``: sensevoice or paraformer). Raises EngineError, OSError."""
    engine = _PARTS[part](path, "cpu", None)
    fill = _segment if part == "sensevoice" else _stream
    return graphs.write(engine.loaded.weights, precision, lambda folder: fill(engine.loaded, folder, precision))


def difference(part: str, path: Path, precision: Precision, clips: Sequence[Samples]) -> float:
    """The character error rate of what the graphs read against what torch reads, over all ``clips``."""
    with_graphs, with_torch = (_PARTS[part](path, "cpu", how) for how in (precision, None))
    return cer((_read(with_torch, clip), _read(with_graphs, clip)) for clip in clips)


_PARTS: dict[str, Any] = {"sensevoice": SenseVoice, "paraformer": StreamingParaformer}


def _segment(loaded: Loaded, folder: Path, precision: Precision) -> None:
    features = torch.zeros(2, 30, loaded.model.encoder.encoders0[0].in_size)
    example = features, torch.tensor([[0, 1, 2, 14]] * 2), torch.tensor([30, 20])
    graphs.export(SegmentNetwork(loaded.model), example, _SEGMENT, 1, folder / "segment.onnx", precision)


def _stream(loaded: Loaded, folder: Path, precision: Precision) -> None:
    model, rows, frames, tokens = loaded.model, 2, 15, 3
    stepper = Stepper(model, StreamEncoder(model), StreamDecoder(model), "cpu")
    memory = stepper.open(10)
    width = model.encoder.output_size()

    def looking_back(memory: LookBack) -> tuple[torch.Tensor, torch.Tensor]:
        past = torch.stack([memory.frames] * rows, dim=2)
        return past, torch.zeros(rows, 1, 1, past.shape[4] + frames)

    x = torch.zeros(rows, frames, memory.waiting.shape[1])
    encoder = x, *looking_back(memory.encoder), torch.ones(rows, frames, 1)
    graphs.export(StreamEncoder(model), encoder, _ENCODER, 3, folder / "encoder.onnx", precision)
    encoded, embedding = torch.zeros(rows, frames, width), torch.zeros(rows, tokens, width)
    decoder = encoded, embedding, torch.stack([memory.spoken] * rows, dim=1), *looking_back(memory.decoder)
    graphs.export(StreamDecoder(model), decoder, _DECODER, 3, folder / "decoder.onnx", precision)


def _read(engine: SenseVoice | StreamingParaformer, clip: Samples) -> str:
    if isinstance(engine, SenseVoice):
        heard = engine.transcribe([Transcribe(0, clip, "auto", False)])[0]
        return "" if isinstance(heard, NoSpeech) else heard.text
    return engine.decode([(engine.open(), Decode(0, clip, 0, True, _CHUNK, False))])[0]
