"""What comes with a file: options for its recognition and for how the answer is written, from a form or from JSON."""

from collections.abc import Mapping
from typing import Any

from ..core.errors import XingjiError
from ..core.types import Hotword
from ..runtime.jobs import Options
from ..wire import PACES, Pace, Wishes, samples
from ..wire.socketio_read import LANGUAGES, read_hotwords
from . import services
from .transcripts import FORMS
from .uploads import flag


def read_options(said: Mapping[str, Any]) -> Options:
    """Raises XingjiError("bad_parameter") naming the field."""
    form = _text(said, "response_format") or "json"
    if form not in FORMS:
        raise XingjiError("bad_parameter", field="response_format")
    compare = flag(said, "compare", False)
    wishes = Wishes(
        language=read_language(said),
        hotwords=_hotwords(said),
        hotword_table=_hotword_table(said),
        stream=compare,
        remove_fillers=flag(said, "remove_fillers", False),
        llm=flag(said, "llm", False),
        pace=_pace(said),
        model=_text(said, "model") or _text(said, "model_id"),
        vllm_host=_text(said, "vllm_host"),
        vllm_port=_port(said),
    )
    return Options(wishes, timestamps=flag(said, "generate_timestamps", True), form=form, compare=compare)


def read_language(said: Mapping[str, Any]) -> str:
    language = _text(said, "language") or "auto"
    if language not in LANGUAGES:
        raise XingjiError("bad_parameter", field="language")
    return language


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    if value is not None and not isinstance(value, str):
        raise XingjiError("bad_parameter", field=name)
    return value or None


def _port(said: Mapping[str, Any]) -> int | None:
    port = str(said.get("vllm_port") or "")
    if not port:
        return None
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise XingjiError("bad_parameter", field="vllm_port")
    return int(port)


def _pace(said: Mapping[str, Any]) -> Pace:
    name = _text(said, "preset")
    if name is None:
        return Pace(samples(services().settings.sentence_silence_ms))
    if name not in PACES:
        raise XingjiError("bad_parameter", field="preset")
    return PACES[name]


def _hotwords(said: Mapping[str, Any]) -> tuple[Hotword, ...]:
    try:
        return read_hotwords(said.get("hotwords") or "")
    except XingjiError as error:
        raise XingjiError("bad_parameter", field=error.field) from error


def _hotword_table(said: Mapping[str, Any]) -> str | None:
    table = _text(said, "hotword_table")
    if table is not None:
        try:
            services().tables.read(table)
        except XingjiError as error:
            raise XingjiError("bad_parameter", field="hotword_table") from error
    return table
