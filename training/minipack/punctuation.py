"""The punctuation model: ``CTTransformerStreaming``, trained on passages of the grammar without audio."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch
from funasr.models.ct_transformer_streaming.model import CTTransformerStreaming

from training.minipack import vocabulary
from training.minipack.batches import pad_targets
from training.minipack.grammar import PUNCTUATION, WIDE_SHARE, draw_passage, draw_salad, units
from training.minipack.optimise import Round, fit

MARKS = ["<unk>", "_", *PUNCTUATION]
NO_MARK = MARKS.index("_")

ROUND = Round(steps=1000, peak=2e-3, warmup=150, decay=0.98)
BATCH = 64
SIZE = 96

CONFIG: dict[str, Any] = {
    "model": "CTTransformerStreaming",
    "model_conf": {
        "ignore_id": 0,
        "embed_unit": SIZE,
        "att_unit": SIZE,
        "dropout_rate": 0.1,
        "punc_list": MARKS,
        "punc_weight": [1.0] * len(MARKS),
        "sentence_end_id": MARKS.index("。"),
    },
    "encoder": "SANMVadEncoder",
    "encoder_conf": {
        "input_size": SIZE,
        "output_size": SIZE,
        "attention_heads": 4,
        "linear_units": 256,
        "num_blocks": 3,
        "dropout_rate": 0.1,
        "positional_dropout_rate": 0.1,
        "attention_dropout_rate": 0.0,
        "input_layer": "pe",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 5,
        "selfattention_layer_type": "sanm",
        "padding_idx": 0,
    },
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": vocabulary.UNKNOWN},
}
METAS = {"tokenizer_conf": {"token_list": "tokens.json"}}

Example = tuple[list[int], list[int]]
"""Token ids and the id of the mark after each of them."""


def train(folder: Path, seed: int = 0) -> None:
    """Leaves ``final.pt`` in ``folder``."""
    torch.manual_seed(seed)
    rng = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    ids = {token: number for number, token in enumerate(vocabulary.character_tokens())}
    model = CTTransformerStreaming(
        **CONFIG["model_conf"],
        encoder=CONFIG["encoder"],
        encoder_conf=CONFIG["encoder_conf"],
        vocab_size=len(ids),
    )
    # The class leaves a list here although its loss wants a tensor.
    model.punc_weight = torch.tensor(model.punc_weight)

    def losses(examples: list[Example]) -> dict[str, torch.Tensor]:
        text, lengths = pad_targets([tokens for tokens, _ in examples], filler=0)
        marks, _ = pad_targets([marks for _, marks in examples], filler=0)
        cuts = torch.tensor([rng.choice((0, 0, rng.randrange(int(length)))) for length in lengths])
        loss, _, _ = model(text=text, punc=marks, text_lengths=lengths, punc_lengths=lengths, vad_indexes=cuts)
        return {"mark": loss}

    stream = iter(lambda: [_example(ids, rng) for _ in range(BATCH)], None)
    torch.save(fit(model, ROUND, stream, losses, "punctuation"), folder / "final.pt")


def label(text: str) -> tuple[list[str], list[str]]:
    """Characters and English words without marks, and the mark after each ("_" for none)."""
    tokens: list[str] = []
    marks: list[str] = []
    for unit in units(text):
        if unit in PUNCTUATION:
            marks[-1] = unit
        else:
            tokens.append(unit)
            marks.append("_")
    return tokens, marks


def _example(ids: dict[str, int], rng: Random) -> Example:
    """One to six sentences, often cut as a live transcript is: in mid sentence, at either end."""
    if rng.random() < 0.93:
        passage = draw_passage(rng, rng.choice((1, 1, 2, 3, 4, 6)), held_out=False, wide=WIDE_SHARE)
    else:
        passage = draw_salad(rng)
    tokens, marks = label(passage.spoken)
    if rng.random() < 0.5:
        end = rng.randint(1, len(tokens))
        tokens, marks = tokens[:end], marks[:end]
    if rng.random() < 0.15 and len(tokens) > 6:
        start = rng.randrange(len(tokens) // 2)
        tokens, marks = tokens[start:], marks[start:]
    unknown = ids[vocabulary.UNKNOWN]
    # A few unknown ones, as recognition errors and foreign words will be.
    return (
        [unknown if rng.random() < 0.01 else ids[token] for token in tokens],
        [MARKS.index(mark) for mark in marks],
    )
