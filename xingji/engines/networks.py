"""The networks as they run here: whole batches, ragged rows, what is looked back on as tensors that go in and come out.

Each is a module over the layers of a loaded stock class and shares their weights; what it computes is what the
stock class computes, within 1e-4 of its log-probabilities (float32). The same module runs in torch and is
what is exported to ONNX, so there is one forward pass to read. funasr's own forward passes take one stream a
call, branch on Python values and mend their caches in place, so they can be neither batched nor exported.

Shapes: B rows, T frames, F features of one, K frames of look-back, L layers, M tokens, H heads of D, W model width,
V vocabulary. Everything is float32 unless said.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xingji.engines.layers import Batch, attended, convolved, looking_back, mixed, parts, projected, query_scale

_PART = 1024  # tokens of a vocabulary that are scored at a time


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

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """``words`` (B, M, F), embedded; ``lengths`` (B,) int64, words of each row. Only the last layer sees the words
        that follow. Returns scores (B, M, V)."""
        batch = Batch.of(words)
        places = torch.arange(words.shape[1], device=words.device)
        inside = places[None] < lengths[:, None]
        said = torch.where(places[None] <= places[:, None], 0.0, float("-inf"))[None, None]
        whole = torch.where(inside, 0.0, float("-inf"))[:, None, None]
        x, inside = batch.flat(self.positions(words * self.scale)), inside.reshape(-1, 1).to(words)
        for number, layer in enumerate(_stock(self.layers)):
            sees = said if number + 1 < len(self.layers) else whole
            q, k, v = projected(layer.norm1(x), layer.self_attn)
            v = v * inside
            x = mixed(layer, x, attended(q, k, v, sees, layer.self_attn, batch), v, batch)
        return batch.apart(self.head(self.norm(x)))


class Segment(nn.Module):
    """SenseVoice: whole segments to the best token of every frame."""

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

    def forward(self, features: Tensor, prompt: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``features`` (B, T, F), ``prompt`` (B, 4) and ``lengths`` (B,) int64, frames of each row.

        Returns of every frame the encoding (B, 4 + T, W), of which ``Head`` makes logits, the best token (B, 4 + T)
        int64 and its log-probability (B, 4 + T). The first four frames answer the prompt.
        """
        x = self.positions(torch.cat((self.prompts(prompt), features), dim=1) * self.scale)
        batch = Batch.of(x)
        inside = torch.arange(x.shape[1], device=x.device)[None] < (lengths + prompt.shape[1])[:, None]
        bias = torch.where(inside, 0.0, float("-inf"))[:, None, None]
        x, inside = batch.flat(x), inside.reshape(-1, 1).to(x)
        for layer in _stock(self.layers):
            x = self._layer(layer, x, inside, bias, batch)
        x = self.norm(x)
        for layer in _stock(self.upper):
            x = self._layer(layer, x, inside, bias, batch)
        x = self.upper_norm(x)
        best, sure = self._best(x)
        return batch.apart(x), batch.apart(best).squeeze(2), batch.apart(sure).squeeze(2)

    def _best(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The best token of each frame and its log-probability, (n, 1) both, without the logits of all: they are many
        times what the caches of a core hold. A part of the vocabulary at a time, they are still there when they are
        read, and never leave the network."""
        tops, places, sums = [], [], []
        for start in range(0, self.head.out_features, _PART):
            part = slice(start, start + _PART)
            logits = F.linear(x, self.head.weight[part], self.head.bias[part])
            top, place = logits.topk(1)
            tops.append(top)
            places.append(place + start)
            sums.append(torch.exp(logits - top).sum(dim=1, keepdim=True))
        every = torch.cat(tops, dim=1)
        top, where = every.topk(1)
        total = (torch.cat(sums, dim=1) * torch.exp(every - top)).sum(dim=1, keepdim=True)
        return torch.cat(places, dim=1).gather(1, where), -torch.log(total)

    def _layer(self, layer: Any, x: Tensor, inside: Tensor, bias: Tensor, batch: Batch) -> Tensor:
        q, k, v = projected(layer.norm1(x), layer.self_attn)
        v = v * inside  # the convolution must see nothing beyond a row's end
        return mixed(layer, x, attended(q, k, v, bias, layer.self_attn, batch), v, batch)


class Head(nn.Module):
    """The scores of all tokens for some frames of ``Segment``."""

    def __init__(self, model: Any) -> None:
        """``model`` is a ``SenseVoiceSmall``."""
        super().__init__()
        self.head = model.ctc.ctc_lo

    def forward(self, encoded: Tensor) -> Tensor:
        """``encoded`` (n, W): logits (n, V)."""
        logits: Tensor = self.head(encoded)
        return logits


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
        back on, layer by layer, 2 L of (B, H, K, D); in float16 where the int8 graph keeps them.

        Returns the encoding (B, T, W), zero beyond each row's length, the weights (B, T) that the counter sums
        up, and the keys and values of these frames (2 L, B, H, T, D).
        """
        new: list[Tensor] = []
        batch, within = Batch.of(x), inside.reshape(-1, 1)
        x = batch.flat(x)
        for number, layer in enumerate(_stock(self.layers)):
            block = layer.self_attn
            q, k, v = projected(layer.norm1(x), block)
            v = v * within
            keys, values = batch.heads(k, block), batch.heads(v, block)
            new += keys.to(past[0].dtype), values.to(past[0].dtype)
            attended = looking_back(q, keys, values, past[2 * number : 2 * number + 2], bias, block, batch)
            x = mixed(layer, x, attended, v, batch)
        x = batch.apart(self.norm(x) * within)
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
        said: list[Tensor] = []
        new: list[Tensor] = []
        words, heard = Batch.of(embedding), Batch.of(encoded)
        x, encoded = words.flat(embedding), heard.flat(encoded)
        for number, layer in enumerate(_stock(self.layers)):
            inner = layer.norm2(layer.feed_forward(layer.norm1(x)))
            said.append(torch.cat((spoken[number], words.apart(inner)), dim=1))
            x = x + words.flat(convolved(said[-1], layer.self_attn.fsmn_block))
            block = layer.src_attn
            weights, offsets = block.linear_k_v.weight.chunk(2), block.linear_k_v.bias.chunk(2)
            keys, values = (heard.heads(part, block) for part in parts(encoded, weights, (None, offsets[1])))
            new += keys.to(past[0].dtype), values.to(past[0].dtype)
            (query,) = parts(
                layer.norm3(x), [block.linear_q.weight * query_scale(block)], [block.linear_q.bias * query_scale(block)]
            )
            attended = looking_back(query, keys, values, past[2 * number : 2 * number + 2], bias, block, words)
            x = x + attended + block.linear_out.bias
        for layer in _stock(self.upper):
            x = layer.feed_forward(layer.norm1(x))
        scores = torch.log_softmax(self.head(self.norm(x)), dim=-1)
        return words.apart(scores), torch.stack(said), torch.stack(new)


NETWORKS: Mapping[str, Mapping[str, Callable[[Any], nn.Module]]] = {
    "FsmnVADStreaming": {"detector": Detector},
    "ParaformerStreaming": {"encoder": StreamEncoder, "decoder": StreamDecoder},
    "CTTransformerStreaming": {"punctuation": Punctuation},
    "SenseVoiceSmall": {"segment": Segment, "head": Head},
}
"""The networks of each stock class, by name."""

TABLES: Mapping[str, Mapping[str, Callable[[Any], Tensor]]] = {
    "CTTransformerStreaming": {"embedding": lambda model: model.embed.weight},
}
"""What a network of the class does not hold, because a call needs a few rows of it."""


def _stock(layers: nn.ModuleList) -> Iterable[Any]:
    """Layers of funasr's, whose parts have no types."""
    return layers
