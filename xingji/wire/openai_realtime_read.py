"""What an update of an OpenAI transcription session may ask, in the shape of the GA interface or of the beta.

Both come to the same ``Session``. What is absent stays as it was, inside the objects too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.errors import XingjiError
from ..core.hotword_table import LONGEST_WORD, parse
from ..core.types import AudioFormat, Hotword
from . import NO_END, Pace, Wishes, samples
from .realtime import Invalid, whole

PCM_RATES = (24_000, 16_000, 8_000)  # Hz
CODECS = {"audio/pcmu": "mulaw", "audio/pcma": "alaw"}  # at 8 kHz
G711_RATE = 8_000
BETA_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
SILENCES, PADDINGS = (200, 6_000), (0, 2_000)  # ms
SERVER_VAD: dict[str, Any] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
}
EAGERNESS = {"low": 1_200, "medium": 800, "high": 500, "auto": 800}  # ms of silence that end a sentence
LANGUAGES = {
    "zh": "zh", "cmn": "zh", "chinese": "zh", "mandarin": "zh", "en": "en", "english": "en", "ja": "ja",
    "japanese": "ja", "ko": "ko", "korean": "ko", "yue": "yue", "cantonese": "yue", "auto": "auto",
}  # fmt: skip
WITHOUT_SECOND_PASS = "paraformer-streaming"
DEFAULT = re.compile(rf"|(gpt|whisper)-.*|paraformer(-sensevoice)?|{WITHOUT_SECOND_PASS}")  # what the server has anyway
OURS = {"sensevoice-small": "sensevoice"}  # ids in the registry
SEPARATORS = re.compile(r"[\n，。、；：？！“”《》（）,;:?!\"()]+|\.(?=\s|$)")
LONGEST_TERM, MOST_PARTS = 8, 3  # characters where not all are ASCII, else words

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Session:
    """The options as GA names them; None where they are off, or left to the server."""

    format: Object = field(default_factory=lambda: {"type": "audio/pcm", "rate": PCM_RATES[0]})
    transcription: Object | None = None
    turn_detection: Object | None = field(default_factory=SERVER_VAD.copy)
    noise_reduction: Object | None = None
    include: list[str] | None = None

    def shown(self, beta: bool) -> Object:
        if beta:
            return {
                "input_audio_format": next(b for b, ga in BETA_FORMATS.items() if ga == self.format["type"]),
                "input_audio_transcription": self.transcription,
                "input_audio_noise_reduction": self.noise_reduction,
                "turn_detection": self.turn_detection,
                "include": self.include,
            }
        audio = {
            "format": self.format,
            "noise_reduction": self.noise_reduction,
            "transcription": self.transcription,
            "turn_detection": self.turn_detection,
        }
        return {"type": "transcription", "audio": {"input": audio}, "include": self.include}

    @property
    def audio(self) -> AudioFormat:
        codec = CODECS.get(self.format["type"])
        return AudioFormat("s16le", self.format["rate"]) if codec is None else AudioFormat(codec, G711_RATE)

    @property
    def bytes_per_second(self) -> int:
        return self.audio.rate * (2 if self.audio.codec == "s16le" else 1)

    def wishes(self) -> Wishes:
        asked = self.transcription or {}
        model = asked.get("model", "")
        wishes = Wishes(
            language=_language(asked),
            hotwords=_hotwords(asked),
            second_pass=model != WITHOUT_SECOND_PASS,
            llm=asked.get("llm", False),
            model=None if DEFAULT.fullmatch(model) else OURS.get(model, model),
        )
        if self.turn_detection is None:
            return replace(wishes, stream=False, waits=True, pace=Pace(NO_END))
        silence = self.turn_detection.get("silence_duration_ms") or EAGERNESS[self.turn_detection["eagerness"]]
        padding = self.turn_detection.get("prefix_padding_ms", 0)
        return replace(wishes, pace=Pace(samples(silence), preroll=samples(padding)))


def updated(before: Session, asked: object, beta: bool) -> Session:
    """``before`` with what is ``asked``. Raises Invalid."""
    asked = _object(asked, "session")
    if beta:
        given, at, readers = asked, "session", BETA_READERS
    else:
        if asked.get("type", "transcription") != "transcription":
            raise Invalid("session_type_unsupported", "这里只转写。 Only transcription is served here.", "session.type")
        audio, at = _object(_absent(asked.get("audio")), "session.audio"), "session.audio.input"
        given, readers = _object(_absent(audio.get("input")), at), READERS
    changes: dict[str, Any] = {
        ours: read(getattr(before, ours), given[name], f"{at}.{name}")
        for name, (ours, read) in readers.items()
        if name in given
    }
    if "include" in asked:
        changes["include"] = None if asked["include"] is None else _texts(asked["include"], "session.include")
    return replace(before, **changes)


def _format(before: Object, asked: object, at: str) -> Object:
    wanted = _object(asked, at)
    kind = _one_of(wanted.get("type", before["type"]), ("audio/pcm", *CODECS), f"{at}.type")
    if kind in CODECS:
        return {"type": kind}
    rate = wanted.get("rate", before.get("rate", PCM_RATES[0]))
    if isinstance(rate, bool) or rate not in PCM_RATES:
        raise Invalid("invalid_value", "应为 24000、16000 或 8000。 must be 24000, 16000 or 8000.", f"{at}.rate")
    return {"type": kind, "rate": rate}


def _beta_format(before: Object, asked: object, at: str) -> Object:
    return _format(before, {"type": BETA_FORMATS[_one_of(asked, BETA_FORMATS, at)], "rate": PCM_RATES[0]}, at)


def _turn_detection(before: Object | None, asked: object, at: str) -> Object | None:
    if asked is None:
        return None
    wanted = _object(asked, at)
    before = before or SERVER_VAD
    kind = _one_of(wanted.get("type", before["type"]), ("server_vad", "semantic_vad"), f"{at}.type")
    defaults = SERVER_VAD if kind == "server_vad" else {"type": kind, "eagerness": "auto"}
    merged = defaults | (before if before["type"] == kind else {})
    merged |= {name: wanted[name] for name in merged if wanted.get(name) is not None}
    if kind == "semantic_vad":
        _one_of(merged["eagerness"], EAGERNESS, f"{at}.eagerness")
        return merged
    threshold = merged["threshold"]
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise Invalid("invalid_value", "应为 0 到 1。 must be 0 to 1.", f"{at}.threshold")
    whole(merged["prefix_padding_ms"], PADDINGS, f"{at}.prefix_padding_ms")
    whole(merged["silence_duration_ms"], SILENCES, f"{at}.silence_duration_ms")
    return merged


def _transcription(before: Object | None, asked: object, at: str) -> Object | None:
    if asked is None:
        return None
    wanted = _object(asked, at)
    known = ("model", "language", "prompt", "keywords", "languages", "delay", "llm")
    merged = (before or {}) | {name: wanted[name] for name in known if name in wanted}
    merged = {name: value for name, value in merged.items() if value is not None}
    for name, value in merged.items():
        if name in ("keywords", "languages"):
            _texts(value, f"{at}.{name}")
        elif not isinstance(value, bool if name == "llm" else str):
            raise Invalid("invalid_value", "类型不对。 has the wrong type.", f"{at}.{name}")
    if known_language(merged.get("language", "auto")) is None:
        raise Invalid("invalid_value", "应为 zh、en、yue、ja 或 ko。 Unsupported language.", f"{at}.language")
    try:
        _hotwords(merged)
    except XingjiError as error:
        raise Invalid("invalid_value", "热词不合规则。 Not a valid list of words.", f"{at}.keywords") from error
    return merged


def _noise_reduction(before: Object | None, asked: object, at: str) -> Object | None:
    if asked is None:
        return None
    kind = _one_of(_object(asked, at).get("type", "near_field"), ("near_field", "far_field"), f"{at}.type")
    return {"type": kind}


Reader = Callable[[Any, object, str], Any]  # of what was before, what is asked, and where

READERS: dict[str, tuple[str, Reader]] = {
    "format": ("format", _format),
    "transcription": ("transcription", _transcription),
    "turn_detection": ("turn_detection", _turn_detection),
    "noise_reduction": ("noise_reduction", _noise_reduction),
}
BETA_READERS: dict[str, tuple[str, Reader]] = {
    "input_audio_format": ("format", _beta_format),
    "input_audio_transcription": ("transcription", _transcription),
    "turn_detection": ("turn_detection", _turn_detection),
    "input_audio_noise_reduction": ("noise_reduction", _noise_reduction),
}


def _object(value: object, at: str) -> Object:
    if not isinstance(value, dict):
        raise Invalid("invalid_value", "应为对象。 must be an object.", at)
    return value


def _absent(value: object) -> object:
    """Null is as good as nothing asked."""
    return {} if value is None else value


def _one_of(value: object, known: tuple[str, ...] | Mapping[str, Any], at: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise Invalid("invalid_value", f"应为 {'、'.join(known)} 之一。 must be one of these.", at)
    return value


def _texts(value: object, at: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise Invalid("invalid_value", "应为字符串列表。 must be a list of strings.", at)
    return value


def known_language(language: str) -> str | None:
    """The language under the name that it has here."""
    return LANGUAGES.get(re.split("[-_]", language.strip().lower() or "auto")[0])


def _language(asked: Mapping[str, Any]) -> str:
    """Of several possible ones the recogniser finds out itself."""
    possible = [asked["language"]] if asked.get("language") else asked.get("languages", [])
    return known_language(possible[0]) or "auto" if len(possible) == 1 else "auto"


def _hotwords(asked: Mapping[str, Any]) -> tuple[Hotword, ...]:
    """Raises XingjiError("invalid_hotwords")."""
    words = [word for word in asked.get("keywords", []) if word.strip()]
    return parse([*words, *terms(asked.get("prompt", ""))])


def terms(prompt: str) -> list[str]:
    """What stands by itself in a prompt and is short enough to be a term; sentences only tell of style."""
    found: list[str] = []
    for part in map(str.strip, SEPARATORS.split(prompt)):
        if not part.isascii():
            found += [word for word in part.split() if len(word) <= LONGEST_TERM]
        elif len(part.split()) <= MOST_PARTS:
            found.append(part)
    return [term for term in dict.fromkeys(found) if 1 < len(term) <= LONGEST_WORD and term.isprintable()]
