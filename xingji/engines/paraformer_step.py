"""One chunk of streaming Paraformer for many segments at once.

The stock class takes one segment a call and asserts so. Here what a segment carries from chunk to chunk (the
waiting feature frames, the encoder's and decoder's look-back, the counter's remainder) lies in its ``Memory``
and is stacked for one call of the shared networks (``networks``). The tokens are those of the stock class, the
log-probabilities within 1e-4 (float32); a row's result does not depend on who shares the batch beyond the last
bits of the arithmetic.

Shapes: B segments, T stacked frames of 60 ms, K frames of look-back, L layers, H heads of D, W model width,
M tokens, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xingji.engines.directory import Directory
from xingji.engines.loading import Native, Network, padded

_ENCODER_LOOK_BACK = 4  # chunks, as trained
_DECODER_LOOK_BACK = 1

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the configuration says of the model."""

    features: int
    width: int  # of encoder and decoder
    vocabulary: int
    encoder: tuple[int, int]  # layers, heads
    decoder: tuple[int, int]
    kernel: int  # of the decoder's convolutions
    threshold: float  # of the counter
    tail: float  # what the end of a segment adds to its sum


def shape(directory: Directory, features: int, vocabulary: int) -> Shape:
    """Where the configuration leaves something out, the stock class's own value (funasr 1.4.16). Raises EngineError
    for a model that is built in another way than streaming Paraformers are."""
    encoder, decoder = directory.section("encoder_conf"), directory.section("decoder_conf")
    counter = directory.section("predictor_conf")
    layers = decoder.get("num_blocks", 6)
    if decoder.get("att_layer_num", 6) != layers or not encoder.get("normalize_before", True):
        raise directory.error("the streaming Paraformer has layers of an unknown kind")
    return Shape(
        features,
        encoder.get("output_size", 256),
        vocabulary,
        (encoder.get("num_blocks", 6), encoder.get("attention_heads", 4)),
        (layers, decoder.get("attention_heads", 4)),
        decoder.get("kernel_size", 21),
        counter.get("threshold", 1.0),
        counter.get("tail_threshold", 0.0),
    )


class LookBack:
    """The keys and values of the last K frames, in no order: attention needs none. New ones take the oldest places."""

    def __init__(self, network: Network, layers: int, heads: int, span: int, depth: int) -> None:
        self.frames = network.zeros(2 * layers, heads, span, depth)
        self._span = span
        self._taken = 0  # frames that ever came

    def bias(self) -> Array:
        """(K,): 0 where there is a frame, -inf where none has come yet."""
        return np.where(np.arange(self._span) < self._taken, 0, -np.inf).astype(np.float32)

    def take(self, new: Native) -> None:
        """``new``: (2 L, H, any number, D)."""
        new = new[:, :, -self._span :]
        count, place = new.shape[2], self._taken % self._span
        before = min(count, self._span - place)  # so many up to the ring's end, the others from its start on
        self.frames[:, :, place : place + before] = new[:, :, :before]
        self.frames[:, :, : count - before] = new[:, :, before:]
        self._taken += count


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What one segment carries from chunk to chunk. A call that fails leaves it as it was; the memory that follows
    takes over the look-backs."""

    chunk: int  # stacked frames
    waiting: Array  # (frames ahead, features): they wait for their right context, scaled and with positions
    encoder: LookBack
    decoder: LookBack
    spoken: Array  # (decoder layers, kernel - 1, W): the last inputs of its convolutions; zeros before the first
    position: int = 0  # frames heard
    counted: float = 0.0  # the counter's remainder, in tokens
    remainder: Array | None = None  # (W,): its mean encoding
    place: float = 0.0  # the frame that most of it is from
    places: Array = field(default_factory=lambda: np.zeros(0, np.float32))  # (M,): the same of each new token


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one segment hears next: feature frames ``(n, features)``, any ``n`` in the last chunk."""

    memory: Memory
    frames: Array
    last: bool


