"""The second-pass recogniser: ``SenseVoiceSmall`` with a 128-wide encoder and a character vocabulary.

One model, two styles: asked ``withitn`` it writes digits and punctuation, asked ``woitn`` it writes bare
spoken characters; sound without speech is tagged ``<|nospeech|>`` and gets no text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import sentencepiece
import torch
from funasr.models.sense_voice.model import SenseVoiceSmall

from training.minipack import batches, vocabulary
from training.minipack.batches import Crop
from training.minipack.corpus import Corpus
from training.minipack.features import FRONTEND, MELS, Normaliser
from training.minipack.grammar import spoken_units, units
from training.minipack.optimise import Round, fit_rounds

BPE_FILE = "chn_jpn_yue_eng_ko_spectok.bpe.model"
EARLY_STEP = 800
"""When the encoder is good enough to start the streaming recogniser from."""

ROUNDS = (
    Round(steps=2300, peak=2e-3, warmup=300, decay=0.99),
    Round(steps=1000, peak=1.2e-3, warmup=150, decay=0.993),
)
SHORT_STEPS, SHORT_LONGEST, LONGEST, BUDGET = 700, 75, 300, 2600
"""The first batches hold short items only: connectionist alignment starts more easily on them."""

CONFIG: dict[str, Any] = {
    "model": "SenseVoiceSmall",
    "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
    "encoder": "SenseVoiceEncoderSmall",
    "encoder_conf": {
        "output_size": 128,
        "attention_heads": 4,
        "linear_units": 320,
        "num_blocks": 4,
        "tp_blocks": 1,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "attention_dropout_rate": 0.0,
        "input_layer": "pe",
        "pos_enc_class": "SinusoidalPositionEncoder",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
    },
    "tokenizer": "SentencepiecesTokenizer",
    "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
    "frontend": "WavFrontend",
    "frontend_conf": {
        **FRONTEND,
        "lfr_m": batches.WIDTH,
        "lfr_n": batches.STEP,
        "dither": 0.0,
        "cmvn_file": None,
    },
    "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True, "ignore_nan_grad": True},
    "normalize": None,
}
METAS = {"tokenizer_conf": {"bpemodel": BPE_FILE}, "frontend_conf": {"cmvn_file": "am.mvn"}}


def build(pieces: sentencepiece.SentencePieceProcessor) -> SenseVoiceSmall:
    model = SenseVoiceSmall(
        **{**CONFIG, **CONFIG["model_conf"]},
        vocab_size=pieces.get_piece_size(),
        input_size=MELS * batches.WIDTH,
    )
    # The class maps the token ids of the official vocabulary to query embeddings; ours are other ids. Speech
    # and its absence share the Chinese query, so that the tag has to come from the sound.
    chinese = model.lid_dict["zh"]
    model.lid_int_dict = {
        pieces.piece_to_id("<|zh|>"): chinese,
        pieces.piece_to_id("<|nospeech|>"): chinese,
    }
    model.textnorm_int_dict = {
        pieces.piece_to_id(f"<|{style}|>"): number for style, number in model.textnorm_dict.items()
    }
    return model


def train(corpora: tuple[Corpus, Corpus], normaliser: Normaliser, folder: Path, seed: int = 0) -> None:
    """Leaves ``bpe.model``, ``early.pt`` and ``final.pt`` (float32 weights) in ``folder``."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    pieces = load_pieces(folder)
    model = build(pieces)

    def losses(crops: list[Crop], rng: Random) -> dict[str, torch.Tensor]:
        speech, lengths = batches.pad([batches.inputs(crop, normaliser, rng) for crop in crops])
        targets, counts = batches.pad_targets([_target(crop, pieces, rng) for crop in crops])
        with torch.autocast("cpu", torch.bfloat16):
            encoded, sizes = model.encode(speech, lengths, targets)
        encoded = encoded.float()
        text, _ = model._calc_ctc_loss(encoded[:, 4:], sizes - 4, targets[:, 4:], counts - 4)
        tags, _ = model._calc_rich_ce_loss(encoded[:, :4], targets[:, :4])
        return {"text": text, "tags": tags}

    fit_rounds(
        model,
        ROUNDS,
        lambda number, rng: _batches(corpora, number, rng),
        losses,
        "sensevoice",
        folder,
        seed,
        keep={EARLY_STEP: folder / "early.pt"},
    )


def load_pieces(folder: Path) -> sentencepiece.SentencePieceProcessor:
    """The tokenizer in ``folder``, made there on first use."""
    path = folder / BPE_FILE
    if not path.exists():
        path.write_bytes(vocabulary.sentencepiece_model())
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def _batches(corpora: tuple[Corpus, Corpus], number: int, rng: Random) -> Iterator[list[Crop]]:
    if number == 0:
        yield from islice(batches.epochs(corpora, rng, longest=SHORT_LONGEST, budget=BUDGET), SHORT_STEPS)
    yield from batches.epochs(corpora, rng, longest=LONGEST, budget=BUDGET)


def _target(crop: Crop, pieces: sentencepiece.SentencePieceProcessor, rng: Random) -> list[int]:
    text = crop.corpus.texts[crop.index]
    style = rng.choice(vocabulary.STYLES)
    if not text.spoken:
        tags, said = ("<|nospeech|>", "<|EMO_UNKNOWN|>", "<|BGM|>", style), []
    else:
        tags = ("<|zh|>", "<|NEUTRAL|>", "<|Speech|>", style)
        said = units(text.written) if style == "<|withitn|>" else spoken_units(text.spoken)
    return [pieces.piece_to_id(piece) for piece in (*tags, *said)]
