"""The streaming recogniser: ``ParaformerStreaming`` for 600 ms blocks with 300 ms of right context.

It starts from the encoder of the second-pass recogniser. Three losses beyond the decoder's shape the
counter of tokens (continuous integrate-and-fire): the number of tokens in each item, an auxiliary
CTC head that is dropped on saving, and silence of the counter wherever nobody speaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import sentencepiece
import torch
from funasr.models.paraformer_streaming.model import ParaformerStreaming
from torch import nn

from training.minipack import batches, vocabulary
from training.minipack.batches import Crop
from training.minipack.corpus import Corpus
from training.minipack.features import FRONTEND, MELS, Normaliser
from training.minipack.grammar import spoken_units
from training.minipack.optimise import Round, State, fit_rounds

WIDTH = 128
RIGHT_CONTEXT = 5
"""Stacked frames the encoder looks ahead; as many empty ones precede the first block of a stream."""

CTC_WEIGHT = 0.4
COUNT_WEIGHT = 3.0
BACKGROUND_WEIGHT = 1.0

ROUNDS = (
    Round(steps=1400, peak=2e-3, warmup=150, decay=0.98),
    Round(steps=1200, peak=1.2e-3, warmup=150, decay=0.993),
    Round(steps=600, peak=8e-4, warmup=100, decay=0.993),
)
SHORT_STEPS, SHORT_LONGEST, LONGEST, BUDGET = 300, 75, 240, 1800
"""The counter has to hold its count over long speech too: items longer than any seen lose characters."""

CONFIG: dict[str, Any] = {
    "model": "ParaformerStreaming",
    "model_conf": {
        "ctc_weight": 0.0,
        "lsm_weight": 0.1,
        "length_normalized_loss": True,
        "predictor_weight": 1.0,
        "predictor_bias": 0,
        "sampling_ratio": 0.4,
    },
    "encoder": "SANMEncoderChunkOpt",
    "encoder_conf": {
        "output_size": WIDTH,
        "attention_heads": 4,
        "linear_units": 320,
        "num_blocks": 4,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "attention_dropout_rate": 0.0,
        "input_layer": "pe_online",
        "pos_enc_class": "SinusoidalPositionEncoder",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
        # One size only: the class always trains with the first entry.
        "chunk_size": [15],
        "stride": [10],
        "pad_left": [0],
        "encoder_att_look_back_factor": [4],
        "decoder_att_look_back_factor": [1],
    },
    "decoder": "ParaformerSANMDecoder",
    "decoder_conf": {
        "attention_heads": 4,
        "linear_units": 320,
        "num_blocks": 2,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "self_attention_dropout_rate": 0.0,
        "src_attention_dropout_rate": 0.0,
        "att_layer_num": 2,
        "kernel_size": 11,
        "sanm_shfit": 5,
    },
    "predictor": "CifPredictorV2",
    "predictor_conf": {
        "idim": WIDTH,
        "threshold": 1.0,
        "l_order": 0,
        "r_order": 1,
        "tail_threshold": 0.45,
    },
    "frontend": "WavFrontendOnline",
    "frontend_conf": {
        **FRONTEND,
        "lfr_m": batches.WIDTH,
        "lfr_n": batches.STEP,
        "dither": 0.0,
        "cmvn_file": None,
    },
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": vocabulary.UNKNOWN, "split_with_space": True},
}
METAS = {"tokenizer_conf": {"token_list": "tokens.json"}, "frontend_conf": {"cmvn_file": "am.mvn"}}


class _BlankStart(nn.Module):
    """Positions as a stream has them: the empty frames before the first block carry none."""

    def __init__(self, positions: nn.Module) -> None:
        super().__init__()
        self.positions = positions

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.cat([frames[:, :RIGHT_CONTEXT], self.positions(frames[:, RIGHT_CONTEXT:])], dim=1)


def build() -> ParaformerStreaming:
    model_conf = {**CONFIG["model_conf"], "ctc_weight": CTC_WEIGHT}
    parts = {key: CONFIG[key] for key in ("encoder", "decoder", "predictor")}
    confs = {f"{key}_conf": CONFIG[f"{key}_conf"] for key in parts}
    return ParaformerStreaming(
        **model_conf,
        **parts,
        **confs,
        vocab_size=len(vocabulary.character_tokens()),
        input_size=MELS * batches.WIDTH,
        ctc_conf={},
    )


def train(
    speech: Corpus,
    noise: Corpus,
    normaliser: Normaliser,
    start: State,
    pieces: sentencepiece.SentencePieceProcessor,
    folder: Path,
    seed: int = 0,
) -> None:
    """Train from the ``start`` weights of the second-pass recogniser; leaves ``final.pt`` in ``folder``."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: number for number, token in enumerate(vocabulary.character_tokens())}
    model = build()
    model.load_state_dict(_inherit(model.state_dict(), start, ids, pieces))
    model.encoder.embed = _BlankStart(model.encoder.embed)

    def losses(crops: list[Crop], rng: Random) -> dict[str, torch.Tensor]:
        spoken = len(crops)
        longest = max(crop.steps for crop in crops)
        quiet = _quiet_crop(noise, longest, rng)
        parts = [batches.inputs(crop, normaliser, rng) for crop in (*crops, quiet)]
        features, lengths = batches.pad(parts)
        features = nn.functional.pad(features, (0, 0, RIGHT_CONTEXT, 0))
        targets, counts = batches.pad_targets([[ids[unit] for unit in _said(crop)] for crop in crops])
        with torch.autocast("cpu", torch.bfloat16):
            encoded, sizes = model.encode(features, lengths + RIGHT_CONTEXT)
        encoded = encoded.float()
        chunks = model.encoder.overlap_chunk_cls
        plain, plain_sizes = chunks.remove_chunk(encoded.clone(), sizes, chunk_outs=None)
        ctc, _ = model._calc_ctc_loss(plain[:spoken], plain_sizes[:spoken], targets, counts)
        text, _, _, _, count, _ = model._calc_att_predictor_loss(encoded[:spoken], sizes[:spoken], targets, counts)
        weights = _firing(model, encoded, sizes)
        stray = weights[spoken:].sum(1).mean()
        outside = (weights[:spoken] * _outside(crops, weights.shape[1])).sum(1).mean()
        return {
            "text": text,
            "ctc": CTC_WEIGHT * ctc,
            "count": COUNT_WEIGHT * count,
            "stray": BACKGROUND_WEIGHT * stray,
            "outside": BACKGROUND_WEIGHT * outside,
        }

    fit_rounds(
        model,
        ROUNDS,
        lambda number, rng: _batches(speech, number, rng),
        losses,
        "paraformer",
        folder,
        seed,
    )


