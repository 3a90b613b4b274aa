"""Write the graphs of a model beside its weights, and say what they change in what it reads."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference
from torch import Tensor, nn

from xingji.core.messages import Decode, NoSpeech, Transcribe
from xingji.core.scoring import cer
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines import graphs, stock
from xingji.engines.directory import read
from xingji.engines.graphs import Graphs, Precision
from xingji.engines.loading import parameters
from xingji.engines.networks import NETWORKS, TABLES
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.quantise import quantise
from xingji.engines.sensevoice import SenseVoice

_OPSET = 17
_CHUNK = SAMPLE_RATE * 6 // 10
_ROWS, _FRAMES, _PAST, _TOKENS, _WORDS = 2, 15, 40, 3, 6  # of the example; all of them vary


@dataclass(frozen=True, slots=True)
class _Signature:
    """One call of a network, and which axes of what goes in and comes out vary, with a name for the length of each."""

    inputs: Mapping[str, Tensor]
    varying: Mapping[str, Mapping[int, str]]
    outputs: tuple[str, ...]


def export(part: str, path: Path, precision: Precision) -> Graphs:
    """Export the model in ``path`` (``part``: a key of ``KINDS``). Raises EngineError, OSError."""
    directory = read(path, KINDS[part])
    (precision,) = graphs.precisions(directory.kind, precision)
    model = stock.load(directory, "cpu")

    def fill(folder: Path) -> None:
        for name, network in NETWORKS[directory.kind].items():
            _write(network(model), _SIGNATURES[name](model), folder / f"{name}.onnx", precision)
        for name, table in TABLES.get(directory.kind, {}).items():
            np.save(folder / f"{name}.npy", table(model).detach().numpy())

    return graphs.write(directory.weights, precision, parameters(model), fill)


def difference(part: str, path: Path, precision: Precision, clips: Sequence[Samples]) -> float:
    """The character error rate of what the graphs of a recogniser read against what torch reads, over ``clips``."""
    engine, read_clip = READERS[part]
    with_graphs, with_torch = engine(path, "cpu", precision), engine(path, "cpu", "torch")
    return cer((read_clip(with_torch, clip), read_clip(with_graphs, clip)) for clip in clips)


def _detector(model: Any) -> _Signature:
    block = model.encoder.fsmn[0]
    past = len(model.encoder.fsmn), _ROWS, block.fsmn_block.dim, (block.lorder - 1) * block.lstride
    return _Signature(
        {"features": torch.zeros(_ROWS, _FRAMES, model.encoder.input_dim), "past": torch.zeros(past)},
        {
            "features": {0: "rows", 1: "frames"},
            "past": {1: "rows"},
            "scores": {0: "rows", 1: "frames"},
            "next": {1: "rows"},
        },
        ("scores", "next"),
    )


def _punctuation(model: Any) -> _Signature:
    return _Signature(
        {"words": torch.zeros(_ROWS, _WORDS, model.embed.embedding_dim), "lengths": torch.tensor([_WORDS, _TOKENS])},
        {"words": {0: "rows", 1: "words"}, "lengths": {0: "rows"}, "scores": {0: "rows", 1: "words"}},
        ("scores",),
    )


def _segment(model: Any) -> _Signature:
    features = torch.zeros(_ROWS, 2 * _FRAMES, model.encoder.encoders0[0].in_size)
    lengths = torch.tensor([2 * _FRAMES, _FRAMES])
    return _Signature(
        {"features": features, "prompt": torch.tensor([[0, 1, 2, 14]] * _ROWS), "lengths": lengths},
        {
            **{"features": {0: "rows", 1: "frames"}, "prompt": {0: "rows"}, "lengths": {0: "rows"}},
            **{name: {0: "rows", 1: "frames_and_prompt"} for name in ("encoded", "best", "sure")},
        },
        ("encoded", "best", "sure"),
    )


def _head(model: Any) -> _Signature:
    encoded = torch.zeros(_FRAMES, model.ctc.ctc_lo.in_features)
    return _Signature({"encoded": encoded}, {"encoded": {0: "frames"}, "logits": {0: "frames"}}, ("logits",))


def _encoder(model: Any) -> _Signature:
    layers = [*model.encoder.encoders0, *model.encoder.encoders]
    past, varying = _looked_back_on(len(layers), layers[0].self_attn)
    x = torch.zeros(_ROWS, _FRAMES, layers[0].in_size)
    return _Signature(
        {"x": x, "bias": _bias(), "inside": torch.ones(_ROWS, _FRAMES, 1), **past},
        {
            **{"x": {0: "rows", 1: "frames"}, "bias": _BIAS, "inside": {0: "rows", 1: "frames"}, **varying},
            **{"encoded": {0: "rows", 1: "frames"}, "weights": {0: "rows", 1: "frames"}, "new": _NEW},
        },
        ("encoded", "weights", "new"),
    )


def _decoder(model: Any) -> _Signature:
    layers, width = model.decoder.decoders, model.encoder.output_size()
    past, varying = _looked_back_on(len(layers), layers[0].src_attn)
    encoded, embedding = torch.zeros(_ROWS, _FRAMES, width), torch.zeros(_ROWS, _TOKENS, width)
    spoken = torch.zeros(len(layers), _ROWS, layers[0].self_attn.kernel_size - 1, width)
    return _Signature(
        {"encoded": encoded, "embedding": embedding, "spoken": spoken, "bias": _bias(), **past},
        {
            **{"encoded": {0: "rows", 1: "frames"}, "embedding": {0: "rows", 1: "tokens"}, "spoken": {1: "rows"}},
            **{"bias": _BIAS, **varying},
            **{"scores": {0: "rows", 1: "tokens"}, "said": {1: "rows", 2: "said"}, "new": _NEW},
        },
        ("scores", "said", "new"),
    )


_KEPT = "past."  # keys and values; between calls an int8 graph has them in half the bits, which its own rounding hides
_BIAS = {0: "rows", 3: "past_and_frames"}
_NEW = {1: "rows", 3: "frames"}


def _bias() -> Tensor:
    return torch.zeros(_ROWS, 1, 1, _PAST + _FRAMES)


def _looked_back_on(layers: int, block: Any) -> tuple[dict[str, Tensor], dict[str, dict[int, str]]]:
    names = [f"{_KEPT}{number}" for number in range(2 * layers)]
    return {name: torch.zeros(_ROWS, block.h, _PAST, block.d_k) for name in names}, {
        name: {0: "rows", 2: "past"} for name in names
    }


_SIGNATURES: Mapping[str, Callable[[Any], _Signature]] = {
    "detector": _detector,
    "punctuation": _punctuation,
    "segment": _segment,
    "head": _head,
    "encoder": _encoder,
    "decoder": _decoder,
}


def _write(network: nn.Module, call: _Signature, path: Path, precision: Precision) -> None:
    """Write ``network`` to ``path``."""
    inputs = {
        name: x.half() if precision == "int8" and name.startswith(_KEPT) else x for name, x in call.inputs.items()
    }
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing, and of a newer exporter that needs more packages
        torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(call.outputs),
            dynamic_axes={name: dict(axes) for name, axes in call.varying.items()},
            opset_version=_OPSET,
            dynamo=False,
        )
    # Where two shapes are known to be the same, the runtime keeps one memory for both.
    model = SymbolicShapeInference.infer_shapes(onnx.load(path), auto_merge=True)
    onnx.save(quantise(model) if precision == "int8" else model, path)


def _read_segment(engine: SenseVoice, clip: Samples) -> str:
    heard = engine.transcribe([Transcribe(0, clip, "auto", False)])[0]
    return "" if isinstance(heard, NoSpeech) else heard.text


def _read_stream(engine: StreamingParaformer, clip: Samples) -> str:
    return engine.decode([(engine.open(), Decode(0, clip, 0, True, _CHUNK, False))])[0]


KINDS = {
    "vad": "FsmnVADStreaming",
    "paraformer": "ParaformerStreaming",
    "punc": "CTTransformerStreaming",
    "sensevoice": "SenseVoiceSmall",
}
"""The models that can be exported, by the names of their directories: the class of each."""

READERS: Mapping[str, tuple[Callable[..., Any], Callable[[Any, Samples], str]]] = {
    "paraformer": (StreamingParaformer, _read_stream),
    "sensevoice": (SenseVoice, _read_segment),
}
"""The recognisers among them, and how one reads a clip."""
