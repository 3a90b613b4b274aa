"""Alibaba's Intelligent Speech Interaction (NLS) over a WebSocket: ``/ws/v1``, its transcriber and its recogniser.

IDLE --Start…--> STARTED --Stop…, a limit--> STOPPING --all told--> IDLE. Whatever goes wrong ends the task, with one
``TaskFailed``, and the connection with it. After its end a connection takes another task for a while. What may have
been under way when a task ended, audio or a Stop, is for nobody.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from ..core.errors import XingjiError
from . import Frame, Open
from .dialect import (
    DAMAGED,
    Cancel,
    Close,
    Command,
    Configure,
    Dialect,
    Frames,
    Handshake,
    Say,
    Stop,
    Writer,
    from_json,
)
from .nls_read import Asked, Directive, invalid, read_directive, read_parameters, shown_id
from .nls_status import Failure, why
from .nls_write import TaskWriter, failed, idle, writer

PATHS = ("/ws/v1", "/ws/v1/asr", "/ws/v1/asr/funasr")
LATE = 1 << 20  # bytes of audio that may come after a task
DRAIN_S = 7.0  # from the first tick after Stop: the vendor's client waits for ten seconds
FIXED = ("format", "sample_rate")  # for the whole task
NOT_FATAL = ("overloaded", "bad_audio", "no_session")  # this protocol has no word for them


class State(Enum):
    IDLE = 0
    STARTED = 1
    STOPPING = 2
    FAILED = 3


class Nls(Dialect):
    timeout_s = 10.0
    keeps_lost = False

    def __init__(self, handshake: Handshake) -> None:
        self._state = State.IDLE
        self._task: Directive | None = None  # which began the task that runs or was the last
        self._given: dict[str, Any] = {}  # its parameters
        self._asked: Asked | None = None  # what they come to
        self._writer: TaskWriter | None = None
        self._late = 0  # bytes since it ended
        self._until: float | None = None  # how long the server waits for the first word, or the client for the last

    # -- what the client sends -----------------------------------------------------------

    def read(self, message: str | bytes) -> Iterator[Command]:
        if self._state is State.FAILED:
            return
        id = ""
        try:
            if isinstance(message, bytes):
                yield from self._heard(message)
            else:
                body = from_json(message)
                id = shown_id(body)
                yield from self._told(read_directive(body))
        except Failure as failure:
            yield from self._fail(failure, id)
        except XingjiError as error:
            yield from self._fail(why(error), id)

    def _heard(self, audio: bytes) -> Iterator[Command]:
        if self._state is State.STARTED and self._writer is not None and audio:
            if self._writer.enough:
                yield from self._stop()
            else:
                yield Frame(audio)
        elif self._state is State.IDLE:
            self._late += len(audio)
            if self._task is None or self._late > LATE:
                raise invalid("Audio came before a Start directive.")

    def _told(self, directive: Directive) -> Iterator[Command]:
        if directive.kind == "start":
            yield from self._start(directive)
            return
        if self._task is None:
            raise invalid("Nothing was started.")
        if (directive.service, directive.task_id) != (self._task.service, self._task.task_id):
            raise invalid("The namespace or task_id is not that of the task.")
        if self._state is not State.STARTED:
            return  # the task has ended while this was under way
        if directive.kind == "stop":
            yield from self._stop()
        else:
            yield from self._control(directive)

    def _start(self, directive: Directive) -> Iterator[Command]:
        if self._state is not State.IDLE:
            raise invalid("A task is already running.")
        asked = read_parameters(directive.service, directive.payload)
        self._task, self._given, self._asked = directive, dict(directive.payload), asked
        yield Open(asked.wishes, asked.format)
        self._state, self._late, self._until = State.STARTED, 0, None

    def _control(self, directive: Directive) -> Iterator[Command]:
        assert self._writer is not None  # of the task that runs
        given = self._given | {name: value for name, value in directive.payload.items() if name not in FIXED}
        asked = read_parameters(directive.service, given)
        yield Configure(asked.wishes)
        self._given, self._writer.asked = given, asked

    def _stop(self) -> Iterator[Command]:
        self._state, self._until = State.STOPPING, None
        yield Stop()

    def _fail(self, failure: Failure, id: str) -> Iterator[Command]:
        """``id``: the task that the message is about."""
        records = self._state is State.STARTED
        yield Say(self._failed(failure, id))
        if records:
            yield Cancel()

    def _failed(self, failure: Failure, id: str = "") -> Frames:
        if self._state is State.FAILED:
            return ()
        runs = self._task is not None and self._state is not State.IDLE
        self._state = State.FAILED
        if self._writer is not None:
            self._writer.silent = True
        if self._task is not None and (runs or id == self._task.task_id):
            return failed(self._task.service.namespace, self._task.task_id, failure)
        return failed("Default", id, failure)

    # -- time ------------------------------------------------------------------------------

    def tick(self, now: float) -> Iterator[Command]:
        if self._state is State.STARTED and self._writer is not None:
            yield from self._listen(now, self._writer)
        elif self._state is State.STOPPING and self._writer is not None and self._is_up(now, DRAIN_S):
            yield Say(self._writer.cut_short())
            yield Say(self._failed(why(XingjiError("backend_failed"))))

    def _listen(self, now: float, writer: TaskWriter) -> Iterator[Command]:
        silence_s = writer.asked.start_silence_s
        if writer.enough:
            yield from self._stop()
        elif silence_s is not None and not writer.spoke and self._is_up(now, silence_s):
            writer.failure = Failure("silent_speech", "Nobody has spoken.")
            yield from self._stop()

    def _is_up(self, now: float, seconds: float) -> bool:
        if self._until is None:
            self._until = now + seconds
        return now >= self._until

    # -- what it is told -----------------------------------------------------------------

    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> Writer:
        assert self._task is not None and self._asked is not None  # an Open is only yielded for one
        self._writer = writer(self._task.service, self._task.task_id, self._asked, self._over)
        return self._writer

    def _over(self, well: bool) -> None:
        if self._state is not State.FAILED:
            self._state = State.IDLE if well else State.FAILED

    def error(self, error: XingjiError, recording_id: str | None) -> Frames:
        if error.code == "connection_timeout":
            over = (Close(1000, error.code),)
            return over if self._task is not None else self._failed(idle()) or over
        if error.code in NOT_FATAL:
            return ()
        if error.code in DAMAGED and self._writer is not None:
            self._writer.failure = why(error)  # what was understood so far is told first
            return ()
        return self._failed(why(error), self._task.task_id if self._task is not None else "")
