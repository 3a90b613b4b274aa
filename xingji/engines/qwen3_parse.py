"""How Qwen3-ASR is given a segment and how its answer is read, whichever way it is asked. Imports no model library."""

import re

import numpy as np

from ..core.types import SAMPLE_RATE, Samples

SHORTEST = SAMPLE_RATE // 2  # what is shorter is padded with silence, as in training

LANGUAGES = {"zh": "Chinese", "en": "English", "yue": "Cantonese", "ja": "Japanese", "ko": "Korean"}
CODES = {name.lower(): code for code, name in LANGUAGES.items()} | {"mandarin": "zh"}
_TAG = re.compile(r"<\s*asr_text\s*>", re.I)
_META = re.compile(r"\s*language\s+(.*)", re.I | re.S)
_REPEATED_META = re.compile(r"language\s+[A-Za-z, ]{1,40}<\s*asr_text\s*>", re.I)
# Without the tag a name of a language counts as one only if no English sentence goes on after it.
_UNTAGGED = re.compile(r"\s*language\s+([A-Za-z]+)\s*(?=$|\n|[^\x00-\x7f])", re.I)
_SPECIAL = re.compile(r"<\|[^|<>]*\|>")
_LOOP = re.compile(r"(.{1,40}?)\1{20,}", re.S)
_QUOTED = re.compile(r"(?:这段(?:语音|音频).{0,8}是|The original content of this audio is)\s*[:：]\s*(.+)", re.I | re.S)


def padded(samples: Samples) -> Samples:
    """``samples``, or with silence behind them where they are too short."""
    missing = SHORTEST - len(samples)
    return samples if missing <= 0 else np.pad(samples, (0, missing))


def parse(raw: str) -> tuple[str, str]:
    """(language, text) of ``language Chinese<asr_text>今天……``. The language is its first name in lower case, "none"
    where the model heard nobody, "" where it says nothing; the tag may be missing.

    >>> parse("language Chinese,English<asr_text> 你好 world "), parse("你好")
    (('chinese', '你好 world'), ('', '你好'))
    """
    raw = _SPECIAL.sub("", raw)
    if tag := _TAG.search(raw):
        meta = _META.match(raw[: tag.start()])
        language, text = (meta.group(1) if meta else ""), raw[tag.end() :]
    elif untagged := _UNTAGGED.match(raw):
        language, text = untagged.group(1), raw[untagged.end() :]
    else:
        language, text = "", raw
    text = _TAG.sub("", _REPEATED_META.sub(" ", text))
    return language.split(",")[0].strip().lower(), " ".join(text.split())


def without_loops(text: str) -> str:
    """``text`` with what stands there more than twenty times in a row only once, and nothing of a loop cut short.

    >>> without_loops("好" * 30 + "。"), without_loops("你好" + "是的" * 40 + "是")
    ('好。', '你好是的')
    """
    parts: list[str] = []
    end = 0
    for loop in _LOOP.finditer(text):
        parts += text[end : loop.start()], loop.group(1)
        end = loop.end()
        rest = text[end:]
        if len(rest) < len(loop.group(1)) and loop.group(1).startswith(rest):
            end = len(text)
    return "".join(parts) + text[end:]


def unquoted(said: str) -> str:
    """What a chat model reports, without its report."""
    told = _QUOTED.fullmatch(said)
    return told.group(1).strip().strip("'\"“”‘’。.").strip() if told else said
