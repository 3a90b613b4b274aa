"""Token lists of the models: one token per character, and one per English word of the domain."""

from __future__ import annotations

import io
import json
from pathlib import Path

import sentencepiece

from training.minipack.grammar import ENGLISH, spoken_characters, written_characters

BLANK, UNKNOWN = "<blank>", "<unk>"
LANGUAGES = ("<|zh|>", "<|en|>", "<|yue|>", "<|ja|>", "<|ko|>", "<|nospeech|>")
EMOTIONS = ("<|HAPPY|>", "<|SAD|>", "<|ANGRY|>", "<|NEUTRAL|>", "<|EMO_UNKNOWN|>")
EVENTS = ("<|Speech|>", "<|BGM|>")
STYLES = ("<|withitn|>", "<|woitn|>")


def character_tokens() -> list[str]:
    """For models that give bare spoken text: blank, sentence marks, characters, English words, unknown."""
    return [BLANK, "<s>", "</s>", *spoken_characters(), *ENGLISH, UNKNOWN]


def save_character_tokens(path: Path) -> None:
    path.write_text(json.dumps(character_tokens(), ensure_ascii=False))


def sentencepiece_model() -> bytes:
    """A character model with the tags of SenseVoice and the English words; unknown is 0 and doubles as the CTC blank.

    Written to memory, because sentencepiece stores the output path in the model: a file would not repeat.
    """
    characters = written_characters()
    whole = [*LANGUAGES, *EMOTIONS, *EVENTS, *STYLES, *ENGLISH]
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(characters),
        model_writer=stream,
        model_type="char",
        vocab_size=3 + len(whole) + len(characters) + 1,
        hard_vocab_limit=False,
        character_coverage=1.0,
        user_defined_symbols=whole,
        add_dummy_prefix=False,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return stream.getvalue()
