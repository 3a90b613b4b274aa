"""What clients of Alibaba's NLS ask for: which directive a message is, and its parameters, with the vendor's defaults.

Whatever is not read here (``customization_id``, ``speech_noise_threshold`` once it is a number in its range, …) is
accepted and has no effect.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..core.errors import XingjiError
from ..core.types import SAMPLE_RATE, AudioFormat, Hotword
from . import ID, PACES, Pace, Wishes, samples
from .nls_status import Failure
from .parts import BY_MEANING_SILENCE, Style
from .socketio_read import read_hotwords

# What begins like a WAV file is one, whatever it is called.
CODECS = {
    "pcm": "pcm", "wav": "pcm", "opus": "opus", "opu": "opus", "speex": "speex", "amr": "amr", "mp3": "mp3",
    "aac": "aac",
}  # fmt: skip
RATES = (8_000, 48_000)  # Hz
SILENCES = (200, 6_000)  # ms that end a sentence
NO_AUDIO_S = 10.0
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INLINE = re.compile(r"(\S+)\s+(\d{1,3})")  # "词1 20 词2 15"
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Service:
    """One of the two that speak this protocol."""

    namespace: str
    stem: str  # of the names of its events

    @property
    def started(self) -> str:
        return self.stem + "Started"

    @property
    def changed(self) -> str:
        return self.stem + "ResultChanged"

    @property
    def completed(self) -> str:
        return self.stem + "Completed"


TRANSCRIBER = Service("SpeechTranscriber", "Transcription")  # sentence after sentence
RECOGNIZER = Service("SpeechRecognizer", "Recognition")  # one text for all that is said

Kind = Literal["start", "stop", "control"]

_DIRECTIVES: dict[tuple[object, object], tuple[Service, Kind]] = {
    ("SpeechTranscriber", "StartTranscription"): (TRANSCRIBER, "start"),
    ("SpeechTranscriber", "StopTranscription"): (TRANSCRIBER, "stop"),
    ("SpeechTranscriber", "ControlTranscriber"): (TRANSCRIBER, "control"),
    ("SpeechRecognizer", "StartRecognition"): (RECOGNIZER, "start"),
    ("SpeechRecognizer", "StopRecognition"): (RECOGNIZER, "stop"),
}


@dataclass(frozen=True, slots=True)
class Directive:
    service: Service
    kind: Kind
    task_id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one task."""

    wishes: Wishes
    format: AudioFormat
    style: Style
    partials: bool
    words: bool
    one_sentence: bool  # the first that is over ends the task
    start_silence_s: float | None  # so long nobody may be silent at first


def invalid(text: str) -> Failure:
    """A message that should not have been sent."""
    return Failure("bad_json", text)


def read_directive(body: Mapping[str, Any]) -> Directive:
    """Raises Failure."""
    header, payload = body.get("header"), body.get("payload")
    if not isinstance(header, dict):
        raise invalid("The message has no header.")
    found = _directive(header.get("namespace"), header.get("name"))
    if found is None:
        raise invalid("There is no such directive in this namespace.")
    id = shown_id(body)
    if not id:
        raise invalid("task_id must be 1 to 64 of A-Z a-z 0-9 _ -.")
    if not isinstance(payload, dict | None):
        raise invalid("The payload is no object.")
    return Directive(*found, id, payload or {})


def _directive(namespace: object, name: object) -> tuple[Service, Kind] | None:
    return next((found for names, found in _DIRECTIVES.items() if names == (namespace, name)), None)


def shown_id(body: Mapping[str, Any]) -> str:
    """The id of the task that a message names; empty where it names none."""
    header = body.get("header")
    id = header.get("task_id") if isinstance(header, dict) else None
    return id if isinstance(id, str) and TASK_ID.fullmatch(id) else ""


def read_parameters(service: Service, given: Mapping[str, Any]) -> Asked:
    """Raises XingjiError("bad_parameter") naming one."""
    style = Style(
        punctuation=_flag(given, "enable_punctuation_prediction"),
        by_meaning=_flag(given, "enable_semantic_sentence_detection") and service is TRANSCRIBER,
    )
    _number(given, "speech_noise_threshold", -1, 1)
    detects = _flag(given, "enable_voice_detection") and service is RECOGNIZER
    start_silence = _whole(given, "max_start_silence", 0, (0, 60_000))
    table, hotwords = read_vocabulary(_text(given, "vocabulary_id"))
    wishes = Wishes(
        hotwords=hotwords,
        hotword_table=table,
        punctuation=style.marks_needed,
        itn=_flag(given, "enable_inverse_text_normalization"),
        remove_fillers=_flag(given, "disfluency"),
        llm=False,
        pace=Pace(_silence(service, given, style.by_meaning, detects)),
        idle_s=NO_AUDIO_S,
    )
    return Asked(
        wishes,
        _format(given),
        style,
        partials=_flag(given, "enable_intermediate_result"),
        words=_flag(given, "enable_words"),
        one_sentence=detects,
        start_silence_s=start_silence / 1000 if detects and start_silence else None,
    )


def _silence(service: Service, given: Mapping[str, Any], by_meaning: bool, detects: bool) -> int:
    sentence = _whole(given, "max_sentence_silence", 800, SILENCES)
    end = _whole(given, "max_end_silence", 800, SILENCES)
    if service is RECOGNIZER:
        return samples(end) if detects else PACES["dictation"].end_silence
    return BY_MEANING_SILENCE if by_meaning else samples(sentence)


def _format(given: Mapping[str, Any]) -> AudioFormat:
    codec = CODECS.get(_text(given, "format").lower() or "pcm")
    if codec is None:
        raise XingjiError("bad_parameter", field="format")
    return AudioFormat(codec, _whole(given, "sample_rate", SAMPLE_RATE, RATES))


def read_vocabulary(said: str) -> tuple[str | None, tuple[Hotword, ...]]:
    """The id of a named table, or words with weights in the parameter itself: ``词1 20 词2 15``.

    Raises XingjiError("bad_parameter").
    """
    said = said.strip()
    if not said:
        return None, ()
    if ID.fullmatch(said):
        return said, ()
    weighted = [{"text": word, "weight": max(1, min(100, int(weight)))} for word, weight in _INLINE.findall(said)]
    try:
        words = read_hotwords(weighted)
    except XingjiError as error:
        raise XingjiError("bad_parameter", field="vocabulary_id") from error
    if not words:
        raise XingjiError("bad_parameter", field="vocabulary_id")
    return None, words


# -- values; null is as good as absent -----------------------------------------------------------


def _flag(given: Mapping[str, Any], name: str) -> bool:
    """False where it is absent. Some clients send ``"true"`` or 1."""
    value = given.get(name)
    flag = False if value is None else _FLAGS.get(str(value).lower())
    if flag is None:
        raise XingjiError("bad_parameter", field=name)
    return flag


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str | None):
        raise XingjiError("bad_parameter", field=name)
    return value or ""


def _whole(given: Mapping[str, Any], name: str, default: int, bounds: tuple[int, int]) -> int:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not bounds[0] <= value <= bounds[1]:
        raise XingjiError("bad_parameter", field=name)
    return value


def _number(given: Mapping[str, Any], name: str, low: float, high: float) -> None:
    value = given.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise XingjiError("bad_parameter", field=name)
