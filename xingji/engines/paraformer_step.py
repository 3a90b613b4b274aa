"""One chunk of streaming Paraformer for many segments at once.

The stock class takes one segment a call and asserts so. Here what a segment carries from chunk to chunk (the
waiting feature frames, the encoder's and decoder's look-back, the counter's remainder) lies in its ``Memory``
and is stacked for one call of the shared networks (``networks``). The tokens are those of the stock class, the
log-probabilities within 1e-4 (float32); a row's result does not depend on who shares the batch beyond the last
bits of the arithmetic.

Shapes: B segments, T stacked frames of 60 ms, K frames of look-back, L layers, H heads of D, W model width,
M tokens, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from xingji.core.errors import EngineError

_ENCODER_LOOK_BACK = 4  # chunks, as trained
_DECODER_LOOK_BACK = 1

Network = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""``networks.StreamEncoder`` or ``networks.StreamDecoder``, or an export of it."""


class LookBack:
    """The keys and values of the last K frames, in no order: attention needs none. New ones take the oldest places."""

    def __init__(self, layers: int, heads: int, span: int, depth: int, device: str) -> None:
        self.frames = torch.zeros(layers, 2, heads, span, depth, device=device)
        self._taken = 0  # frames that ever came

    def bias(self) -> Tensor:
        """(K,): 0 where there is a frame, -inf where none has come yet."""
        bias = torch.zeros(self.frames.shape[3])
        bias[self._taken :] = -torch.inf
        return bias

    def take(self, new: Tensor) -> None:
        """``new``: (L, 2, H, any number, D)."""
        span = self.frames.shape[3]
        new = new[:, :, :, -span:]
        places = (self._taken + torch.arange(new.shape[3])) % span
        self.frames[:, :, :, places.to(new.device)] = new
        self._taken += new.shape[3]


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What one segment carries from chunk to chunk. A call that fails leaves it as it was; the memory that follows
    takes over the look-backs."""

    chunk: int  # stacked frames
    waiting: Tensor  # (frames ahead, features): they wait for their right context, scaled and with positions
    encoder: LookBack
    decoder: LookBack
    spoken: Tensor  # (decoder layers, W, kernel - 1): the last inputs of its convolutions; zeros before the first
    position: int = 0  # frames heard
    counted: float = 0.0  # the counter's remainder, in tokens
    remainder: Tensor | None = None  # (W,): its mean encoding


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one segment hears next: feature frames ``(n, features)``, any ``n`` in the last chunk."""

    memory: Memory
    frames: Tensor
    last: bool


