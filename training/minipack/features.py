"""From waves to model inputs: room, channel and noise, log mel energies, frame stacking, normalisation."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import kaldi_native_fbank as knf
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.signal import fftconvolve

from training.minipack.sounds import background, draw_non_speech
from training.minipack.speech import SAMPLE_RATE, Wave

Frames = NDArray[np.float32]
"""Log mel energies, shape (frames, 80); one frame every 10 ms."""

MELS = 80
FRAME_SHIFT = SAMPLE_RATE // 100
FRAME_LENGTH = SAMPLE_RATE // 40

SOUNDING_DB = 28
"""Some espeak-ng voices trail an echo 30 to 40 dB below their speech; it must not count as speech."""

FRONTEND = {"fs": SAMPLE_RATE, "window": "hamming", "n_mels": MELS, "frame_length": 25, "frame_shift": 10}
"""The part of ``frontend_conf`` that :func:`fbank` equals; every model adds its own stacking."""


@dataclass(frozen=True)
class Setting:
    """Where and how a sentence is heard: padding in seconds, level in dBFS peak, SNR in dB or None."""

    lead_s: float
    tail_s: float
    level_db: float
    snr_db: float | None
    reverberation_s: float
    telephone: bool
    music: bool = False


def draw_setting(rng: Generator, lead_s: float, tail_s: float) -> Setting:
    return Setting(
        lead_s=lead_s,
        tail_s=tail_s,
        level_db=rng.uniform(-26, -1),
        snr_db=rng.uniform(8, 45) if rng.random() < 0.8 else None,
        reverberation_s=rng.uniform(0.1, 0.5) if rng.random() < 0.3 else 0.0,
        telephone=rng.random() < 0.15,
        music=rng.random() < 0.1,
    )


def place(speech: Wave, setting: Setting, rng: Generator) -> Wave:
    """The speech as heard in the setting, on the int16 grid. Starts ``lead_s`` before the speech."""
    lead, tail = round(setting.lead_s * SAMPLE_RATE), round(setting.tail_s * SAMPLE_RATE)
    wave = np.concatenate([np.zeros(lead, np.float32), speech, np.zeros(tail, np.float32)])
    if setting.reverberation_s:
        wave = fftconvolve(wave, _room(rng, setting.reverberation_s))[: len(wave)].astype(np.float32)
    wave = wave / np.abs(wave).max() * 10 ** (setting.level_db / 20)
    if setting.telephone:
        wave = _telephone(wave)
    if setting.snr_db is not None:
        power = float(np.mean(wave[lead : lead + len(speech)] ** 2))
        noise = _disturbance(rng, len(wave), music=setting.music)
        wave = wave + noise * np.sqrt(power) * 10 ** (-setting.snr_db / 20)
    return (np.round(np.clip(wave, -1, 1) * 32767) / 32768).astype(np.float32)


def speech_frames(speech: Wave, lead: int, count: int) -> NDArray[np.uint8]:
    """Which of ``count`` frames sound, given clean speech that starts at sample ``lead``.

    A frame sounds when it is within :data:`SOUNDING_DB` of the loudest; gaps shorter than 200 ms count as
    speech.
    """
    wave = np.zeros(count * FRAME_SHIFT + FRAME_LENGTH, np.float32)
    usable = min(len(speech), len(wave) - lead)
    wave[lead : lead + usable] = speech[:usable]
    windows = np.lib.stride_tricks.sliding_window_view(wave, FRAME_LENGTH)[::FRAME_SHIFT][:count]
    energy = 10 * np.log10(np.mean(windows**2, axis=1) + 1e-12)
    sounding = np.flatnonzero(energy > energy.max() - SOUNDING_DB)
    labels = np.zeros(count, np.uint8)
    labels[sounding] = 1
    for left, right in itertools.pairwise(sounding):
        if 1 < right - left < 20:
            labels[left:right] = 1
    return labels


def fbank(wave: Wave) -> Frames:
    """What the frontends of the engines compute with ``dither: 0.0``: 25 ms Hamming, 80 mels, int16 scale."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hamming"
    options.mel_opts.num_bins = MELS
    options.energy_floor = 0.0
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(SAMPLE_RATE, wave * 32768)
    bank.input_finished()
    return np.stack([bank.get_frame(index) for index in range(bank.num_frames_ready)]).astype(np.float32)


def stack(frames: Frames, width: int, step: int) -> Frames:
    """Low frame rate: ``width`` frames side by side every ``step``, edges repeated.

    Shape (frames, 80) becomes (frames / step, 80 * width).
    """
    count = -(-len(frames) // step)
    left = (width - 1) // 2
    right = max(0, (count - 1) * step + width - left - len(frames))
    padded = np.pad(frames, ((left, right), (0, 0)), mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)[::step][:count]
    return view.transpose(0, 2, 1).reshape(count, -1)


@dataclass(frozen=True)
class Normaliser:
    """Mean and deviation of every mel bin over the training speech; shape (80,) each."""

    mean: Frames
    deviation: Frames

    @classmethod
    def measure(cls, sample: Frames) -> Normaliser:
        return cls(sample.mean(0), sample.std(0))

    def __call__(self, stacked: Frames, width: int) -> Frames:
        return ((stacked - np.tile(self.mean, width)) / np.tile(self.deviation, width)).astype(np.float32)

    def save(self, path: Path, width: int) -> None:
        """The Kaldi ``am.mvn`` text that the frontends read, for ``width`` stacked frames."""
        size = MELS * width
        shift = " ".join(f"{value:.6g}" for value in np.tile(-self.mean, width))
        scale = " ".join(f"{value:.6g}" for value in np.tile(1 / self.deviation, width))
        path.write_text(
            f"<Nnet>\n<Splice> {size} {size}\n[ 0 ]\n"
            f"<AddShift> {size} {size}\n<LearnRateCoef> 0 [ {shift} ]\n"
            f"<Rescale> {size} {size}\n<LearnRateCoef> 0 [ {scale} ]\n</Nnet>\n"
        )


def _room(rng: Generator, reverberation_s: float) -> Wave:
    length = round(reverberation_s * SAMPLE_RATE)
    decay = np.exp(-6.9 * np.arange(length) / length)
    response = rng.standard_normal(length) * decay * rng.uniform(0.02, 0.12)
    response[0] = 1
    return response.astype(np.float32)


def _telephone(wave: Wave) -> Wave:
    # A length with small factors: the transform of a prime length takes thirty times as long.
    length = next_fast_len(len(wave), real=True)
    spectrum = np.fft.rfft(wave, length)
    spectrum[np.fft.rfftfreq(length, 1 / SAMPLE_RATE) > 3500] *= 0.02
    return np.fft.irfft(spectrum, length)[: len(wave)].astype(np.float32)


def _disturbance(rng: Generator, length: int, *, music: bool) -> Wave:
    """Unit power noise; with ``music`` any non-speech sound over it."""
    noise = background(rng, length)
    if music:
        other = draw_non_speech(rng, length)
        power = float(np.mean(other**2))
        if power > 0:
            noise = noise * 0.3 + other / np.sqrt(power)
            noise = noise / np.sqrt(np.mean(noise**2))
    return noise.astype(np.float32)
