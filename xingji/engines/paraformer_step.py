"""One chunk of streaming Paraformer for many segments at once.

The stock class takes one segment a call and asserts so. Here its own layers run on a batch: what a
segment carries from chunk to chunk (the waiting feature frames, the encoder's and decoder's
look-back, the counter's remainder) lies in its ``Memory`` and is stacked for the call. The tokens
are those of the stock class, the log-probabilities within 1e-4 (float32); a row's result does not
depend on who shares the batch beyond the last bits of the arithmetic.

Shapes: B segments, T stacked frames of 60 ms, H heads of D, W model width, V tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from xingji.core.errors import EngineError

_ENCODER_LOOK_BACK = 4  # chunks, as trained
_DECODER_LOOK_BACK = 1


class Seen(NamedTuple):
    """What attention looks back on; (H, frames, D) each."""

    keys: Tensor
    values: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What one segment carries from chunk to chunk. A value: a call that fails leaves it as it was."""

    chunk: int  # stacked frames
    waiting: Tensor  # (frames ahead, features): they wait for their right context, scaled and with positions
    position: int = 0  # frames heard
    encoder: tuple[Seen, ...] = ()  # per layer; empty before the first chunk
    counted: float = 0.0  # the counter's remainder, in tokens
    remainder: Tensor | None = None  # (W,): its mean encoding
    decoder: tuple[Seen, ...] = ()  # per layer; empty before the first token
    spoken: tuple[Tensor, ...] = ()  # per decoder layer: the last inputs of its convolution, (W, kernel - 1)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one segment hears next: feature frames ``(n, features)``, any ``n`` in the last chunk."""

    memory: Memory
    frames: Tensor
    last: bool