def without_training_parts(state: State) -> State:
    """The weights the recogniser needs at work: all but the CTC head."""
    return {key: value for key, value in state.items() if not key.startswith("ctc.")}


def _firing(model: ParaformerStreaming, encoded: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """The counter's raw weight on every plain frame, empty start included; shape (items, frames).

    The class itself returns these weights scaled to the true count only.
    """
    predictor, chunks = model.predictor, model.encoder.overlap_chunk_cls
    rows, width = encoded.shape[:2]
    hidden = encoded * chunks.get_mask_shfit_chunk(None, encoded.device, rows)
    hidden = torch.relu(predictor.cif_conv1d(predictor.pad(hidden.transpose(1, 2)))).transpose(1, 2)
    inside = torch.arange(width)[None] < sizes[:, None]
    weights = torch.sigmoid(predictor.cif_output(hidden)).squeeze(-1) * inside
    # From overlapping chunks back to frames: this layout keeps the ten frames each chunk decides.
    layout: torch.Tensor = chunks.get_x_rm_mask(None, encoded.device)
    return weights @ layout.T


def _batches(speech: Corpus, number: int, rng: Random) -> Iterator[list[Crop]]:
    if number == 0:
        yield from islice(batches.epochs((speech,), rng, longest=SHORT_LONGEST, budget=BUDGET), SHORT_STEPS)
    yield from batches.epochs((speech,), rng, longest=LONGEST, budget=BUDGET)


def _said(crop: Crop) -> list[str]:
    return spoken_units(crop.corpus.texts[crop.index].spoken)


def _quiet_crop(noise: Corpus, longest: int, rng: Random) -> Crop:
    """A non-speech item no longer than the longest item of its batch."""
    index = rng.randrange(len(noise))
    total = len(noise.labels(index))
    return Crop(noise, index, 0, min(total, longest * batches.STEP))


def _outside(crops: list[Crop], width: int) -> torch.Tensor:
    """1 on frames that are 180 ms or more from any speech, pauses included; shape (items, width)."""
    margin = 3
    mask = torch.zeros(len(crops), width)
    for row, crop in zip(mask, crops, strict=True):
        row[: crop.steps + RIGHT_CONTEXT] = 1
        for at in np.unique(np.flatnonzero(crop.labels()) // batches.STEP):
            row[max(0, at + RIGHT_CONTEXT - margin) : at + RIGHT_CONTEXT + margin + 1] = 0
    return mask


def _inherit(state: State, start: State, ids: dict[str, int], pieces: sentencepiece.SentencePieceProcessor) -> State:
    """Take over every encoder tensor of equal name and shape, and the CTC rows of the same characters."""
    state = dict(state)
    for key, value in start.items():
        if key.startswith("encoder.") and key in state and state[key].shape == value.shape:
            state[key] = value.clone()
    for part in ("weight", "bias"):
        head = state[f"ctc.ctc_lo.{part}"].clone()
        for token, number in ids.items():
            piece = 0 if token == vocabulary.BLANK else pieces.piece_to_id(token)
            if piece or token == vocabulary.BLANK:
                head[number] = start[f"ctc.ctc_lo.{part}"][piece]
        state[f"ctc.ctc_lo.{part}"] = head
    return state
