"""What FunASR's clients ask for one input: the fields of their JSON become options.

Of hotwords, what cannot be read is left out: clients of this protocol expect no complaint about them.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import XingjiError
from ..core.hotword_table import HEAVIEST, LARGEST_TABLE, LIGHTEST, parse
from ..core.types import Hotword
from . import Wishes
from .socketio_read import LANGUAGES

log = logging.getLogger(__name__)

MODES = ("2pass", "online", "offline")
BARE = ("pcm", "s16le", "wav", "")  # what begins like a file is one, whatever it is called
RATES = (8_000, 48_000)


@dataclass(frozen=True, slots=True)
class Options:
    mode: str = "2pass"
    wav_name: str = "demo"
    format: str = "pcm"
    rate: int = 16_000
    itn: bool = True
    language: str = "auto"
    hotwords: tuple[Hotword, ...] = ()

    @property
    def codec(self) -> str:
        """Clients name a file by its ending, or say that it is something else: its first bytes tell."""
        name = self.format.lower()
        return "pcm" if name in BARE else "opus" if name == "opus" else "auto"

    def wishes(self) -> Wishes:
        streams = self.mode != "offline"
        return Wishes(
            language=self.language,
            hotwords=self.hotwords,
            stream=streams,
            second_pass=self.mode != "online",
            itn=self.itn,
            llm=False,
        )


def read_options(body: Mapping[str, Any], before: Options) -> Options:
    """What a message changes. Raises XingjiError("bad_config") for what decides how the input is heard."""
    mode = body.get("mode", before.mode)
    if mode not in MODES:
        raise XingjiError("bad_config", field="mode")
    rate = body.get("audio_fs", before.rate)
    if isinstance(rate, bool) or not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
        raise XingjiError("bad_config", field="audio_fs")
    format = body.get("wav_format", before.format)
    if not isinstance(format, str):
        raise XingjiError("unsupported_format", field="wav_format")
    name = body.get("wav_name", before.wav_name)
    language = body.get("svs_lang", before.language)
    return Options(
        mode=mode,
        wav_name=name[:200] if isinstance(name, str) else before.wav_name,
        format=format,
        rate=rate,
        itn=_flag(body.get("itn", body.get("svs_itn")), before.itn),
        language=language if language in LANGUAGES else "auto",
        hotwords=read_hotwords(body["hotwords"]) if "hotwords" in body else before.hotwords,
    )


def _flag(value: object, default: bool) -> bool:
    if isinstance(value, str):
        return value.lower() in ("true", "1")
    return bool(value) if isinstance(value, int) else default


def read_hotwords(value: object) -> tuple[Hotword, ...]:
    """``{"词": 20}`` as JSON, or words separated by commas or by spaces, each perhaps followed by its weight.

    What cannot be read is left out: clients of this protocol expect no complaint.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            log.warning("hotwords are no JSON and are ignored")
            return ()
    if isinstance(value, str):
        value = weighted(value)
    if not isinstance(value, dict):
        return ()
    found: dict[str, Hotword] = {}
    for word, weight in value.items():
        known = isinstance(weight, int | float) and not isinstance(weight, bool)
        item: dict[str, Any] = {"text": str(word).strip()}
        if known:
            item["weight"] = int(min(max(weight, LIGHTEST), HEAVIEST))
        try:
            found.update((hotword.text, hotword) for hotword in parse([item]))
        except XingjiError:
            log.info("a hotword was left out")
        if len(found) == LARGEST_TABLE:
            break
    return tuple(found.values())


def weighted(text: str) -> dict[str, int | None]:
    """Words that are separated by commas or line breaks, else by spaces, each perhaps followed by its weight."""
    text = text.replace("，", ",")
    parts = text.replace("\n", ",").split(",") if "," in text or "\n" in text else [text]
    found: dict[str, int | None] = {}
    for part in parts:
        words = part.split()
        if len(parts) > 1 and len(words) > 1:  # a word of several, with or without its weight
            numbered = words[-1].isdecimal()
            found[" ".join(words[:-1] if numbered else words)] = int(words[-1][:4]) if numbered else None
            continue
        last = None
        for word in words:
            if word.isdecimal() and last is not None:
                found[last] = int(word[:4])
                last = None
            else:
                found[word] = None
                last = word
    return found
