"""Batches of recognition training: crops of about equal length, masked in time and frequency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray

from training.minipack.corpus import Corpus
from training.minipack.features import MELS, Frames, Normaliser, stack

WIDTH, STEP = 7, 6
"""Stacking of both recognisers: seven 10 ms frames every 60 ms."""


@dataclass(frozen=True)
class Crop:
    """Part of one corpus item, ``first`` ≤ frame < ``last`` in 10 ms frames; ``steps`` in stacked frames."""

    corpus: Corpus
    index: int
    first: int
    last: int

    @property
    def steps(self) -> int:
        return -(-(self.last - self.first) // STEP)

    def labels(self) -> NDArray[np.uint8]:
        """1 where a 10 ms frame of the crop sounds."""
        return self.corpus.labels(self.index)[self.first : self.last]


def draw_crop(corpus: Corpus, index: int, rng: Random) -> Crop:
    """The speech with 0.06–2.2 s of background before and 0.08–1.5 s after; without speech the whole item."""
    begin, end = corpus.speech_span(index)
    total = len(corpus.labels(index))
    if begin == end:
        return Crop(corpus, index, 0, total)
    lead = rng.randint(6, 50) if rng.random() < 0.6 else rng.randint(50, 218)
    tail = rng.randint(8, 50) if rng.random() < 0.6 else rng.randint(50, 148)
    return Crop(corpus, index, max(0, begin - lead), min(total, end + tail))


def epochs(corpora: Sequence[Corpus], rng: Random, *, longest: int, budget: int) -> Iterator[list[Crop]]:
    """Endless batches of at most ``budget`` stacked frames, ``longest`` per item; every epoch crops anew."""
    while True:
        crops = [draw_crop(corpus, index, rng) for corpus in corpora for index in range(len(corpus))]
        crops = [crop for crop in crops if crop.steps <= longest]
        crops.sort(key=lambda crop: crop.steps + rng.random() * 20)
        batches: list[list[Crop]] = [[]]
        widest = 0
        for crop in crops:
            widest = max(widest, crop.steps)
            if batches[-1] and widest * (len(batches[-1]) + 1) > budget:
                batches.append([])
                widest = crop.steps
            batches[-1].append(crop)
        rng.shuffle(batches)
        yield from batches


def inputs(crop: Crop, normaliser: Normaliser, rng: Random) -> Frames:
    """Normalised, masked model input, shape (steps, 560)."""
    frames = crop.corpus.frames(crop.index)[crop.first : crop.last]
    return _mask(normaliser(stack(frames, WIDTH, STEP), WIDTH), rng)


def pad(parts: Sequence[Frames]) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, steps, 560) float32, zero-padded, and (batch,) lengths."""
    lengths = torch.tensor([len(part) for part in parts])
    padded = torch.zeros(len(parts), int(lengths.max()), parts[0].shape[1])
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = torch.from_numpy(part)
    return padded, lengths


def pad_targets(targets: Sequence[Sequence[int]], filler: int = -1) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(target) for target in targets])
    padded = torch.full((len(targets), int(lengths.max())), filler)
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = torch.tensor(target, dtype=torch.long)
    return padded, lengths


def _mask(frames: Frames, rng: Random) -> Frames:
    """Two short gaps in time and two in frequency, replaced by the mean."""
    frames = np.array(frames)
    for _ in range(2):
        width = rng.randrange(6)
        start = rng.randrange(max(1, len(frames) - width))
        frames[start : start + width] = 0
    bands = frames.reshape(len(frames), WIDTH, MELS)
    for _ in range(2):
        width = rng.randrange(12)
        start = rng.randrange(MELS - width)
        bands[:, :, start : start + width] = 0
    return frames
