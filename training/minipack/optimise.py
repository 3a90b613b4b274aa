"""The training loop: AdamW, a schedule counted in steps, and a running average of the weights.

Nothing here looks at the clock, so the same code and data on the same machine give the same weights.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

log = logging.getLogger(__name__)

State = dict[str, torch.Tensor]
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Round:
    """One warm-up and cosine descent. ``decay`` is that of the weight average."""

    steps: int
    peak: float
    warmup: int
    decay: float
    weight_decay: float = 1e-2

    def rate(self, step: int) -> float:
        descent = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.peak * min(1.0, (step + 1) / self.warmup) * (0.98 * descent + 0.02)


def fit(
    model: nn.Module,
    plan: Round,
    batches: Iterator[Batch],
    losses: Callable[[Batch], dict[str, torch.Tensor]],
    name: str,
    keep: Mapping[int, Path] | None = None,
) -> State:
    """Train in place on the sum of the losses; returns the averaged weights.

    ``keep`` names files that get the averaged weights after so many steps.
    """
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(plan.decay))  # type: ignore[no-untyped-call]
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.peak, betas=(0.9, 0.98), weight_decay=plan.weight_decay)
    model.train()
    began = time.process_time()
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate(step)
        parts = losses(next(batches))
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        if torch.isfinite(norm):
            optimiser.step()
        else:
            log.warning("%s step %d: gradient is not finite, skipped", name, step)
        average.update_parameters(model)
        done = step + 1
        if done % 100 == 0 or done == 10:
            shown = " ".join(f"{key} {float(value.detach()):.3f}" for key, value in parts.items())
            log.info("%s %d/%d %s (%.0f cpu s)", name, done, plan.steps, shown, time.process_time() - began)
        if keep and done in keep:
            torch.save(_plain(average), keep[done])
    return _plain(average)


def fit_rounds(
    model: nn.Module,
    plans: Sequence[Round],
    batches: Callable[[int, Random], Iterator[Batch]],
    losses: Callable[..., dict[str, torch.Tensor]],
    name: str,
    folder: Path,
    seed: int,
    keep: Mapping[int, Path] | None = None,
) -> None:
    """One round after the other, each from the averaged weights of the one before.

    Every round has its own random state and leaves its weights in ``folder`` (the last one as
    ``final.pt``), so a run that stopped goes on at the next round with the same result. ``batches`` gets
    the number of the round, from 0; ``keep`` counts the steps of the first round.
    """
    for number, plan in enumerate(plans):
        path = folder / ("final.pt" if plan is plans[-1] else f"round{number + 1}.pt")
        if path.exists():
            model.load_state_dict(torch.load(path))
            continue
        rng = Random(seed + number)
        if number:
            torch.manual_seed(seed + number)
        title = f"{name} round {number + 1}"
        stream = batches(number, rng)
        state = fit(model, plan, stream, partial(losses, rng=rng), title, None if number else keep)
        model.load_state_dict(state)
        torch.save(state, path)


def _plain(average: AveragedModel) -> State:
    return {key: value.detach().clone() for key, value in average.module.state_dict().items()}
