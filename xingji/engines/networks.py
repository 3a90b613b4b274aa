"""The networks as they run here: whole batches, ragged rows, what is looked back on as tensors that go in and come out.

Each is a module over the layers of a loaded stock class and shares their weights; what it computes is what the
stock class computes, within 1e-4 of its log-probabilities (float32). The same module runs in torch and is
what is exported to ONNX, so there is one forward pass to read. funasr's own forward passes take one stream a
call, branch on Python values and mend their caches in place, so they can be neither batched nor exported.

Shapes: B rows, T frames, F features of one, K frames of look-back, L layers, M tokens, H heads of D, W model width,
V vocabulary. Everything is float32 unless said.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Detector(nn.Module):
    """FSMN-VAD: frames to posteriors of what they hold."""

    def __init__(self, model: Any) -> None:
        """``model`` is a ``FsmnVADStreaming``."""
        super().__init__()
        self.encoder = model.encoder

    def forward(self, features: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """``features`` (B, T, F); ``past`` (L, B, C, P), the last P inputs of each layer's convolution.

        Returns posteriors (B, T, V) and the ``past`` of the frames that follow.
        """
        net, kept = self.encoder, []
        x = net.relu(net.in_linear2(net.in_linear1(features)))
        for number, layer in enumerate(net.fsmn):
            x = layer.linear(x)
            inputs = torch.cat((past[number], x.transpose(1, 2)), dim=2)
            kept.append(inputs[:, :, -past.shape[3] :])
            block = layer.fsmn_block
            x = x + block.conv_left(inputs.unsqueeze(3)).squeeze(3).transpose(1, 2)
            x = layer.relu(layer.affine(x))
        x = net.out_linear2(net.out_linear1(x))
        return torch.softmax(x, dim=-1), torch.stack(kept)


class Punctuation(nn.Module):
    """CT-Transformer: words to scores of the mark behind each."""

    def __init__(self, model: Any) -> None:
        """``model`` is a ``CTTransformerStreaming``."""
        super().__init__()
        encoder = model.encoder
        self.positions, self.scale = encoder.embed, encoder.output_size() ** 0.5
        self.layers = nn.ModuleList([*encoder.encoders0, *encoder.encoders])
        self.norm, self.head = encoder.after_norm, model.decoder

    def forward(self, words: Tensor, bias: Tensor) -> Tensor:
        """``words`` (1, M, F), embedded; ``bias`` (M, M), -inf where a row's word must not see a column's. Only the
        last layer sees the words that follow. Returns scores (1, M, V)."""
        x = self.positions(words * self.scale)
        for number, layer in enumerate(_stock(self.layers)):
            sees = bias if number + 1 < len(self.layers) else torch.zeros_like(bias)
            q, k, v = _projected(layer.norm1(x), layer.self_attn)
            x = _mixed(layer, x, _attended(q, k, v, sees, layer.self_attn), v)
        scores: Tensor = self.head(self.norm(x))
        return scores


class Segment(nn.Module):
    """SenseVoice: whole segments to scores of every frame."""

    def __init__(self, model: Any) -> None:
        """``model`` is a ``SenseVoiceSmall``."""
        super().__init__()
        encoder = model.encoder
        self.prompts, self.positions = model.embed, encoder.embed
        self.layers = nn.ModuleList([*encoder.encoders0, *encoder.encoders])
        self.norm = encoder.after_norm
        self.upper, self.upper_norm = encoder.tp_encoders, encoder.tp_norm
        self.head = model.ctc.ctc_lo
        self.scale = encoder.output_size() ** 0.5

    def forward(self, features: Tensor, prompt: Tensor, lengths: Tensor) -> Tensor:
        """``features`` (B, T, F), ``prompt`` (B, 4) and ``lengths`` (B,) int64, frames of each row: the logits
        (B, 4 + T, V); the first four frames answer the prompt."""
        x = self.positions(torch.cat((self.prompts(prompt), features), dim=1) * self.scale)
        inside = torch.arange(x.shape[1], device=x.device)[None] < (lengths + prompt.shape[1])[:, None]
        bias = torch.where(inside, 0.0, float("-inf"))[:, None, None]
        inside = inside.unsqueeze(2).to(x)
        for layer in _stock(self.layers):
            x = self._layer(layer, x, inside, bias)
        x = self.norm(x)
        for layer in _stock(self.upper):
            x = self._layer(layer, x, inside, bias)
        logits: Tensor = self.head(self.upper_norm(x))
        return logits

    def _layer(self, layer: Any, x: Tensor, inside: Tensor, bias: Tensor) -> Tensor:
        q, k, v = _projected(layer.norm1(x), layer.self_attn)
        v = v * inside  # the convolution must see nothing beyond a row's end
        return _mixed(layer, x, _attended(q, k, v, bias, layer.self_attn), v)


class StreamEncoder(nn.Module):
    """One step of streaming Paraformer up to the counter's weights."""

    def __init__(self, model: Any) -> None:
        """``model`` is a ``ParaformerStreaming``."""
        super().__init__()
        self.layers = nn.ModuleList([*model.encoder.encoders0, *model.encoder.encoders])
        self.norm, self.predictor = model.encoder.after_norm, model.predictor

    def forward(self, x: Tensor, bias: Tensor, inside: Tensor, *past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``x`` (B, T, F), scaled and with positions; ``bias`` (B, 1, 1, K + T), 0 or -inf for each frame looked
        back on and each of these; ``inside`` (B, T, 1), 1 within a row's length; ``past``, keys and values looked
        back on, layer by layer, 2 L of (B, H, K, D).

        Returns the encoding (B, T, W), zero beyond each row's length, the weights (B, T) that the counter sums
        up, and the keys and values of these frames (2 L, B, H, T, D).
        """
        new: list[Tensor] = []
        for number, layer in enumerate(_stock(self.layers)):
            block = layer.self_attn
            q, k, v = _projected(layer.norm1(x), block)
            v = v * inside
            keys, values = _heads(k, block), _heads(v, block)
            new += keys, values
            attended = _looking_back(q, keys, values, past[2 * number : 2 * number + 2], bias, block)
            x = _mixed(layer, x, attended, v)
        x = self.norm(x) * inside
        counter = self.predictor
        context = torch.relu(counter.cif_conv1d(counter.pad(x.transpose(1, 2)))).transpose(1, 2)
        weights = torch.sigmoid(counter.cif_output(context)).squeeze(-1)
        return x, torch.relu(weights * counter.smooth_factor - counter.noise_threshold), torch.stack(new)


class StreamDecoder(nn.Module):
    """One step of streaming Paraformer from the counter's embeddings to tokens."""

    def __init__(self, model: Any) -> None:
        """``model`` is a ``ParaformerStreaming``."""
        super().__init__()
        decoder = model.decoder
        self.layers, self.upper = decoder.decoders, decoder.decoders3
        self.norm, self.head = decoder.after_norm, decoder.output_layer

    def forward(
        self, encoded: Tensor, embedding: Tensor, spoken: Tensor, bias: Tensor, *past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``encoded`` (B, T, W); ``embedding`` (B, M, W), one row a token; ``spoken`` (L, B, P, W), the last P inputs
        of the convolutions; ``bias`` and ``past`` as in the encoder.

        Returns log-probabilities (B, M, V), the convolutions' inputs (L, B, P + M, W), and the keys and values of
        these frames (2 L, B, H, T, D).
        """
        x, said = embedding, []
        new: list[Tensor] = []
        for number, layer in enumerate(_stock(self.layers)):
            inner = layer.norm2(layer.feed_forward(layer.norm1(x)))
            said.append(torch.cat((spoken[number], inner), dim=1))
            x = x + _convolved(said[-1], layer.self_attn.fsmn_block)
            block = layer.src_attn
            k, v = _parts(encoded, block.linear_k_v.weight.chunk(2), block.linear_k_v.bias.chunk(2))
            keys, values = _heads(k, block), _heads(v, block)
            new += keys, values
            query = block.linear_q(layer.norm3(x)) * _scale(block)
            x = x + _looking_back(query, keys, values, past[2 * number : 2 * number + 2], bias, block)
        for layer in _stock(self.upper):
            x = layer.feed_forward(layer.norm1(x))
        scores = torch.log_softmax(self.head(self.norm(x)), dim=-1)
        return scores, torch.stack(said), torch.stack(new)


NETWORKS: Mapping[str, Mapping[str, Callable[[Any], nn.Module]]] = {
    "FsmnVADStreaming": {"detector": Detector},
    "ParaformerStreaming": {"encoder": StreamEncoder, "decoder": StreamDecoder},
    "CTTransformerStreaming": {"punctuation": Punctuation},
    "SenseVoiceSmall": {"segment": Segment},
}
"""The networks of each stock class, by name."""

TABLES: Mapping[str, Mapping[str, Callable[[Any], Tensor]]] = {
    "CTTransformerStreaming": {"embedding": lambda model: model.embed.weight},
}
"""What a network of the class does not hold, because a call needs a few rows of it."""


def _stock(layers: nn.ModuleList) -> Iterable[Any]:
    """Layers of funasr's, whose parts have no types."""
    return layers


def _projected(x: Tensor, block: Any) -> list[Tensor]:
    """Queries, scaled, keys and values. What can be done to the weights is: an export has it done once for all."""
    (query, *weights), (offset, *biases) = block.linear_q_k_v.weight.chunk(3), block.linear_q_k_v.bias.chunk(3)
    return _parts(x, [query * _scale(block), *weights], [offset * _scale(block), *biases])


def _scale(block: Any) -> float:
    """Of queries."""
    scale: float = block.d_k**-0.5
    return scale


def _parts(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> list[Tensor]:
    """Each part of a projection as a product of its own: ONNX Runtime takes long to split one."""
    return [F.linear(x, weight, bias) for weight, bias in zip(weights, biases, strict=True)]


def _heads(x: Tensor, block: Any) -> Tensor:
    """(B, T, W) → (B, H, T, D)."""
    return x.view(x.shape[0], x.shape[1], block.h, block.d_k).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    """(B, H, T, D) → (B, T, W)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])


def _attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, block: Any) -> Tensor:
    """What attention makes of (B, T, W) each; ``bias`` spreads over (B, H, T, T)."""
    return _weighed(_heads(q, block), _heads(k, block), _heads(v, block), bias, block)


def _looking_back(
    query: Tensor, keys: Tensor, values: Tensor, past: tuple[Tensor, ...], bias: Tensor, block: Any
) -> Tensor:
    """Attention of ``query`` (B, T, W) to ``past``, keys and values, and to what is new, all (B, H, any, D)."""
    keys, values = torch.cat((past[0], keys), dim=2), torch.cat((past[1], values), dim=2)
    return _weighed(_heads(query, block), keys, values, bias, block)


def _weighed(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, block: Any) -> Tensor:
    """Written out, because torch's own function is exported as one that scales every key. ``query`` is scaled."""
    scores = query @ keys.transpose(2, 3) + bias
    attended: Tensor = block.linear_out(_joined(torch.softmax(scores, dim=-1) @ values))
    return attended


def _mixed(layer: Any, x: Tensor, attended: Tensor, v: Tensor) -> Tensor:
    """The rest of a layer with attention and memory (SANM): what is attended to, the convolution, feed-forward."""
    block = layer.self_attn
    before, after = block.pad_fn.padding
    even = before if before == after else 0
    mixed = attended + _convolved(v if even else F.pad(v, (0, 0, before, after)), block.fsmn_block, even, before)
    x = x + mixed if layer.in_size == layer.size else mixed
    fed: Tensor = x + layer.feed_forward(layer.norm2(x))
    return fed


def _convolved(x: Tensor, convolution: nn.Conv1d, padding: int = 0, here: int = -1) -> Tensor:
    """What was said plus ``convolution`` over the time of ``x`` (B, T, W): the kernel's place ``here`` is now.

    Written as one convolution over images of one row, channels last: for those ONNX Runtime has a kernel that is five
    times as fast.
    """
    image = x.unsqueeze(2).permute(0, 3, 1, 2)
    places = range(convolution.kernel_size[0])
    now = torch.tensor([float(place == here % len(places)) for place in places], device=x.device)
    weight = (convolution.weight + now).unsqueeze(3)
    return F.conv2d(image, weight, padding=(padding, 0), groups=x.shape[2]).permute(0, 2, 3, 1).squeeze(2)
