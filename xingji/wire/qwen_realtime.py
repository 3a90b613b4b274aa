"""Qwen's realtime recognition, ``/api-ws/v1/realtime``: JSON with audio in base64, in the manner of OpenAI's Realtime.

With ``server_vad`` the session is one recording and each sentence an item. Where the client commits by itself
(``turn_detection: null``) each commit is an item and a recording of its own. What is said of times counts
from the session's first sample.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import XingjiError
from ..core.types import SAMPLE_RATE, AudioFormat
from . import NO_END, Frame, Open, Pace, Wishes, samples
from .dashscope_write import why
from .dialect import Cancel, Close, Command, Configure, Dialect, Frames, Handshake, Say, Stop, Writer, from_json
from .qwen_realtime_read import CODECS, Invalid, read_options
from .qwen_realtime_write import Committed, Detected, Telling
from .socketio_read import LANGUAGES

PATH = "/api-ws/v1/realtime"
LARGEST = 15 << 20  # bytes of audio in one message
NOT_FATAL = ("overloaded", "bad_audio", "audio_gap", "no_session")  # this protocol has no word for them
CLIENT = ("bad_config", "unsupported_format", "decode_failed", "bad_json", "too_large")  # the session goes on


class Realtime(Dialect):
    keeps_lost = False

    def __init__(self, handshake: Handshake) -> None:
        model = handshake.query.get("model", "qwen3-asr-flash-realtime")
        if not model.startswith("qwen"):
            raise XingjiError("bad_parameter", field="model")
        self._telling = Telling()
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
        self._asked: str | None = None  # event_id of what is being read
        self._deaf = False  # its format was refused
        self._manual: Committed | None = None

    def greet(self) -> Frames:
        return (self._telling.event("session.created", session=self._session),)

    # -- what the client sends -----------------------------------------------------------

    def read(self, message: str | bytes) -> Iterator[Command]:
        self._asked = None
        try:
            if isinstance(message, bytes):
                raise Invalid("invalid_value", "音频应以 base64 放在 JSON 里。 Audio comes as base64 inside JSON.")
            yield from self._told(from_json(message))
        except Invalid as wrong:
            yield Say((self._telling.error("invalid_request_error", wrong.code, str(wrong), wrong.param, self._asked),))

    def _told(self, body: Mapping[str, Any]) -> Iterator[Command]:
        id = body.get("event_id")
        self._asked = id if isinstance(id, str) else None
        kind = body.get("type")
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

    def _append(self, audio: object) -> Iterator[Command]:
        if not isinstance(audio, str) or len(audio) > LARGEST * 4 // 3 + 4:
            raise Invalid("invalid_value", "audio 应为 15 MiB 以内的 base64。 audio must be base64.", "audio")
        try:
            data = base64.b64decode(audio, validate=True)
        except binascii.Error as error:
            raise Invalid("invalid_value", "audio 不是 base64。 audio is not base64.", "audio") from error
        if self._deaf or not data:
            return
        if not self._telling.open:
            self._deaf = True
            yield Open(self._wishes(), self._format())
            self._telling.open, self._deaf = True, False
        yield Frame(data)

    def _commit(self) -> Iterator[Command]:
        if not self._by_client:
            raise Invalid("invalid_value", "服务器判停时不能提交。 With server_vad the server commits.", "type")
        if not self._telling.open:
            raise Invalid("input_audio_buffer_commit_empty", "没有可提交的音频。 The buffer is empty.")
        yield from self._stop()

    def _clear(self) -> Iterator[Command]:
        """Where the server commits nothing waits to be."""
        yield Say((self._telling.event("input_audio_buffer.cleared"),))
        if self._by_client and self._telling.open:
            self._telling.open = False
            yield Cancel()
            self._telling.unfinished -= 1

    def _finish(self) -> Iterator[Command]:
        self._telling.finishing = True
        if self._telling.open:
            yield from self._stop()
        elif not self._telling.unfinished:
            yield Say((self._telling.event("session.finished"),))

    def _stop(self) -> Iterator[Command]:
        """A recording of the client's own is committed thereby."""
        self._telling.open = False
        if self._manual is not None:
            yield Say((self._manual.committed(),))
        yield Stop()

    # -- options -----------------------------------------------------------------------------

    @property
    def _by_client(self) -> bool:
        return self._session["turn_detection"] is None

    def _update(self, asked: object) -> Iterator[Command]:
        if not isinstance(asked, dict):
            raise Invalid("invalid_value", "session 应为对象。 session must be an object.", "session")
        before, format, manual = self._session, self._format(), self._by_client
        self._session = {**before, **read_options(asked)}
        if self._telling.open and (self._format() != format or self._by_client != manual):
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
        wishes = Wishes(language=language if language in LANGUAGES and language else "auto", llm=False)
        if self._by_client:
            return replace(wishes, stream=False, waits=True, pace=Pace(NO_END))
        return replace(wishes, pace=Pace(samples(self._session["turn_detection"]["silence_duration_ms"])))

    # -- what it is told -----------------------------------------------------------------

    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> Writer:
        self._telling.unfinished += 1
        if not self._by_client:
            self._manual = None
            return Detected(self._telling)
        self._manual = Committed(self._telling)
        return self._manual

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
