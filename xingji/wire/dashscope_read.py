"""What DashScope's clients ask for one task: the fields of ``run-task`` become wishes, a format and a style."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..core.types import SAMPLE_RATE, AudioFormat
from . import Pace, Wishes, samples
from .parts import BY_MEANING_SILENCE, Style
from .socketio_read import LANGUAGES

log = logging.getLogger(__name__)

CODECS = {
    "pcm": "s16le", "wav": "pcm", "mp3": "mp3", "opus": "opus", "speex": "speex", "aac": "aac", "amr": "amr",
}  # fmt: skip
RATES = (8_000, 48_000)  # Hz
SILENCES = (200, 6_000)  # ms that end a sentence
SILENCE_BY_MODEL = {"paraformer": 800, "fun-asr": 1_300, "qwen-audio": 800}  # ms
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SHORT = 15 * SAMPLE_RATE  # of a sentence that must not become too long
NO_AUDIO_S = 23.0
PREFIX = re.compile(r"[a-z0-9]{1,9}")  # of the ids of vocabularies
MOST_WORDS = 500  # of a vocabulary
LONGEST_WORD, MOST_PARTS = 15, 7  # characters where not all are ASCII, else words
IGNORED = frozenset(
    ("phrase_id", "timestamp_alignment_enabled", "special_word_filter", "audio_event_detection_enabled",
     "diarization_enabled", "speaker_count")
)  # fmt: skip

T = TypeVar("T")


class Failure(Exception):
    """The task fails and the connection ends with it; ``str()`` is the message that the client gets."""

    def __init__(self, code: str, message: str, task_id: str | None = None, close: int = 1000) -> None:
        """``task_id``: None for the task that runs."""
        super().__init__(message)
        self.code, self.task_id, self.close = code, task_id, close


def invalid(name: str, zh: str, en: str) -> Failure:
    return Failure("InvalidParameter", f"{name} {zh} {name} {en}")


@dataclass(frozen=True, slots=True)
class Task:
    id: str
    wishes: Wishes
    format: AudioFormat
    style: Style
    heartbeat: bool


def task_id(header: Mapping[str, Any]) -> str:
    """Raises Failure."""
    id = header.get("task_id")
    if not isinstance(id, str) or not TASK_ID.fullmatch(id):
        raise Failure("InvalidParameter", "task_id 应为 1 到 64 个字母、数字、_ 或 -。 Bad task_id.", "")
    return id


def read_task(id: str, payload: Mapping[str, Any]) -> Task:
    """Raises Failure."""
    for name, only in (("task_group", "audio"), ("task", "asr"), ("function", "recognition")):
        if payload.get(name, only) != only:
            raise invalid(name, f"应为 {only}。", f"must be {only}.")
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("model", "应为字符串。", "must be a string.")
    parameters = payload.get("parameters")
    if not isinstance(parameters, dict):
        raise invalid("parameters", "应为对象。", "must be an object.")
    if unused := sorted(IGNORED & parameters.keys()):
        log.info("parameters without meaning here", extra={"parameters": unused})
    style = Style(
        punctuation=_get(parameters, "punctuation_prediction_enabled", bool, True),
        by_meaning=_get(parameters, "semantic_punctuation_enabled", bool, False),
    )
    shorter = _get(parameters, "multi_threshold_mode_enabled", bool, False)
    wishes = Wishes(
        language=_language(parameters),
        hotword_table=_get(parameters, "vocabulary_id", str, "") or None,
        punctuation=style.marks_needed,
        remove_fillers=_get(parameters, "disfluency_removal_enabled", bool, False),
        itn=_get(parameters, "inverse_text_normalization_enabled", bool, True),
        llm=False,
        pace=Pace(_silence(parameters, model, style), SHORT if shorter else Pace().longest),
        model=model,
        idle_s=NO_AUDIO_S,
    )
    return Task(id, wishes, _format(parameters), style, _get(parameters, "heartbeat", bool, False))


def vocabulary_prefix(asked: Mapping[str, Any], required: bool) -> str | None:
    """Raises Failure."""
    prefix = asked.get("prefix")
    if prefix is None and not required:
        return None
    if not isinstance(prefix, str) or not PREFIX.fullmatch(prefix):
        zh, en = "应为 1 到 9 个小写字母或数字。", "must be 1 to 9 lower-case letters or digits."
        raise invalid("prefix", zh, en)
    return prefix


def read_vocabulary(items: object) -> list[dict[str, Any]]:
    """Words with a weight of 1..5, and their language where it is one that hotwords know. Raises Failure."""
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_WORDS:
        raise invalid("vocabulary", f"应为 1 到 {MOST_WORDS} 个热词。", f"must be a list of 1 to {MOST_WORDS} words.")
    return [_word(item, f"vocabulary[{number}]") for number, item in enumerate(items)]


def _word(item: object, at: str) -> dict[str, Any]:
    text = item.get("text") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(text, str) or not text.strip():
        raise invalid(f"{at}.text", "应为字符串。", "must be a string.")
    text = text.strip()
    if len(text) > LONGEST_WORD if not text.isascii() else len(text.split()) > MOST_PARTS:
        raise invalid(
            f"{at}.text", "太长：中文 15 字，英文 7 个词。", "is too long: 15 characters, or 7 English words."
        )
    weight = item.get("weight")
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= 5:
        raise invalid(f"{at}.weight", "应为 1 到 5。", "must be 1 to 5.")
    language = item.get("lang")
    if not isinstance(language, str | None):
        raise invalid(f"{at}.lang", "应为字符串。", "must be a string.")
    return {"text": text, "weight": weight} | ({"lang": language} if language in ("zh", "en") else {})


def _format(parameters: Mapping[str, Any]) -> AudioFormat:
    name, rate = _get(parameters, "format", str), _get(parameters, "sample_rate", int)
    if name.lower() not in CODECS:
        raise Failure("UNSUPPORTED_FORMAT", f"不支持的音频格式：{name[:40]}。 Unsupported audio format.")
    if not RATES[0] <= rate <= RATES[1]:
        raise invalid("sample_rate", "应为 8000 到 48000。", "must be 8000 to 48000.")
    return AudioFormat(CODECS[name.lower()], rate)


def _silence(parameters: Mapping[str, Any], model: str, style: Style) -> int:
    default = next((ms for family, ms in SILENCE_BY_MODEL.items() if model.startswith(family)), 800)
    length = _get(parameters, "max_sentence_silence", int, default)
    if not SILENCES[0] <= length <= SILENCES[1]:
        raise invalid("max_sentence_silence", "应为 200 到 6000。", "must be 200 to 6000.")
    return BY_MEANING_SILENCE if style.by_meaning else samples(length)


def _language(parameters: Mapping[str, Any]) -> str:
    """The only one that is hinted at and known; of several the recogniser finds out itself."""
    hints = _get(parameters, "language_hints", list, [])
    if not all(isinstance(hint, str) for hint in hints):
        raise invalid("language_hints", "应为字符串列表。", "must be a list of strings.")
    known = [hint for hint in hints if hint in LANGUAGES]
    if len(known) < len(hints):
        log.info("language hints that are not known", extra={"count": len(hints) - len(known)})
    return known[0] if len(hints) == len(known) == 1 else "auto"


def _get(parameters: Mapping[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    """Null is as good as absent; without a ``default`` the parameter is required."""
    value = parameters.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        zh, en = {
            bool: ("应为 true 或 false。", "must be true or false."),
            int: ("应为整数。", "must be a whole number."),
            str: ("应为字符串。", "must be a string."),
        }.get(cast(type, kind), ("应为列表。", "must be a list."))
        raise invalid(name, zh, en)
    return value
