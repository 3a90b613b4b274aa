"""What clients of our Socket.IO events send: options, frames and hotwords, read into the core's words."""

import array
import base64
from typing import Any, TypeVar

from ..core.errors import XingjiError
from ..core.hotword_table import parse
from ..core.types import AudioFormat, Hotword
from . import ID, PACES, Frame, Open, Pace, Wishes, milliseconds, samples

LANGUAGES = ("auto", "zh", "en", "yue", "ja", "ko")
CODECS = ("s16le", "f32le", "mulaw", "alaw",
          "webm", "ogg", "opus", "speex", "mp3", "aac", "amr", "flac", "wav", "mp4", "m4a", "auto")  # fmt: skip
SENTENCE_SILENCE_MS = (200, 6000)  # the shortest and the longest that ends a sentence
SENTENCE_MS = (5_000, 30_000)  # after which a sentence is cut, whatever is said
PREROLL_MS = (0, 1_000)
MAX_LIST = 1 << 20  # numbers in a frame that came as a JSON list

N = TypeVar("N", int, None)


def read_start(payload: object, silence_ms: int = 800) -> Open:
    """``start_recording``; ``silence_ms`` ends a sentence where the client does not say.

    Raises XingjiError("bad_config") naming the field.
    """
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise XingjiError("bad_config", field="options")
    option = _Options(payload)
    wishes = Wishes(
        language=option.choice("language", "auto", LANGUAGES),
        hotwords=read_hotwords(payload["hotwords"]) if payload.get("hotwords") is not None else (),
        hotword_table=option.table("hotword_table"),
        punctuation=option.flag("punctuation", True),
        itn=option.flag("itn", True),
        remove_fillers=option.flag("remove_fillers", False),
        second_pass=option.flag("second_pass", True),
        llm=option.flag("llm", None),
        partials=option.flag("partials", True),
        pace=_read_pace(option, silence_ms),
        client_recording_id=option.text("client_recording_id", 64),
        model=option.text("model", 80) or option.text("model_id", 80) or None,
        vllm_host=option.text("vllm_host", 255) or None,
        vllm_port=option.whole("vllm_port", None, 1, 65535),
    )
    codec = option.choice("format", "s16le", CODECS)
    return Open(wishes, AudioFormat(codec, option.whole("sample_rate", 16_000, 8_000, 48_000)))


def _read_pace(option: "_Options", silence_ms: int) -> Pace:
    """A preset, and on top of it what is given one by one."""
    name = option.choice("preset", "", tuple(PACES))
    pace = PACES.get(name, Pace(samples(silence_ms)))
    return Pace(
        samples(option.whole("max_sentence_silence_ms", milliseconds(pace.end_silence), *SENTENCE_SILENCE_MS)),
        samples(option.whole("max_sentence_ms", milliseconds(pace.longest), *SENTENCE_MS)),
        samples(option.whole("preroll_ms", milliseconds(pace.preroll), *PREROLL_MS)),
    )


def read_hotwords(value: object) -> tuple[Hotword, ...]:
    """A list, or words separated by commas or line breaks. Raises XingjiError("bad_config")."""
    if isinstance(value, str):
        value = [word for word in value.replace("，", ",").replace("\n", ",").split(",") if word.strip()]
    try:
        return parse(value)
    except XingjiError as error:
        raise XingjiError("bad_config", field=error.field or "hotwords", detail=error.detail) from error


def read_audio(payload: object) -> Frame:
    """``audio_data``: bytes, ``{audio, seq?}``, or a list of int16. Raises XingjiError("bad_audio")."""
    if not isinstance(payload, dict):
        return Frame(_audio_bytes(payload))
    seq = payload.get("seq")
    if seq is not None and (not isinstance(seq, int) or isinstance(seq, bool) or seq < 0):
        raise XingjiError("bad_audio", field="seq")
    audio = payload.get("audio")
    if isinstance(audio, str):
        try:
            audio = base64.b64decode(audio, validate=True)
        except ValueError as error:
            raise XingjiError("bad_audio", field="audio") from error
    return Frame(_audio_bytes(audio, "audio"), seq)


def _audio_bytes(audio: object, field: str | None = None) -> bytes:
    match audio:
        case bytes() | bytearray():
            return bytes(audio)
        case list() if len(audio) <= MAX_LIST:
            try:
                return array.array("h", audio).tobytes()
            except (TypeError, OverflowError) as error:
                raise XingjiError("bad_audio", field=field) from error
        case _:
            raise XingjiError("bad_audio", field=field)


class _Options:
    """Typed access to a client's options. Unknown keys are ignored; null means the default."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self._payload = payload

    def flag(self, name: str, default: Any) -> Any:
        value = self._payload.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise XingjiError("bad_config", field=name)
        return value

    def whole(self, name: str, default: N, low: int, high: int) -> int | N:
        value = self._payload.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise XingjiError("bad_config", field=name)
        return value

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._payload.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or value not in allowed:
            raise XingjiError("bad_config", field=name)
        return value

    def text(self, name: str, longest: int) -> str | None:
        value = self._payload.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > longest:
            raise XingjiError("bad_config", field=name)
        return value

    def table(self, name: str) -> str | None:
        value = self._payload.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not ID.fullmatch(value):
            raise XingjiError("bad_config", field=name)
        return value
