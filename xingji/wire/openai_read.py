"""What a form of OpenAI's ``POST /v1/audio/transcriptions`` asks for."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import XingjiError
from ..core.hotwords import LONGEST_WORD, parse
from ..core.types import Hotword
from . import Pace, Wishes
from .funasr import weighted

FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")
STREAMED = ("json", "text", "diarized_json")  # with times that are not in the events a client would get less than asked
GRANULARITIES = ("word", "segment")

LANGUAGES = {"zh": "chinese", "en": "english", "yue": "cantonese", "ja": "japanese", "ko": "korean"}
_CODES = {name: code for code, name in LANGUAGES.items()} | {"mandarin": "zh", "cmn": "zh"}

# Names that programs have in them, whatever does the work here. None: the server's default.
_OPENAI = re.compile(r"whisper-1|gpt(-4o(-mini)?)?-transcribe(-diarize)?(-\d{4}-\d\d-\d\d)?")
_OURS = {"paraformer-sensevoice": None, "paraformer-streaming": None, "sensevoice-small": "sensevoice"}
STREAMING = "paraformer-streaming"  # the streaming recogniser alone

_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+&'/_-]*|[\u3400-\u9fff]+")
_LONGEST_TERM = 8  # Han characters; more is a sentence, which nobody says again

Form = Mapping[str, Sequence[str]]


class Failure(Exception):
    """``str()`` is the message that the client gets."""

    def __init__(self, message: str, param: str | None, code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


@dataclass(frozen=True, slots=True)
class Asked:
    wishes: Wishes
    format: str
    stream: bool
    words: bool  # these two of verbose_json
    segments: bool


def read_form(form: Form, pace: Pace) -> Asked:
    """Fields that are not known are ignored. Raises Failure."""
    model = _one(form, "model")
    if not model:
        raise Failure("缺少 model。 You must provide a model parameter.", "model", "missing_required_parameter")
    format = _one(form, "response_format") or "json"
    if format not in FORMATS:
        raise _invalid("response_format", FORMATS)
    stream = _flag(form, "stream")
    if stream and format not in STREAMED:
        raise Failure("stream 不能与这个 response_format 同用。 Not with stream.", "response_format")
    wanted = _granularities(form, format)
    _check_temperature(form)
    only_streaming = model == STREAMING
    wishes = Wishes(
        language=_language(form),
        hotwords=_hotwords(form),
        stream=only_streaming,
        second_pass=not only_streaming,
        llm=False,
        pace=pace,
        model=model_id(model),
    )
    return Asked(wishes, format, stream, "word" in wanted, "segment" in wanted)


def model_id(name: str) -> str | None:
    """Which model of the registry is meant; None: the server's default."""
    return None if _OPENAI.fullmatch(name) else _OURS.get(name, name)


def _granularities(form: Form, format: str) -> tuple[str, ...]:
    name = "timestamp_granularities"
    wanted = tuple(_many(form, name))
    if any(item not in GRANULARITIES for item in wanted):
        raise _invalid(name, GRANULARITIES)
    if wanted and format != "verbose_json":
        raise Failure(f"{name} 只用于 verbose_json。 {name} is for response_format verbose_json only.", name)
    return wanted or ("segment",)


def _check_temperature(form: Form) -> None:
    try:
        temperature = float(_one(form, "temperature") or 0)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise Failure("temperature 应为 0 到 1 的数。 temperature must be a number from 0 to 1.", "temperature")


def _language(form: Form) -> str:
    """Of several that are possible none is sure."""
    if said := _one(form, "language"):
        return _code(said, "language")
    possible = {_code(said, "languages") for said in _many(form, "languages")}
    return possible.pop() if len(possible) == 1 else "auto"


def _code(said: str, param: str) -> str:
    """``zh``, ``zh-CN`` and ``Chinese`` are one."""
    name = said.strip().lower()
    if name == "auto":
        return name
    base = re.split("[-_]", name)[0]
    found = _CODES.get(name) or (base if base in LANGUAGES else _CODES.get(base))
    if found is None:
        raise _invalid(param, tuple(LANGUAGES))
    return found


# -- hotwords -------------------------------------------------------------------------------------


def _hotwords(form: Form) -> tuple[Hotword, ...]:
    found: list[Any] = []
    for param, items in (("keywords", list(_many(form, "keywords"))), ("hotwords", _extra(_one(form, "hotwords")))):
        try:
            parse(items)
        except XingjiError as error:
            detail = f"{error.detail['zh']} {error.detail['en']}"
            raise Failure(f"{param} 不合规则：{detail}", param) from error
        found += items
    return parse([*found, *terms(_one(form, "prompt"))])


def terms(prompt: str) -> list[str]:
    """Words of a prompt that are worth expecting: short runs of Han characters, names and abbreviations.

    >>> terms("会议讨论 DashScope、星声记和 Qwen3-ASR。the rest is prose")
    ['会议讨论', 'DashScope', '星声记和', 'Qwen3-ASR']
    """
    found = (match.group().rstrip(".'/_-&") for match in _TERM.finditer(prompt))
    return [term for term in dict.fromkeys(found) if _is_term(term)]


def _is_term(term: str) -> bool:
    if not term.isascii():
        return 2 <= len(term) <= _LONGEST_TERM
    return 2 <= len(term) <= LONGEST_WORD and term != term.lower()


def _extra(text: str) -> list[Any]:
    """``hotwords``, which is ours: JSON, or words with or without weights."""
    value: Any
    if text.lstrip().startswith(("[", "{")):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Failure("hotwords 不是 JSON。 hotwords is no JSON.", "hotwords") from error
        value = value.get("hotwords", value) if isinstance(value, dict) else value
    else:
        value = weighted(text)
    if isinstance(value, dict):
        return [{"text": word} | ({} if weight is None else {"weight": weight}) for word, weight in value.items()]
    return value if isinstance(value, list) else [value]


# -- fields ---------------------------------------------------------------------------------------


def _one(form: Form, name: str) -> str:
    return next(iter(form.get(name, ())), "").strip()


def _many(form: Form, name: str) -> Iterator[str]:
    """Clients repeat ``name[]`` or ``name``, or put commas in between."""
    for value in (*form.get(name, ()), *form.get(f"{name}[]", ())):
        yield from (part.strip() for part in re.split("[,，]", value) if part.strip())


def _flag(form: Form, name: str) -> bool:
    value = (_one(form, name) or "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise _invalid(name, ("true", "false"))
    return value in ("true", "1")


def _invalid(param: str, allowed: Sequence[str]) -> Failure:
    choice = "、".join(allowed)
    return Failure(f"{param} 只能是 {choice}。 {param} must be one of: {', '.join(allowed)}.", param)
