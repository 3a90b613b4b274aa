"""Write the graphs of a recogniser beside its weights, and say what they change in what it reads."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import Tensor, nn

from xingji.core.messages import Decode, NoSpeech, Transcribe
from xingji.core.scoring import cer
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines import graphs
from xingji.engines.graphs import Graphs, Precision
from xingji.engines.loading import Loaded
from xingji.engines.networks import SegmentNetwork, StreamDecoder, StreamEncoder
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.paraformer_step import LookBack, Stepper
from xingji.engines.quantise import quantise
from xingji.engines.sensevoice import SenseVoice

Axes = Mapping[str, Mapping[int, str]]
"""For every input, then every output, which of its axes vary, and a name for the length of each."""

_OPSET = 17
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


def export(part: str, path: Path, precision: Precision) -> Graphs:
    """Export the recogniser in ``path`` (``part``: one of ``PARTS``). Raises EngineError, OSError."""
    load, fill, _ = PARTS[part]
    loaded = load(path, "cpu", None).loaded
    return graphs.write(loaded.weights, precision, lambda folder: fill(loaded, folder, precision))


def difference(part: str, path: Path, precision: Precision, clips: Sequence[Samples]) -> float:
    """The character error rate of what the graphs read against what torch reads, over all ``clips``."""
    load, _, read = PARTS[part]
    with_graphs, with_torch = load(path, "cpu", precision), load(path, "cpu", None)
    return cer((read(with_torch, clip), read(with_graphs, clip)) for clip in clips)


def _segment(loaded: Loaded, folder: Path, precision: Precision) -> None:
    features = torch.zeros(2, 30, loaded.model.encoder.encoders0[0].in_size)
    example = features, torch.tensor([[0, 1, 2, 14]] * 2), torch.tensor([30, 20])
    _write(SegmentNetwork(loaded.model), example, _SEGMENT, folder / "segment.onnx", precision)


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
    _write(StreamEncoder(model), encoder, _ENCODER, folder / "encoder.onnx", precision)
    encoded, embedding = torch.zeros(rows, frames, width), torch.zeros(rows, tokens, width)
    decoder = encoded, embedding, torch.stack([memory.spoken] * rows, dim=1), *looking_back(memory.decoder)
    _write(StreamDecoder(model), decoder, _DECODER, folder / "decoder.onnx", precision)


def _write(network: nn.Module, example: Sequence[Tensor], axes: Axes, path: Path, precision: Precision) -> None:
    """Write ``network`` to ``path``; ``example`` is one call's input."""
    names, inputs = list(axes), len(example)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing, and of a newer exporter that needs more packages
        torch.onnx.export(
            network.eval(),
            tuple(example),
            str(path),
            input_names=names[:inputs],
            output_names=names[inputs:],
            dynamic_axes={name: dict(varying) for name, varying in axes.items()},
            opset_version=_OPSET,
            dynamo=False,
        )
    if precision == "int8":
        onnx.save(quantise(onnx.load(path)), path)


def _read_segment(engine: SenseVoice, clip: Samples) -> str:
    heard = engine.transcribe([Transcribe(0, clip, "auto", False)])[0]
    return "" if isinstance(heard, NoSpeech) else heard.text


def _read_stream(engine: StreamingParaformer, clip: Samples) -> str:
    return engine.decode([(engine.open(), Decode(0, clip, 0, True, _CHUNK, False))])[0]


class _Part(NamedTuple):
    load: Callable[..., Any]
    fill: Callable[[Loaded, Path, Precision], None]
    read: Callable[[Any, Samples], str]


PARTS = {
    "paraformer": _Part(StreamingParaformer, _stream, _read_stream),
    "sensevoice": _Part(SenseVoice, _segment, _read_segment),
}
"""The recognisers that can be exported, by the names of their directories."""
