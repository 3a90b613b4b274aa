"""What Qwen's realtime recognition and OpenAI's have in common: JSON with audio in base64, and items.

Where the server finds the sentences the session is one recording and each of them an item. Where the client commits
by itself (``turn_detection: null``) each commit is an item and a recording of its own.
"""

import base64
import binascii
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.types import AudioFormat
from . import Frame, Open, Wishes
from .dialect import Cancel, Command, Dialect, Say, Stop, Writer, from_json
from .realtime_write import Committed, Telling

LARGEST = 15 << 20  # bytes that one message may append, in base64


class Invalid(Exception):
    """The client's fault; the session goes on."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param = code, param


def whole(value: object, limits: tuple[int, int], name: str) -> int:
    """Raises Invalid."""
    if isinstance(value, bool) or not isinstance(value, int) or not limits[0] <= value <= limits[1]:
        zh, en = f"应为 {limits[0]} 到 {limits[1]}。", f"must be {limits[0]} to {limits[1]}."
        raise Invalid("invalid_value", f"{zh} {en}", name)
    return value


class Realtime(Dialect):
    keeps_lost = False
    patience_s = 4.0  # also for the client's own recording before, which may not be over yet
    largest = LARGEST + (1 << 16)
    no_audio = "invalid_value"  # their code for what should have been audio

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._asked: str | None = None  # event_id of what is being read
        self._deaf = False  # its recording was refused
        self._fed = 0  # bytes of the recording that takes audio
        self._manual: Committed | None = None

    # What a protocol makes of it.

    @property
    @abstractmethod
    def by_client(self) -> bool:
        """The client commits by itself."""

    @abstractmethod
    def _format(self) -> AudioFormat: ...

    @abstractmethod
    def _wishes(self) -> Wishes: ...

    @abstractmethod
    def _told(self, kind: object, body: Mapping[str, Any]) -> Iterator[Command]:
        """One event of the client. May raise Invalid."""

    @abstractmethod
    def _bytes(self) -> Invalid:
        """What is said to a binary message."""

    @abstractmethod
    def _detected(self, opened: Open, llm_model: str | None) -> Writer:
        """The writer of a recording in which the server finds the sentences."""

    # -- what the client sends -----------------------------------------------------------

    def read(self, message: str | bytes) -> Iterator[Command]:
        self._asked = None
        try:
            if isinstance(message, bytes):
                raise self._bytes()
            body = from_json(message)
            id = body.get("event_id")
            self._asked = id if isinstance(id, str) else None
            yield from self._told(body.get("type"), body)
        except Invalid as wrong:
            yield Say((self._telling.error("invalid_request_error", wrong.code, str(wrong), wrong.param, self._asked),))

    def _append(self, audio: object) -> Iterator[Command]:
        if not isinstance(audio, str) or len(audio) > LARGEST:
            raise Invalid(self.no_audio, "audio 应为 15 MiB 以内的 base64。 audio must be base64.", "audio")
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Invalid(self.no_audio, "audio 不是 base64。 audio is not base64.", "audio") from error
        if self._deaf or not data:
            return
        if not self._telling.open:
            self._deaf = True
            yield Open(self._wishes(), self._format())
            self._telling.open, self._deaf, self._fed = True, False, 0
        yield Frame(data)
        self._fed += len(data)

    def _finish(self) -> Iterator[Command]:
        """The session ends, once all is told."""
        self._telling.finishing = True
        if self._telling.open:
            yield from self._stop()
        elif not self._telling.unfinished:
            yield Say(self._telling.farewell())

    def _stop(self) -> Iterator[Command]:
        """A recording of the client's own is committed thereby."""
        self._telling.open = False
        if self._manual is not None:
            yield Say(self._manual.committed())
        yield Stop()

    def _discard(self) -> Iterator[Command]:
        """What the client has not committed yet."""
        self._telling.open = False
        yield Cancel()
        self._telling.unfinished -= 1

    # -- what it is told -----------------------------------------------------------------

    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> Writer:
        self._telling.unfinished += 1
        self._manual = Committed(self._telling) if self.by_client else None
        return self._manual or self._detected(opened, llm_model)
