"""Models of official size with random weights: for measuring speed and memory, not for reading what they say.

``python -m tools.fullsize OUT`` writes four directories that the server loads like any other
(``XINGJI_MODELS=OUT``); with ``--offline`` a fifth, the recogniser for whole recordings that FunASR's own
server uses as its second pass and ours does not (paraformer-large offline, without a hotword encoder).
Hyper-parameters are those of the official configurations (paraformer-large online 220 M parameters,
SenseVoiceSmall 234 M, realtime CT-Transformer 72 M; funasr 1.4.16). Two things are not random: the
recogniser fires about four tokens a second, so the decoder has as much to do as with speech, and the
detector is the embedded pack's (0.07 M parameters instead of 0.43 M, both far below one percent of the
work), so sentences end where they should.
"""

import argparse
import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml

MINIPACK = Path(__file__).resolve().parents[1] / "xingji" / "minipack"

MARK = "RANDOM_WEIGHTS"  # a file of this name says so to whoever finds the directories

FIRING = 0.27  # mean CIF weight per 60 ms frame: four tokens a second
SPECIAL = 24_884  # SenseVoice's tags begin here
HAN = [chr(code) for code in range(0x4E00, 0x9FA6)]

FRONTEND = {
    "fs": 16_000, "window": "hamming", "n_mels": 80, "frame_length": 25, "frame_shift": 10, "lfr_m": 7, "lfr_n": 6,
    "dither": 0.0, "cmvn_file": None,
}  # fmt: skip
ENCODER = {
    "output_size": 512, "attention_heads": 4, "linear_units": 2048, "num_blocks": 50, "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1, "attention_dropout_rate": 0.1, "normalize_before": True, "kernel_size": 11,
    "sanm_shfit": 0, "selfattention_layer_type": "sanm",
}  # fmt: skip

PARAFORMER: dict[str, Any] = {
    "model": "ParaformerStreaming",
    "model_conf": {
        "ctc_weight": 0.0, "lsm_weight": 0.1, "length_normalized_loss": True, "predictor_weight": 1.0,
        "predictor_bias": 1, "sampling_ratio": 0.75,
    },
    "encoder": "SANMEncoderChunkOpt",
    "encoder_conf": {
        **ENCODER, "input_layer": "pe_online", "chunk_size": [12, 15], "stride": [8, 10], "pad_left": [0, 0],
        "encoder_att_look_back_factor": [4, 4], "decoder_att_look_back_factor": [1, 1],
    },
    "decoder": "ParaformerSANMDecoder",
    "decoder_conf": {
        "attention_heads": 4, "linear_units": 2048, "num_blocks": 16, "att_layer_num": 16, "dropout_rate": 0.1,
        "positional_dropout_rate": 0.1, "self_attention_dropout_rate": 0.1, "src_attention_dropout_rate": 0.1,
        "kernel_size": 11, "sanm_shfit": 5,
    },
    "predictor": "CifPredictorV2",
    "predictor_conf": {"idim": 512, "threshold": 1.0, "l_order": 1, "r_order": 1, "tail_threshold": 0.45},
    "frontend": "WavFrontendOnline",
    "frontend_conf": FRONTEND,
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
}  # fmt: skip

OFFLINE: dict[str, Any] = {
    **PARAFORMER,
    "model": "Paraformer",
    "encoder": "SANMEncoder",
    "encoder_conf": {**ENCODER, "input_layer": "pe"},
    "decoder_conf": {**PARAFORMER["decoder_conf"], "sanm_shfit": 0},
    "frontend": "WavFrontend",
}

SENSEVOICE: dict[str, Any] = {
    "model": "SenseVoiceSmall",
    "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
    "encoder": "SenseVoiceEncoderSmall",
    "encoder_conf": {**ENCODER, "input_layer": "pe", "tp_blocks": 20},
    "frontend": "WavFrontend",
    "frontend_conf": FRONTEND,
    "tokenizer": "SentencepiecesTokenizer",
    "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
    "ctc_conf": {"dropout_rate": 0.0, "ctc_type": "builtin", "reduce": True, "ignore_nan_grad": True},
    "normalize": None,
}

PUNCTUATION: dict[str, Any] = {
    "model": "CTTransformerStreaming",
    "model_conf": {
        "ignore_id": 0, "embed_unit": 256, "att_unit": 256, "dropout_rate": 0.1, "sentence_end_id": 3,
        "punc_list": ["<unk>", "_", "，", "。", "？", "、"], "punc_weight": [1.0] * 6,
    },
    "encoder": "SANMVadEncoder",
    "encoder_conf": {
        "input_size": 256, "output_size": 256, "attention_heads": 8, "linear_units": 1024, "num_blocks": 3,
        "dropout_rate": 0.1, "positional_dropout_rate": 0.1, "attention_dropout_rate": 0.0, "input_layer": "pe",
        "normalize_before": True, "kernel_size": 11, "sanm_shfit": 5, "selfattention_layer_type": "sanm",
        "padding_idx": 0,
    },
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": "<unk>"},
}  # fmt: skip


