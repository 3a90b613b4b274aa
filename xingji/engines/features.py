"""Log mel energies as Kaldi computes them, stacked and normalised as a model wants them.

One :class:`Features` walks along one stream, so a frame is computed once however the samples come in pieces, and
what it gives is bit for bit what funasr's ``WavFrontend`` gives for the whole and ``WavFrontendOnline`` for the
same pieces (funasr 1.4.16, without dither).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kaldi_native_fbank
import numpy as np
from numpy.typing import NDArray

from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines.directory import Directory

FRAME = SAMPLE_RATE * 25 // 1000  # samples of one analysis frame; anything shorter has no features at all
SHIFT = SAMPLE_RATE * 10 // 1000  # samples between frames

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FrontEnd:
    """What a model's configuration says: ``stack`` frames of ``bins`` energies at every ``step``-th frame, moved by
    ``shift`` and scaled by ``scale``, float32 ``(stack * bins,)`` each."""

    bins: int
    stack: int
    step: int
    shift: Array
    scale: Array

    @property
    def size(self) -> int:
        return self.stack * self.bins

    def open(self) -> "Features":
        """For a new stream."""
        return Features(self)

    def whole(self, samples: Samples) -> Array:
        """A segment's features, float32 ``(n, size)``."""
        return Features(self).push(samples, last=True)


class Features:
    """One stream's way through the front end."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._of = front_end
        self._bank = kaldi_native_fbank.OnlineFbank(_options(front_end.bins))
        self._taken = 0  # frames taken from the bank
        self._waiting = np.empty((0, front_end.bins), np.float32)  # frames that later stacks need

    def push(self, samples: Samples, last: bool) -> Array:
        """The features that int16 ``samples`` complete, float32 ``(n, size)``. ``last`` also gives those that waited
        for frames to come, made up with the last frame; nothing may follow."""
        stack, step, behind = self._of.stack, self._of.step, (self._of.stack - 1) // 2
        begun = self._taken > 0
        frames = self._energies(samples)
        if not begun:
            frames = np.concatenate((np.repeat(frames[:1], behind, axis=0), frames))
        frames = np.concatenate((self._waiting, frames))
        if last:
            count = max(0, math.ceil((len(frames) - behind) / step))
            lacking = (count - 1) * step + stack - len(frames)
            if count and lacking > 0:
                frames = np.concatenate((frames, np.repeat(frames[-1:], lacking, axis=0)))
        else:
            count = max(0, (len(frames) - stack) // step + 1)
        self._waiting = frames[count * step :]
        places = np.arange(count)[:, None] * step + np.arange(stack)
        stacked: Array = frames[places].reshape(count, self._of.size)
        return (stacked + self._of.shift) * self._of.scale

    def _energies(self, samples: Samples) -> Array:
        """Log mel energies of the frames that ``samples`` complete, ``(n, bins)``."""
        self._bank.accept_waveform(SAMPLE_RATE, samples.astype(np.float32).tolist())  # as a list: twice as fast
        begun, self._taken = self._taken, self._bank.num_frames_ready
        frames = np.empty((self._taken - begun, self._of.bins), np.float32)
        for row, number in enumerate(range(begun, self._taken)):
            frames[row] = self._bank.get_frame(number)
        self._bank.pop(len(frames))  # it would keep them all
        return frames


def front_end(directory: Directory) -> FrontEnd:
    """The front end of a model. Raises EngineError for one of another kind than all of funasr's 16 kHz models have, or
    where the statistics do not fit."""
    options = directory.section("frontend_conf")
    fixed = {"fs": SAMPLE_RATE, "window": "hamming", "frame_length": 25, "frame_shift": 10}
    if any(options.get(name, value) != value for name, value in fixed.items()):
        raise directory.error("the front end is of an unknown kind")
    bins, stack, step = (options.get(name, value) for name, value in (("n_mels", 80), ("lfr_m", 1), ("lfr_n", 1)))
    shift, scale = _statistics(directory.files["cmvn_file"])
    if len(shift) != stack * bins or len(scale) != stack * bins:
        raise directory.error("the feature statistics (am.mvn) do not fit the model")
    return FrontEnd(bins, stack, step, shift, scale)


def _statistics(file: Path) -> tuple[Array, Array]:
    """``<AddShift>`` and ``<Rescale>`` of a Kaldi network in text form; empty where they are not there."""
    found = {"<AddShift>": np.empty(0, np.float32), "<Rescale>": np.empty(0, np.float32)}
    lines = [line.split() for line in file.read_text("utf-8", "replace").splitlines()]
    for (name, *_), values in zip(filter(None, lines), filter(None, lines[1:]), strict=False):
        if name in found and values[0] == "<LearnRateCoef>":
            try:
                found[name] = np.array(values[3:-1], np.float32)
            except ValueError:
                break
    return found["<AddShift>"], found["<Rescale>"]


def _options(bins: int) -> Any:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.frame_length_ms = 25
    options.frame_opts.frame_shift_ms = 10
    options.frame_opts.window_type = "hamming"
    options.frame_opts.dither = 0  # noise: the same audio would give other text
    options.mel_opts.num_bins = bins
    options.energy_floor = 0
    return options
