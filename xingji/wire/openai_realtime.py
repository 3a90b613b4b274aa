"""OpenAI's realtime transcription, ``/v1/realtime``: the GA interface and the beta before it (see ``realtime.py``).

A client's header or sub-protocol says which of the two it speaks, and after that its updates do. A commit ends the
recording in any case: where the server finds the sentences it closes the one that is being spoken, and audio that
comes later begins another recording. What is said of times counts from the session's first sample.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.errors import XingjiError
from ..core.types import SAMPLE_RATE, AudioFormat
from . import Open, Wishes
from .dialect import Check, Close, Command, Configure, Frames, Handshake, Say, Writer
from .openai_realtime_read import Session, updated
from .openai_realtime_write import SHORTEST, Detected, OpenAiTelling, why
from .realtime import Invalid, Realtime

PATH = "/v1/realtime"
SUBPROTOCOL = "realtime"
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
SESSION_S = 3600.0
BETA_UPDATE = "transcription_session.update"
SILENT = ("overloaded", "audio_gap", "no_session")  # this protocol has no word for them
CONVERSATION = ("response.", "conversation.", "output_audio_buffer.")  # what events of a conversation begin with


class OpenAiRealtime(Realtime):
    no_audio = "invalid_audio"
    _telling: OpenAiTelling

    def __init__(self, handshake: Handshake) -> None:
        beta = "realtime=v1" in handshake.headers.get("openai-beta", "") or BETA_SUBPROTOCOL in handshake.offered
        super().__init__(OpenAiTelling(beta))
        self._session = handshake.session if isinstance(handshake.session, Session) else Session()
        self._expires_at = int(handshake.at + SESSION_S)
        self._until: float | None = None  # on the clock of ``tick``
        self._written = 0.0  # seconds of audio
        self._detecting: Detected | None = None  # the last recording in which the server finds the sentences

    def greet(self) -> Frames:
        kind = "transcription_session.created" if self._telling.beta else "session.created"
        return (self._telling.event(kind, session=self._shown()),)

    def tick(self, now: float) -> Iterator[Command]:
        if self._until is None:
            self._until = now + SESSION_S
        elif now >= self._until and not self._telling.finishing:
            yield from self._finish()

    # -- what the client sends -----------------------------------------------------------

    def _bytes(self) -> Invalid:
        return Invalid("invalid_message", "音频应以 base64 放在 JSON 里。 Audio comes as base64 inside JSON.")

    def _told(self, kind: object, body: Mapping[str, Any]) -> Iterator[Command]:
        if self._telling.finishing:
            return  # the session has expired, which is told when the rest is
        match kind:
            case "session.update" | "transcription_session.update":
                yield from self._update(kind, body.get("session"))
            case "input_audio_buffer.append":
                before = self._fed if self._telling.open else 0
                yield from self._append(body.get("audio"))
                self._written += (self._fed - before) / self._session.bytes_per_second
            case "input_audio_buffer.commit":
                yield from self._commit()
            case "input_audio_buffer.clear":
                yield from self._clear()
            case "response.create":
                raise Invalid("session_type_unsupported", "这里只转写。 Only transcription is served here.", "type")
            case str() if kind.startswith(CONVERSATION):
                raise Invalid("unsupported_event", f"这里只转写：{kind[:80]}。 Only transcription is served.", "type")
            case _:
                raise Invalid("unknown_event", f"没有这个事件：{str(kind)[:80]}。 Unknown event.", "type")

    def _commit(self) -> Iterator[Command]:
        self._deaf = False
        seconds = self._fed / self._session.bytes_per_second if self._telling.open else 0.0
        if seconds * SAMPLE_RATE < SHORTEST:
            yield Say((self._telling.commit_empty(self._asked),))
            return
        if self._detecting is not None and not self.by_client:
            self._detecting.asked = (self._asked,)
        yield from self._stop()

    def _clear(self) -> Iterator[Command]:
        """Told after what was committed before: as the last event a client sends, it marks the end."""
        self._deaf = False
        if self._detecting is None or self._detecting.over:
            yield Say((self._telling.cleared(),))
        else:
            self._detecting.clears += 1
        if self._telling.open and self.by_client:
            yield from self._discard()
        elif self._telling.open and self._detecting is not None:
            self._detecting.cleared = True
            yield from self._stop()

    # -- options -----------------------------------------------------------------------------

    @property
    def by_client(self) -> bool:
        return self._session.turn_detection is None

    def _update(self, kind: str, asked: object) -> Iterator[Command]:
        beta = kind == BETA_UPDATE or _is_beta(asked, self._telling.beta)
        session = updated(self._session, asked, beta)
        otherwise = session.audio != self._session.audio or (session.turn_detection is None) != self.by_client
        if self._telling.open and otherwise and self.by_client:
            said = "先提交或清除缓冲区里的音频。 Commit or clear the buffer first."
            raise Invalid("invalid_value", said, "session")
        yield Check(session.wishes())
        if self._telling.open and otherwise:
            yield from self._stop()  # audio that comes later begins another recording
        elif self._telling.open:
            yield Configure(session.wishes())
        self._session, self._telling.beta, self._deaf = session, beta, False
        yield Say((self._telling.event(kind + "d", session=self._shown()),))

    def _shown(self) -> dict[str, Any]:
        about = {
            "object": "realtime.transcription_session",
            "id": f"sess_{self._telling.id}",
            "expires_at": self._expires_at,
        }
        return about | self._session.shown(self._telling.beta)

    def _format(self) -> AudioFormat:
        return self._session.audio

    def _wishes(self) -> Wishes:
        return self._session.wishes()

    # -- what it is told -----------------------------------------------------------------

    def _detected(self, opened: Open, llm_model: str | None) -> Writer:
        self._detecting = Detected(self._telling, int(self._written * SAMPLE_RATE), llm_model is not None)
        return self._detecting

    def error(self, error: XingjiError, recording_id: str | None) -> Frames:
        if error.code == "connection_timeout":
            return (Close(1000, error.code),)
        if error.code in SILENT:
            return ()
        kind, code, message = why(error)
        if code == "rate_limit_exceeded" and not self.by_client:
            self._deaf = False  # what is said later may find room
        param = "session.audio.input.transcription.model" if code == "model_not_found" else error.field
        told = self._telling.error(kind, code, message, param, self._asked)
        return (told, Close(1011, code)) if code == "server_error" else (told,)


def _is_beta(asked: object, before: bool) -> bool:
    """The shape of what a ``session.update`` asks; ``before``: what it is where that does not show."""
    names = asked.keys() if isinstance(asked, dict) else ()
    if not {"type", "audio"}.isdisjoint(names):
        return False
    return before or any(name.startswith("input_audio_") or name == "turn_detection" for name in names)