class Stepper:
    """The shared network. Use from one thread."""

    def __init__(self, shape: Shape, encode: Network, decode: Network) -> None:
        self._shape, self._encode, self._decode = shape, encode, decode
        self._positions = positions(1024, shape.features)

    def open(self, chunk: int) -> Memory:
        """A new segment, ``chunk`` frames at a time with half as many ahead; the first ones are empty."""
        shape = self._shape
        (hears, ears), (speaks, mouths) = shape.encoder, shape.decoder
        return Memory(
            chunk,
            np.zeros((chunk // 2, shape.features), np.float32),
            LookBack(self._encode, hears, ears, _ENCODER_LOOK_BACK * chunk, shape.width // ears),
            LookBack(self._decode, speaks, mouths, _DECODER_LOOK_BACK * chunk, shape.width // mouths),
            np.zeros((speaks, shape.kernel - 1, shape.width), np.float32),
        )

    def step(self, chunks: Sequence[Chunk]) -> list[tuple[Memory, Array]]:
        """The new memory and the log-probabilities ``(M, V)`` of each. All chunks must be of one size.

        The last chunk decides the frames that waited too; nothing may follow it.
        """
        rows = [self._hear(chunk) for chunk in chunks]
        memories, lengths = [chunk.memory for chunk in chunks], [len(row) for row in rows]
        x = padded(rows)
        inside = np.arange(x.shape[1])[None, :, None] < np.array(lengths)[:, None, None]
        look = [memory.encoder for memory in memories]
        past = self._encode.stacked([ring.frames for ring in look])
        encoded, weights, new = self._encode(x, _bias(look, lengths), inside.astype(np.float32), *past)
        encoded, weights = self._encode.fetched(encoded), self._encode.fetched(weights)
        # Later chunks look back on what is no longer ahead.
        decided = [length - len(memory.waiting) for memory, length in zip(memories, lengths, strict=True)]
        counted = []
        for row, (chunk, length) in enumerate(zip(chunks, lengths, strict=True)):
            end = chunk.memory.position + len(chunk.frames)
            memory = replace(chunk.memory, position=end, waiting=rows[row][decided[row] :])
            counted.append(self._fire(memory, weights[row, :length], encoded[row, :length], last=chunk.last))
        answers = self._say(counted, encoded, lengths)
        for row, memory in enumerate(memories):  # last, so that a call that fails leaves no trace
            memory.encoder.take(new[:, row, :, : decided[row]])
        return answers

    def _hear(self, chunk: Chunk) -> Array:
        """The waiting frames and the new ones, shape (T, features)."""
        memory = chunk.memory
        end = memory.position + len(chunk.frames)
        if end > len(self._positions):
            self._positions = positions(2 * end, self._shape.features)
        scale = np.float32(self._shape.width**0.5)
        return np.concatenate((memory.waiting, chunk.frames * scale + self._positions[memory.position : end]))

    # -- counter (continuous integrate-and-fire) ------------------------------------------

    def _fire(self, memory: Memory, summed: Array, encoded: Array, *, last: bool) -> tuple[Memory, Array]:
        """One embedding ``(M, W)``: a token each time the summed weights pass the threshold. Where a token lies is
        the frame that it took most of its weight from."""
        weights = summed
        at = np.arange(len(weights), dtype=np.float32) + np.float32(memory.position - len(weights))
        if not last:
            weights = weights.copy()
            weights[memory.chunk :] = 0  # what is ahead is counted when it is no longer ahead
        if memory.remainder is not None:
            weights = np.append(np.float32(memory.counted), weights)
            encoded = np.concatenate((memory.remainder[None], encoded))
            at = np.append(np.float32(memory.place), at)
        if last:
            weights = np.append(weights, np.float32(self._shape.tail))
            encoded = np.concatenate((encoded, np.zeros_like(encoded[:1])))
            at = np.append(at, at[-1:])
        shares, rest, counted = integrate(weights, np.float32(self._shape.threshold))
        remainder = rest @ encoded
        if counted > 0:
            remainder = remainder / counted
        memory = replace(memory, counted=float(counted), remainder=remainder, place=float(at[rest.argmax()]))
        return replace(memory, places=at[shares.argmax(axis=1)]), shares @ encoded

    # -- decoder ----------------------------------------------------------------------

    def _say(
        self, counted: list[tuple[Memory, Array]], encoded: Array, lengths: list[int]
    ) -> list[tuple[Memory, Array]]:
        """Log-probabilities of every row's tokens. A row without one is left out and its decoder remembers nothing
        of the chunk, as in the stock class."""
        nothing = np.empty((0, self._shape.vocabulary), np.float32)
        answers = [(memory, nothing) for memory, _ in counted]
        speaking = [row for row, (_, embedding) in enumerate(counted) if len(embedding)]
        if not speaking:
            return answers
        memories, embeddings = [counted[row][0] for row in speaking], [counted[row][1] for row in speaking]
        heard = [lengths[row] for row in speaking]
        spoken = np.stack([memory.spoken for memory in memories], axis=1)
        look = [memory.decoder for memory in memories]
        past = self._decode.stacked([ring.frames for ring in look])
        encoded = encoded[speaking, : max(heard)]  # the longest row may be one of the silent
        scores, said, new = self._decode(encoded, padded(embeddings), spoken, _bias(look, heard), *past)
        scores, said = self._decode.fetched(scores), self._decode.fetched(said)
        for at, row in enumerate(speaking):
            memory, tokens = memories[at], len(embeddings[at])
            memory.decoder.take(new[:, at, :, : heard[at]])
            # A copy: a view would hold the whole batch in memory.
            spoken = said[:, at, tokens : tokens + memory.spoken.shape[1]].copy()
            answers[row] = replace(memory, spoken=spoken), scores[at, :tokens]
        return answers


def positions(length: int, depth: int) -> Array:
    """The stock position code from 1 on, (length, depth): the stock class computes it anew in every chunk."""
    scales = np.exp(np.arange(depth // 2, dtype=np.float32) * np.float32(-np.log(10_000) / (depth / 2 - 1)))
    angles = np.arange(1, length + 1, dtype=np.float32)[:, None] * scales
    return np.concatenate((np.sin(angles), np.cos(angles)), axis=1)


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


def _bias(look: Sequence[LookBack], lengths: Sequence[int]) -> Array:
    """0 or -inf for what each row looks back on and its new frames, (B, 1, 1, K + T)."""
    new = np.where(np.arange(max(lengths)) < np.array(lengths)[:, None], 0, -np.inf).astype(np.float32)
    return np.concatenate((np.stack([ring.bias() for ring in look]), new), axis=1)[:, None, None]
