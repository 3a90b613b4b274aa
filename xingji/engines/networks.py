"""The networks as they run here: whole batches, ragged rows, look-back as tensors that go in and come out.

Each is a module over the layers of a loaded stock class and shares their weights; what it computes is what the
stock class computes, within 1e-4 of its log-probabilities (float32). The same module runs in torch and is
what is exported to ONNX, so there is one forward pass to read. funasr's own forward passes take one stream a
call, branch on Python values and mend their caches in place, so they can be neither batched nor exported.

Shapes: B rows, T stacked frames of 60 ms, F features of one, K frames of look-back, L layers, M tokens,
H heads of D, W model width, V vocabulary. Everything is float32 unless said.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SegmentNetwork(nn.Module):
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
        for layer in self.layers:
            x = self._layer(layer, x, inside, bias)
        x = self.norm(x)
        for layer in self.upper:
            x = self._layer(layer, x, inside, bias)
        logits: Tensor = self.head(self.upper_norm(x))
        return logits

    def _layer(self, layer: Any, x: Tensor, inside: Tensor, bias: Tensor) -> Tensor:
        block = layer.self_attn
        q, k, v = block.linear_q_k_v(layer.norm1(x)).chunk(3, dim=-1)
        v = v * inside.unsqueeze(-1)  # the convolution must see nothing beyond a row's end
        attended = F.scaled_dot_product_attention(_heads(q, block), _heads(k, block), _heads(v, block), attn_mask=bias)
        return _mix(layer, x, _joined(attended), v)


class StreamEncoder(nn.Module):
    """One step of streaming Paraformer up to the counter's weights."""

    def __init__(self, model: Any) -> None:
        """``model`` is a ``ParaformerStreaming``."""
        super().__init__()
        self.layers = nn.ModuleList([*model.encoder.encoders0, *model.encoder.encoders])
        self.norm, self.predictor = model.encoder.after_norm, model.predictor

    def forward(self, x: Tensor, past: Tensor, bias: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``x`` (B, T, F), scaled and with positions; ``past`` (L, 2, B, H, K, D), keys and values looked back
        on; ``bias`` (B, 1, 1, K + T), 0 or -inf for each of these; ``inside`` (B, T, 1), 1 within a row's length.

        Returns the encoding (B, T, W), zero beyond each row's length, the weights (B, T) that the counter sums
        up, and the keys and values of these frames (L, 2, B, H, T, D).
        """
        new = []
        for number, layer in enumerate(_stock(self.layers)):
            block = layer.self_attn
            q, k, v = block.linear_q_k_v(layer.norm1(x)).chunk(3, dim=-1)
            v = v * inside
            keys, values = _heads(k, block), _heads(v, block)
            new.append(torch.stack((keys, values)))
            attended = _looking_back(_heads(q, block), past[number], keys, values, bias)
            x = _mix(layer, x, attended, v)
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
        self, encoded: Tensor, embedding: Tensor, spoken: Tensor, past: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``encoded`` (B, T, W); ``embedding`` (B, M, W), one row a token; ``spoken`` (L, B, W, kernel - 1), what
        the convolutions remember; ``past`` (L, 2, B, H, K, D) and ``bias`` (B, 1, 1, K + T) as in the encoder.

        Returns log-probabilities (B, M, V), the convolutions' inputs (L, B, W, kernel - 1 + M), and the keys and
        values of these frames (L, 2, B, H, T, D).
        """
        x, said, new = embedding, [], []
        for number, layer in enumerate(_stock(self.layers)):
            inner = layer.norm2(layer.feed_forward(layer.norm1(x))).transpose(1, 2)
            said.append(torch.cat((spoken[number], inner), dim=2))
            x = x + (layer.self_attn.fsmn_block(said[-1]) + inner).transpose(1, 2)
            block = layer.src_attn
            k, v = block.linear_k_v(encoded).chunk(2, dim=-1)
            keys, values = _heads(k, block), _heads(v, block)
            new.append(torch.stack((keys, values)))
            query = _heads(block.linear_q(layer.norm3(x)), block)
            x = x + block.linear_out(_looking_back(query, past[number], keys, values, bias))
        for layer in _stock(self.upper):
            x = layer.feed_forward(layer.norm1(x))
        scores = torch.log_softmax(self.head(self.norm(x)), dim=-1)
        return scores, torch.stack(said), torch.stack(new)


def _stock(layers: nn.ModuleList) -> Iterable[Any]:
    """Layers of funasr's, whose parts have no types."""
    return layers


def _heads(x: Tensor, block: Any) -> Tensor:
    """(B, T, W) → (B, H, T, D)."""
    return x.view(x.shape[0], x.shape[1], block.h, block.d_k).transpose(1, 2)


def _joined(x: Tensor) -> Tensor:
    """(B, H, T, D) → (B, T, W)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])


def _mix(layer: Any, x: Tensor, attended: Tensor, v: Tensor) -> Tensor:
    """The rest of a layer with attention and memory (SANM): what is attended to, the convolution, feed-forward."""
    block = layer.self_attn
    convolved = block.fsmn_block(block.pad_fn(v.transpose(1, 2))).transpose(1, 2) + v
    mixed = block.linear_out(attended) + convolved
    x = x + mixed if layer.in_size == layer.size else mixed
    fed: Tensor = x + layer.feed_forward(layer.norm2(x))
    return fed


def _looking_back(query: Tensor, past: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Attention to ``past`` (2, B, H, K, D) and to what is new; (B, T, W)."""
    keys, values = torch.cat((past[0], keys), dim=2), torch.cat((past[1], values), dim=2)
    return _joined(F.scaled_dot_product_attention(query, keys, values, attn_mask=bias))
