"""The voice activity detector: ``FsmnVADStreaming`` with two classes, background and speech."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from funasr.models.fsmn_vad_streaming.model import FsmnVADStreaming
from numpy.typing import NDArray
from torch import nn

from training.minipack.corpus import Corpus
from training.minipack.features import FRONTEND, Frames, Normaliser, stack
from training.minipack.optimise import Round, fit

WIDTH, STEP = 5, 1
SEQUENCE = 800
"""Frames of 10 ms in one training sequence."""

ROUND = Round(steps=2000, peak=2e-3, warmup=100, decay=0.98, weight_decay=1e-3)
SMOOTHING = 0.03
"""The class takes log(p) and log(1 - p) of its output; smoothing keeps both finite on digital silence."""

BEGIN_DELAY, END_ADVANCE = 2, 4
"""Frames. The class smooths over 200 ms and so puts the begin 70 ms early and the end 70 ms late, beyond its
own look-back and look-ahead; labels that are shorter halve that. All of it would make pauses seem so long that
the class ends sentences at 0.45 s of silence where 0.8 s was asked for."""

CONFIG: dict[str, Any] = {
    "model": "FsmnVADStreaming",
    "model_conf": {
        "sample_rate": 16000,
        "detect_mode": 1,
        "snr_mode": 0,
        "max_end_silence_time": 800,
        "max_start_silence_time": 3000,
        "do_start_point_detection": True,
        "do_end_point_detection": True,
        "window_size_ms": 200,
        "sil_to_speech_time_thres": 150,
        "speech_to_sil_time_thres": 150,
        "speech_2_noise_ratio": 1.0,
        "do_extend": 1,
        "lookback_time_start_point": 200,
        "lookahead_time_end_point": 100,
        "max_single_segment_time": 60000,
        "snr_thres": -100.0,
        "noise_frame_num_used_for_snr": 100,
        "decibel_thres": -100.0,
        "speech_noise_thres": 0.6,
        "fe_prior_thres": 0.0001,
        "silence_pdf_num": 1,
        "sil_pdf_ids": [0],
        "speech_noise_thresh_low": -0.1,
        "speech_noise_thresh_high": 0.3,
        "output_frame_probs": False,
        "frame_in_ms": 10,
        "frame_length_ms": 25,
    },
    "encoder": "FSMN",
    "encoder_conf": {
        "input_dim": 400,
        "input_affine_dim": 64,
        "fsmn_layers": 4,
        "linear_dim": 128,
        "proj_dim": 64,
        "lorder": 20,
        "rorder": 0,
        "lstride": 1,
        "rstride": 0,
        "output_affine_dim": 64,
        "output_dim": 2,
    },
    "frontend": "WavFrontendOnline",
    "frontend_conf": {**FRONTEND, "dither": 0.0, "lfr_m": WIDTH, "lfr_n": STEP, "cmvn_file": None},
}
METAS = {"frontend_conf": {"cmvn_file": "am.mvn"}}


def train(speech: Corpus, noise: Corpus, normaliser: Normaliser, folder: Path, seed: int = 0) -> None:
    """Leaves ``final.pt`` in ``folder``."""
    torch.manual_seed(seed)
    rng = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model = FsmnVADStreaming(encoder=CONFIG["encoder"], encoder_conf=CONFIG["encoder_conf"], **CONFIG["model_conf"])
    model.encoder.use_softmax = False

    def losses(sequences: list[tuple[Frames, NDArray[np.uint8]]]) -> dict[str, torch.Tensor]:
        frames = torch.from_numpy(np.stack([frames for frames, _ in sequences]))
        labels = torch.from_numpy(np.stack([labels for _, labels in sequences])).long()
        scores = model.encoder(frames, None)
        loss = nn.functional.cross_entropy(scores.reshape(-1, 2), labels.reshape(-1), label_smoothing=SMOOTHING)
        return {"frame": loss}

    stream = iter(lambda: [_sequence(speech, noise, normaliser, rng) for _ in range(16)], None)
    torch.save(fit(model, ROUND, stream, losses, "vad"), folder / "final.pt")


def _sequence(speech: Corpus, noise: Corpus, normaliser: Normaliser, rng: Random) -> tuple[Frames, NDArray[np.uint8]]:
    """Utterances and non-speech in any order, cut to one length; frames (800, 400), labels (800,)."""
    frames, labels, length = [], [], 0
    while length < SEQUENCE:
        source = speech if rng.random() < 0.5 else noise
        index = rng.randrange(len(source))
        total = len(source.labels(index))
        first = rng.randrange(0, 200) if source is speech else rng.randrange(0, total // 2)
        heard = source.frames(index)[first:]
        frames.append(_vary(heard, rng) if source is noise else heard)
        labels.append(source.labels(index)[first:])
        length += total - first
    joined = np.concatenate(frames)[:SEQUENCE]
    return normaliser(stack(joined, WIDTH, STEP), WIDTH), shorten(np.concatenate(labels)[:SEQUENCE])


def _vary(frames: Frames, rng: Random) -> Frames:
    """Another pitch and loudness of what is no speech: few items must stand for all music."""
    shift = rng.randint(-6, 6)
    moved = np.roll(frames, shift, axis=1)
    if shift > 0:
        moved[:, :shift] = moved[:, shift : shift + 1]
    elif shift < 0:
        moved[:, shift:] = moved[:, shift - 1 : shift]
    return moved + np.float32(rng.gauss(0, 1))


def shorten(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every run of speech without its first and last frames; a run too short for that becomes background."""
    padded = np.pad(labels, (BEGIN_DELAY, END_ADVANCE), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, BEGIN_DELAY + END_ADVANCE + 1)
    return windows.min(axis=1)
