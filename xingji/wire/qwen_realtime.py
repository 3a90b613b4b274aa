"""Qwen's realtime recognition, ``/api-ws/v1/realtime``, in the manner of OpenAI's Realtime (see ``realtime.py``).

What is said of times counts from the session's first sample.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import XingjiError
from ..core.types import SAMPLE_RATE, AudioFormat
from . import NO_END, Open, Pace, Wishes, samples
from .dashscope_write import why
from .dialect import Close, Command, Configure, Frames, Handshake, Say, Writer
from .qwen_realtime_read import CODECS, read_options
from .qwen_realtime_write import Detected, QwenTelling
from .realtime import Invalid, Realtime
from .socketio_read import LANGUAGES

PATH = "/api-ws/v1/realtime"
NOT_FATAL = ("overloaded", "bad_audio", "audio_gap", "no_session")  # this protocol has no word for them
CLIENT = ("bad_config", "unsupported_format", "decode_failed", "bad_json", "too_large")  # the session goes on


class QwenRealtime(Realtime):
    _telling: QwenTelling

    def __init__(self, handshake: Handshake) -> None:
        super().__init__(QwenTelling())
        model = handshake.query.get("model", "qwen3-asr-flash-realtime")
        if not model.startswith("qwen"):
            raise XingjiError("bad_parameter", field="model")
        self._session: dict[str, Any] = {
            "id": f"sess_{self._telling.id}",
            "object": "realtime.session",
            "model": model,
            "modalities": ["text"],
            "input_audio_format": "pcm",
            "sample_rate": SAMPLE_RATE,
            "input_audio_transcription": None,
            "turn_detection": {"type": "server_vad", "threshold": 0.2, "silence_duration_ms": 800},
        }

    def greet(self) -> Frames:
        return (self._telling.event("session.created", session=self._session),)

    # -- what the client sends -----------------------------------------------------------

    def _bytes(self) -> Invalid:
        return Invalid("invalid_value", "音频应以 base64 放在 JSON 里。 Audio comes as base64 inside JSON.")

    def _told(self, kind: object, body: Mapping[str, Any]) -> Iterator[Command]:
        if self._telling.finishing:
            raise Invalid("session_finished", "会话正在结束。 The session is finishing.")
        match kind:
            case "session.update":
                yield from self._update(body.get("session"))
            case "input_audio_buffer.append":
                yield from self._append(body.get("audio"))
            case "input_audio_buffer.commit":
                yield from self._commit()
            case "input_audio_buffer.clear":
                yield from self._clear()
            case "session.finish":
                yield from self._finish()
            case _:
                raise Invalid("unknown_event", f"没有这个事件：{str(kind)[:80]}。 Unknown event.", "type")

    def _commit(self) -> Iterator[Command]:
        if not self.by_client:
            raise Invalid("invalid_value", "服务器判停时不能提交。 With server_vad the server commits.", "type")
        if not self._telling.open:
            raise Invalid("input_audio_buffer_commit_empty", "没有可提交的音频。 The buffer is empty.")
        yield from self._stop()

    def _clear(self) -> Iterator[Command]:
        """Where the server commits nothing waits to be."""
        yield Say((self._telling.event("input_audio_buffer.cleared"),))
        if self.by_client and self._telling.open:
            yield from self._discard()

    # -- options -----------------------------------------------------------------------------

    @property
    def by_client(self) -> bool:
        return self._session["turn_detection"] is None

    def _update(self, asked: object) -> Iterator[Command]:
        if not isinstance(asked, dict):
            raise Invalid("invalid_value", "session 应为对象。 session must be an object.", "session")
        before, format, manual = self._session, self._format(), self.by_client
        self._session = {**before, **read_options(asked)}
        if self._telling.open and (self._format() != format or self.by_client != manual):
            self._session = before
            raise Invalid("invalid_value", "已有音频，不能再改格式和判停方式。 Audio is under way.", "session")
        self._telling.language = (self._session["input_audio_transcription"] or {}).get("language")
        self._deaf = False
        if self._telling.open:
            yield Configure(self._wishes())
        yield Say((self._telling.event("session.updated", session=self._session),))

    def _format(self) -> AudioFormat:
        return AudioFormat(CODECS[self._session["input_audio_format"]], self._session["sample_rate"])

    def _wishes(self) -> Wishes:
        language = self._telling.language
        language = language if language in LANGUAGES and language else "auto"
        wishes = Wishes(language=language, llm=False, model=self._session["model"])
        if self.by_client:
            return replace(wishes, stream=False, waits=True, pace=Pace(NO_END))
        return replace(wishes, pace=Pace(samples(self._session["turn_detection"]["silence_duration_ms"])))

    # -- what it is told -----------------------------------------------------------------

    def _detected(self, opened: Open, llm_model: str | None) -> Writer:
        return Detected(self._telling)

    def error(self, error: XingjiError, recording_id: str | None) -> Frames:
        if error.code == "connection_timeout":
            return (Close(1000, error.code),)
        if error.code in NOT_FATAL:
            return ()
        failure = why(error)
        if error.code in CLIENT:
            return (self._telling.error("invalid_request_error", failure.code, str(failure), error.field, self._asked),)
        return (
            self._telling.error("server_error", failure.code, str(failure), None, self._asked),
            Close(1011, failure.code),
        )