def write(folder: Path, config: dict[str, Any], tokens: list[str] | None, pieces: bytes | None) -> None:
    """One model directory, as the hub would have it."""
    from funasr import AutoModel

    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {"init_param": "model.pt", "config": "config.yaml"}
    options = json.loads(json.dumps(config))
    if tokens is not None:
        (folder / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False), "utf-8")
        files["tokenizer_conf"] = {"token_list": "tokens.json"}
        options["tokenizer_conf"]["token_list"] = str(folder / "tokens.json")
    if pieces is not None:
        name = "chn_jpn_yue_eng_ko_spectok.bpe.model"
        (folder / name).write_bytes(pieces)
        files["tokenizer_conf"] = {"bpemodel": name}
        options["tokenizer_conf"]["bpemodel"] = str(folder / name)
    if "frontend" in config:
        (folder / "am.mvn").write_text(normalisation(560), "utf-8")
        files["frontend_conf"] = {"cmvn_file": "am.mvn"}
        options["frontend_conf"]["cmvn_file"] = str(folder / "am.mvn")
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), "utf-8")
    listing = {"framework": "pytorch", "model": {"type": "funasr"}, "file_path_metas": files}
    (folder / "configuration.json").write_text(json.dumps(listing, indent=1), "utf-8")
    torch.manual_seed(0)
    model, _ = AutoModel.build_model(device="cpu", disable_update=True, **options)
    with torch.no_grad():
        steer(model)
    torch.save(model.state_dict(), folder / "model.pt")


def steer(model: Any) -> None:
    """Random weights that still give a normal amount of text."""
    match type(model).__name__:
        case "ParaformerStreaming" | "Paraformer":
            model.predictor.cif_output.weight.mul_(0.3)
            model.predictor.cif_output.bias.fill_(math.log(FIRING / (1 - FIRING)))
            model.decoder.output_layer.bias[:3] = -1e4  # blank, start and end are no text
        case "SenseVoiceSmall":
            model.ctc.ctc_lo.bias[0] = 2.0  # mostly blank, as CTC is
            model.ctc.ctc_lo.bias[SPECIAL:] = -1e4  # no tags, so never <|nospeech|>


def normalisation(size: int) -> str:
    """An ``am.mvn`` that brings log mel energies of ordinary speech to about unit variance."""
    shift, scale = " ".join(["-10.0"] * size), " ".join(["0.25"] * size)
    return (
        f"<Nnet>\n<Splice> {size} {size}\n[ 0 ]\n<AddShift> {size} {size}\n<LearnRateCoef> 0 [ {shift} ]\n"
        f"<Rescale> {size} {size}\n<LearnRateCoef> 0 [ {scale} ]\n</Nnet>\n"
    )


def recogniser_tokens(count: int = 8404) -> list[str]:
    letters = [chr(code) + end for code in range(97, 123) for end in ("", "@@")]
    fixed = ["<blank>", "<s>", "</s>", *letters]
    return [*fixed, *HAN[: count - len(fixed) - 1], "<unk>"]


def punctuation_tokens(count: int = 272_727) -> list[str]:
    """Characters, then words of two: only their number matters."""
    words = (a + b for a in HAN[:600] for b in HAN[:600])
    fixed = ["<unk>", *HAN]
    return [*fixed, *(next(words) for _ in range(count - len(fixed)))]


def sentence_pieces(count: int = 25_055) -> bytes:
    """A SentencePiece model of the official size whose tags have the official numbers."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = proto.ModelProto()
    kinds = proto.ModelProto.SentencePiece
    tags = {24_884: "<|zh|>", 24_885: "<|en|>", 24_992: "<|nospeech|>", 25_016: "<|withitn|>", 25_017: "<|woitn|>"}
    plain = iter([*HAN, *(chr(code) for code in range(0xAC00, 0xD7A4))])
    for number in range(count):
        if number < 3:
            piece, kind = ("<unk>", "<s>", "</s>")[number], kinds.UNKNOWN if number == 0 else kinds.CONTROL
        elif number >= SPECIAL:
            piece, kind = tags.get(number, f"<|tag{number}|>"), kinds.USER_DEFINED
        else:
            piece, kind = next(plain), kinds.NORMAL
        model.pieces.add(piece=piece, score=-float(number), type=kind)
    model.trainer_spec.model_type = proto.TrainerSpec.BPE
    model.trainer_spec.vocab_size = count
    model.trainer_spec.pad_id = -1
    model.normalizer_spec.name = "identity"
    return bytes(model.SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--offline", action="store_true", help="also the recogniser that only FunASR's server uses")
    options = parser.parse_args()
    out: Path = options.out
    write(out / "paraformer", PARAFORMER, recogniser_tokens(), None)
    write(out / "punc", PUNCTUATION, punctuation_tokens(), None)
    write(out / "sensevoice", SENSEVOICE, None, sentence_pieces())
    if options.offline:
        write(out / "paraformer_offline", OFFLINE, recogniser_tokens(), None)
    shutil.copytree(MINIPACK / "vad", out / "vad", dirs_exist_ok=True)
    (out / MARK).write_text("Sizes and speed are official, what they read means nothing.\n", "utf-8")
    for part in sorted(path for path in out.iterdir() if path.is_dir()):
        print(f"{part.name}: {sum(file.stat().st_size for file in part.iterdir()) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