class Stepper:
    """The shared network. Use from one thread, under ``running()``."""

    def __init__(self, model: Any, encode: Network, decode: Network, device: str) -> None:
        """``model`` is a ``ParaformerStreaming``, of which only the shape and the counter's constants are used.
        Raises EngineError for a shape this does not know."""
        self._encoder, self._decoder, self._predictor = model.encoder, model.decoder, model.predictor
        if self._decoder.num_blocks != self._decoder.att_layer_num or not self._encoder.normalize_before:
            raise EngineError("the streaming Paraformer has layers of an unknown kind")
        self._encode, self._decode = encode, decode
        self._device = device
        self._layers = [*self._encoder.encoders0, *self._encoder.encoders]
        self._positions = self._table(1024)

    def open(self, chunk: int) -> Memory:
        """A new segment, ``chunk`` frames at a time with half as many ahead; the first ones are empty."""
        hears, speaks = self._layers[0].self_attn, self._decoder.decoders[0]
        across, kernel = speaks.src_attn, speaks.self_attn.kernel_size
        spans = _ENCODER_LOOK_BACK * chunk, _DECODER_LOOK_BACK * chunk
        return Memory(
            chunk,
            torch.zeros(chunk // 2, self._layers[0].in_size, device=self._device),
            LookBack(len(self._layers), hears.h, spans[0], hears.d_k, self._device),
            LookBack(len(self._decoder.decoders), across.h, spans[1], across.d_k, self._device),
            torch.zeros(len(self._decoder.decoders), self._encoder.output_size(), kernel - 1, device=self._device),
        )

    def step(self, chunks: Sequence[Chunk]) -> list[tuple[Memory, Tensor]]:
        """The new memory and the log-probabilities ``(M, V)`` of each. All chunks must be of one size.

        The last chunk decides the frames that waited too; nothing may follow it.
        """
        rows = [self._hear(chunk) for chunk in chunks]
        memories, lengths = [chunk.memory for chunk in chunks], [len(row) for row in rows]
        x = pad_sequence(rows, batch_first=True)
        inside = (torch.arange(x.shape[1])[None] < torch.tensor(lengths)[:, None]).unsqueeze(-1)
        past, bias = _stacked([memory.encoder for memory in memories], lengths, x)
        encoded, weights, new = self._encode(x, past, bias, inside.to(x))
        # Later chunks look back on what is no longer ahead.
        decided = [length - len(memory.waiting) for memory, length in zip(memories, lengths, strict=True)]
        counted = []
        for row, (chunk, length) in enumerate(zip(chunks, lengths, strict=True)):
            end = chunk.memory.position + len(chunk.frames)
            memory = replace(chunk.memory, position=end, waiting=rows[row][decided[row] :])
            counted.append(self._fire(memory, weights[row, :length], encoded[row, :length], last=chunk.last))
        answers = self._say(counted, encoded, lengths)
        for row, memory in enumerate(memories):  # last, so that a call that fails leaves no trace
            memory.encoder.take(new[:, :, row, :, : decided[row]])
        return answers

    # -- encoder ----------------------------------------------------------------------

    def _hear(self, chunk: Chunk) -> Tensor:
        """The waiting frames and the new ones, shape (T, features)."""
        memory = chunk.memory
        end = memory.position + len(chunk.frames)
        if end > len(self._positions):
            self._positions = self._table(2 * end)
        new = chunk.frames.to(self._device) * self._encoder.output_size() ** 0.5
        return torch.cat((memory.waiting, new + self._positions[memory.position : end]))

    def _table(self, length: int) -> Tensor:
        """The stock position code, computed once: the stock class computes it anew from 1 in every chunk."""
        table: Tensor = self._encoder.embed.encode(torch.arange(1, length + 1)[None], self._layers[0].in_size)[0]
        return table.to(self._device)

    # -- counter (continuous integrate-and-fire) ------------------------------------------

    def _fire(self, memory: Memory, summed: Tensor, encoded: Tensor, *, last: bool) -> tuple[Memory, Tensor]:
        """One embedding ``(M, W)``: a token each time the summed weights pass the threshold."""
        weights = summed.float().cpu().numpy()
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

    def _say(
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
        heard = [lengths[row] for row in speaking]
        encoded = encoded[speaking]
        embeddings = [counted[row][1] for row in speaking]
        spoken = torch.stack([memory.spoken for memory in memories], dim=1)
        past, bias = _stacked([memory.decoder for memory in memories], heard, encoded)
        embedding = pad_sequence(embeddings, batch_first=True)
        scores, said, new = self._decode(encoded, embedding, spoken, past, bias)
        for at, row in enumerate(speaking):
            memory, tokens = memories[at], len(embeddings[at])
            memory.decoder.take(new[:, :, at, :, : heard[at]])
            # A copy: a view would hold the whole batch in memory.
            spoken = said[:, at, :, tokens : tokens + memory.spoken.shape[2]].clone()
            answers[row] = replace(memory, spoken=spoken), scores[at, :tokens]
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


def _stacked(memories: Sequence[LookBack], lengths: list[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """What the rows look back on, (L, 2, B, H, K, D), and the bias over it and their new frames, (B, 1, 1, K + T)."""
    new = torch.zeros(len(lengths), like.shape[1])
    for row, length in enumerate(lengths):
        new[row, length:] = -torch.inf
    bias = torch.cat((torch.stack([memory.bias() for memory in memories]), new), dim=1)
    return torch.stack([memory.frames for memory in memories], dim=2), bias[:, None, None].to(like)
