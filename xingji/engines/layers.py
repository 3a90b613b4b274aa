"""What the layers of the networks are made of: attention, the memory of what was said (SANM), and frames in batches.

Written for ONNX Runtime, which runs it on CPUs: what could be said in fewer words in torch takes it longer.
Shapes as in ``networks``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows of T frames. Between attention and convolution a frame is a frame, whoever's it is: ``(B T, W)``, in
    which every row has one scale where products are rounded (``quantise``). The sizes are asked for once: a graph
    that asks every tensor for its shape spends a fiftieth of its time on that."""

    rows: Any  # traced, they are no ints
    frames: Any

    @classmethod
    def of(cls, x: Tensor) -> "Batch":
        return cls(x.shape[0], x.shape[1])

    def flat(self, x: Tensor) -> Tensor:
        """(B, T, W) → (B T, W)."""
        return x.reshape(self.rows * self.frames, -1)

    def apart(self, x: Tensor) -> Tensor:
        """(B T, W) → (B, T, W)."""
        return x.view(self.rows, self.frames, -1)

    def heads(self, x: Tensor, block: Any) -> Tensor:
        """(B T, W) → (B, H, T, D)."""
        return x.view(self.rows, self.frames, block.h, block.d_k).transpose(1, 2)


def projected(x: Tensor, block: Any) -> list[Tensor]:
    """Queries, scaled, keys and values. What can be done to the weights is: an export has it done once for all. Keys
    have no bias: it adds the same to a query's scores of all keys, which softmax does not see."""
    weights, (offset, _, last) = block.linear_q_k_v.weight.chunk(3), block.linear_q_k_v.bias.chunk(3)
    scale = query_scale(block)
    return parts(x, [weights[0] * scale, *weights[1:]], [offset * scale, None, last])


def query_scale(block: Any) -> float:
    """What queries are multiplied with."""
    scale: float = block.d_k**-0.5
    return scale


def parts(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> list[Tensor]:
    """Each part of a projection as a product of its own: ONNX Runtime takes long to split one."""
    return [F.linear(x, weight, bias) for weight, bias in zip(weights, biases, strict=True)]


def joined(x: Tensor, block: Any) -> Tensor:
    """(B, H, T, D) → (B T, W)."""
    return x.transpose(1, 2).reshape(-1, block.h * block.d_k)


def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, block: Any, batch: Batch) -> Tensor:
    """What attention makes of (B T, W) each; ``bias`` spreads over (B, H, T, T)."""
    query, keys, values = (batch.heads(part, block) for part in (q, k, v))
    return out(torch.softmax(query @ keys.transpose(2, 3) + bias, dim=-1) @ values, block)


def looking_back(
    query: Tensor, keys: Tensor, values: Tensor, past: tuple[Tensor, ...], bias: Tensor, block: Any, batch: Batch
) -> Tensor:
    """Attention of ``query`` (B T, W) to ``past``, keys and values, and to what is new, all (B, H, any, D)."""
    keys, values = torch.cat((past[0].to(keys), keys), dim=2), torch.cat((past[1].to(values), values), dim=2)
    scores = batch.heads(query, block) @ keys.transpose(2, 3) + bias
    return out(torch.softmax(scores, dim=-1) @ values, block)


def out(attended: Tensor, block: Any) -> Tensor:
    """(B, H, T, D) → (B T, W), to which the bias of the product has yet to be added."""
    return F.linear(joined(attended, block), block.linear_out.weight)


def mixed(layer: Any, x: Tensor, attended: Tensor, v: Tensor, batch: Batch) -> Tensor:
    """The rest of a layer with attention and memory (SANM): what is attended to, the convolution, feed-forward."""
    block = layer.self_attn
    before, after = block.pad_fn.padding
    even = before if before == after else 0
    v = batch.apart(v)
    v = v if even else F.pad(v, (0, 0, before, after))
    mixed = attended + batch.flat(convolved(v, block.fsmn_block, even, before, block.linear_out.bias))
    x = x + mixed if layer.in_size == layer.size else mixed
    fed: Tensor = x + layer.feed_forward(layer.norm2(x))
    return fed


def convolved(
    x: Tensor, convolution: nn.Conv1d, padding: int = 0, here: int = -1, bias: Tensor | None = None
) -> Tensor:
    """What was said plus ``convolution`` over the time of ``x`` (B, T, W), plus ``bias``: the kernel's place ``here``
    is now.

    Written as one convolution over images of one row, channels last: for those ONNX Runtime has a kernel that is ten
    times as fast.
    """
    image = x.unsqueeze(1).permute(0, 3, 1, 2)
    places = range(convolution.kernel_size[0])
    now = torch.tensor([float(place == here % len(places)) for place in places], device=x.device)
    weight = (convolution.weight + now).unsqueeze(2)
    return F.conv2d(image, weight, bias, padding=(0, padding), groups=x.shape[2]).permute(0, 2, 3, 1).squeeze(1)
