"""What a form of OpenAI's ``POST /v1/audio/transcriptions`` asks for."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import XingjiError
from ..core.hotword_table import parse
from ..core.types import Hotword
from . import Pace, Wishes
from .funasr_read import weighted
from .openai_realtime_read import OURS, WITHOUT_SECOND_PASS, known_language, terms

FORMATS = ("json", "text", "srt", "vtt", "verbose_json", "diarized_json")
STREAMED = ("json", "text", "diarized_json")  # with times that are not in the events a client would get less than asked
GRANULARITIES = ("word", "segment")

# What programs have in them, whatever does the work here: the server's default model.
_DEFAULT = re.compile(
    rf"whisper-1|gpt(-4o(-mini)?)?-transcribe(-diarize)?(-\d{{4}}-\d\d-\d\d)?|paraformer-sensevoice|{WITHOUT_SECOND_PASS}"
)

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
    only_streaming = model == WITHOUT_SECOND_PASS
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
    return None if _DEFAULT.fullmatch(name) else OURS.get(name, name)


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
    code = known_language(said)
    if code is None:
        raise _invalid(param, ("zh", "en", "yue", "ja", "ko"))
    return code


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