class Stepper:
    """The shared network. Use from one thread, under ``running()``."""

    def __init__(self, model: Any, device: str) -> None:
        """``model`` is a loaded ``ParaformerStreaming``. Raises EngineError for a shape this does not know."""
        self._encoder, self._decoder, self._predictor = model.encoder, model.decoder, model.predictor
        if self._decoder.num_blocks != self._decoder.att_layer_num or not self._encoder.normalize_before:
            raise EngineError("the streaming Paraformer has layers of an unknown kind")
        self._device = device
        self._layers = [*self._encoder.encoders0, *self._encoder.encoders]
        self._positions = self._table(1024)

    def open(self, chunk: int) -> Memory:
        """A new segment, ``chunk`` frames at a time with half as many ahead; the first ones are empty."""
        return Memory(chunk, torch.zeros(chunk // 2, self._layers[0].in_size, device=self._device))

    def step(self, chunks: Sequence[Chunk]) -> list[tuple[Memory, Tensor]]:
        """The new memory and the log-probabilities ``(tokens, V)`` of each. All chunks must be of one size.

        The last chunk decides the frames that waited too; nothing may follow it.
        """
        heard = [self._hear(chunk) for chunk in chunks]
        rows = [row for _, row in heard]
        lengths = [len(row) for row in rows]
        memories, encoded = self._encode([memory for memory, _ in heard], pad_sequence(rows, batch_first=True), lengths)
        counted = self._count(memories, encoded, lengths, [chunk.last for chunk in chunks])
        return self._decode(counted, encoded, lengths)

    # -- encoder ----------------------------------------------------------------------

    def _hear(self, chunk: Chunk) -> tuple[Memory, Tensor]:
        """The waiting frames and the new ones, shape (T, features)."""
        memory = chunk.memory
        end = memory.position + len(chunk.frames)
        if end > len(self._positions):
            self._positions = self._table(2 * end)
        new = chunk.frames.to(self._device) * self._encoder.output_size() ** 0.5
        row = torch.cat((memory.waiting, new + self._positions[memory.position : end]))
        return replace(memory, position=end, waiting=row[len(row) - len(memory.waiting) :]), row

    def _table(self, length: int) -> Tensor:
        """The stock position code, computed once: the stock class computes it anew from 1 in every chunk."""
        table: Tensor = self._encoder.embed.encode(torch.arange(1, length + 1)[None], self._layers[0].in_size)[0]
        return table.to(self._device)

    def _encode(self, memories: list[Memory], x: Tensor, lengths: list[int]) -> tuple[list[Memory], Tensor]:
        """(B, T, features) → (B, T, W), zero beyond each row's length."""
        inside = _inside(lengths, x)
        span = _ENCODER_LOOK_BACK * memories[0].chunk
        # Later chunks look back on what is no longer ahead.
        kept = [length - len(memory.waiting) for memory, length in zip(memories, lengths, strict=True)]
        seen: list[list[Seen]] = []
        for number, layer in enumerate(self._layers):
            attention = layer.self_attn
            q, k, v = attention.linear_q_k_v(layer.norm1(x)).chunk(3, dim=-1)
            if inside is not None:
                v = v * inside  # the convolution below must see nothing beyond a row's end
            past = [memory.encoder[number] if memory.encoder else None for memory in memories]
            new = Seen(_heads(k, attention), _heads(v, attention))
            seen.append(_remember(past, new, kept, span))
            attended = _attend(_heads(q, attention), past, new, lengths)
            convolved = attention.fsmn_block(attention.pad_fn(v.transpose(1, 2))).transpose(1, 2) + v
            mixed = attention.linear_out(attended) + convolved
            x = x + mixed if layer.in_size == layer.size else mixed
            x = x + layer.feed_forward(layer.norm2(x))
        x = self._encoder.after_norm(x)
        remembered = [
            replace(memory, encoder=layers) for memory, layers in zip(memories, zip(*seen, strict=True), strict=True)
        ]
        return remembered, x if inside is None else x * inside

    # -- counter (continuous integrate-and-fire) ------------------------------------------

    def _count(
        self, memories: list[Memory], encoded: Tensor, lengths: list[int], last: list[bool]
    ) -> list[tuple[Memory, Tensor]]:
        """One embedding ``(tokens, W)`` for every row: a token each time the summed weights pass the threshold."""
        predictor = self._predictor
        context = torch.relu(predictor.cif_conv1d(predictor.pad(encoded.transpose(1, 2)))).transpose(1, 2)
        weights = torch.sigmoid(predictor.cif_output(context)).squeeze(-1)
        weights = torch.relu(weights * predictor.smooth_factor - predictor.noise_threshold)
        rows = weights.float().cpu().numpy()
        return [
            self._fire(memory, rows[row, :length], encoded[row, :length], last=last[row])
            for row, (memory, length) in enumerate(zip(memories, lengths, strict=True))
        ]

    def _fire(self, memory: Memory, weights: Any, encoded: Tensor, *, last: bool) -> tuple[Memory, Tensor]:
        if not last:
            weights = weights.copy()
            weights[memory.chunk :] = 0  # what is ahead is counted when it is no longer ahead
        if memory.remainder is not None:
            weights = np.append(np.float32(memory.counted), weights)
            encoded = torch.cat((memory.remainder[None], encoded))
        if last:
            weights = np.append(weights, np.float32(self._predictor.tail_threshold))
            encoded = torch.cat((encoded, torch.zeros_like(encoded[:1])))
        shares, rest, counted = integrate(weights, np.float32(self._predictor.threshold))
        remainder = torch.from_numpy(rest).to(self._device) @ encoded
        if counted > 0:
            remainder = remainder / float(counted)
        memory = replace(memory, counted=float(counted), remainder=remainder)
        return memory, torch.from_numpy(shares).to(self._device) @ encoded

    # -- decoder ----------------------------------------------------------------------

    def _decode(
        self, counted: list[tuple[Memory, Tensor]], encoded: Tensor, lengths: list[int]
    ) -> list[tuple[Memory, Tensor]]:
        """Log-probabilities of every row's tokens. A row without one is left out and its decoder remembers nothing
        of the chunk, as in the stock class."""
        nothing = encoded.new_zeros(0, self._decoder.output_layer.out_features)
        answers = [(memory, nothing) for memory, _ in counted]
        speaking = [row for row, (_, embedding) in enumerate(counted) if len(embedding)]
        if not speaking:
            return answers
        memories = [counted[row][0] for row in speaking]
        tokens = [len(counted[row][1]) for row in speaking]
        heard = [lengths[row] for row in speaking]
        encoded = encoded[speaking]
        x = pad_sequence([counted[row][1] for row in speaking], batch_first=True)
        span = _DECODER_LOOK_BACK * memories[0].chunk
        seen: list[list[Seen]] = []
        spoken: list[list[Tensor]] = []
        for number, layer in enumerate(self._decoder.decoders):
            inner = layer.norm2(layer.feed_forward(layer.norm1(x))).transpose(1, 2)
            block = layer.self_attn
            empty = inner.new_zeros(inner.shape[1], block.kernel_size - 1)
            before = torch.stack([memory.spoken[number] if memory.spoken else empty for memory in memories])
            said = torch.cat((before, inner), dim=2)
            spoken.append([said[row, :, count : count + block.kernel_size - 1] for row, count in enumerate(tokens)])
            x = x + (block.fsmn_block(said) + inner).transpose(1, 2)
            attention = layer.src_attn
            past = [memory.decoder[number] if memory.decoder else None for memory in memories]
            k, v = attention.linear_k_v(encoded).chunk(2, dim=-1)
            new = Seen(_heads(k, attention), _heads(v, attention))
            seen.append(_remember(past, new, heard, span))
            query = _heads(attention.linear_q(layer.norm3(x)), attention)
            x = x + attention.linear_out(_attend(query, past, new, heard))
        for layer in self._decoder.decoders3:
            x = layer.forward_chunk(x, None)[0]
        scores = torch.log_softmax(self._decoder.output_layer(self._decoder.after_norm(x)).float(), dim=-1)
        for at, row in enumerate(speaking):
            memory = replace(
                memories[at],
                decoder=tuple(layer[at] for layer in seen),
                spoken=tuple(layer[at].clone() for layer in spoken),
            )
            answers[row] = memory, scores[at, : tokens[at]]
        return answers


def integrate(weights: Any, threshold: Any) -> tuple[Any, Any, Any]:
    """Share frames out among tokens: float32 ``(n,)`` → (shares ``(tokens, n)``, the rest's ``(n,)``, its sum).

    A frame that passes the threshold is split: what is missing goes to the token, what is over
    begins the next one. Every sum is float32, as in the stock class, so that both fire at the same frame.
    """
    shares: list[Any] = []
    current = np.zeros(len(weights), np.float32)
    total = np.float32(0)
    for at, weight in enumerate(weights):
        if weight + total < threshold:
            total = total + weight
            current[at] = weight
        else:
            current[at] = threshold - total
            shares.append(current)
            total = total + weight - threshold
            current = np.zeros(len(weights), np.float32)
            current[at] = total
    return np.stack(shares) if shares else np.zeros((0, len(weights)), np.float32), current, total


def _inside(lengths: list[int], batch: Tensor) -> Tensor | None:
    """(B, T, 1): 1 within each row's length; None where all rows are full."""
    if min(lengths) == batch.shape[1]:
        return None
    at = torch.arange(batch.shape[1], device=batch.device)
    return (at < torch.tensor(lengths, device=batch.device)[:, None]).unsqueeze(-1)


def _heads(x: Tensor, attention: Any) -> Tensor:
    """(B, T, W) → (B, H, T, D)."""
    return x.view(x.shape[0], x.shape[1], attention.h, attention.d_k).transpose(1, 2)


def _attend(query: Tensor, past: Sequence[Seen | None], new: Seen, lengths: list[int]) -> Tensor:
    """Attention on each row's past and its ``lengths`` new frames; (B, H, T, D) → (B, T, W)."""
    ages = [0 if seen is None else seen.keys.shape[1] for seen in past]
    oldest, width = max(ages), new.keys.shape[2]
    keys, values = new
    if oldest:
        keys = torch.cat((_aligned([seen and seen.keys for seen in past], ages, keys), keys), dim=2)
        values = torch.cat((_aligned([seen and seen.values for seen in past], ages, values), values), dim=2)
    mask = None
    if min(ages) < oldest or min(lengths) < width:
        at = torch.arange(oldest + width, device=keys.device)
        begin = torch.tensor([oldest - age for age in ages], device=keys.device)
        end = torch.tensor([oldest + length for length in lengths], device=keys.device)
        mask = ((at >= begin[:, None]) & (at < end[:, None]))[:, None, None]
    attended = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
    return attended.transpose(1, 2).reshape(len(past), query.shape[2], -1)


def _aligned(past: Sequence[Tensor | None], ages: list[int], like: Tensor) -> Tensor:
    """The rows' pasts aligned at their ends, zeros before the younger ones; (B, H, oldest, D)."""
    oldest = max(ages)
    full = [row for row in past if row is not None]
    if min(ages) == oldest:
        return torch.stack(full)
    stacked = like.new_zeros(len(past), like.shape[1], oldest, like.shape[3])
    for row, tensor in enumerate(past):
        if tensor is not None:
            stacked[row, :, oldest - ages[row] :] = tensor
    return stacked


def _remember(past: Sequence[Seen | None], new: Seen, lengths: list[int], span: int) -> list[Seen]:
    """The last ``span`` frames of every row's past and its first ``lengths`` new ones."""
    kept = []
    for row, (seen, length) in enumerate(zip(past, lengths, strict=True)):
        keys, values = new.keys[row, :, :length], new.values[row, :, :length]
        if seen is not None:
            keys, values = torch.cat((seen.keys, keys), dim=1), torch.cat((seen.values, values), dim=1)
        # A copy: a view would hold the whole batch in memory.
        kept.append(Seen(keys[:, -span:].clone(), values[:, -span:].clone()))
    return kept
