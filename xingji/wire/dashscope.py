"""DashScope's realtime recognition, ``/api-ws/v1/inference``: one task after another on one connection.

IDLE --run-task--> STARTING --a recording begins--> STREAMING --finish-task--> DRAINING --all told--> IDLE.
Whatever goes wrong ends the task, with one ``task-failed``, and the connection with it. While the server is
full a task waits in STARTING for a little. A sentence is over for this protocol with its second pass.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from ..core.errors import XingjiError
from . import Frame, Open
from .dashscope_read import Failure, Task, read_task, task_id
from .dashscope_write import TaskWriter, failed, why
from .dialect import DAMAGED, Cancel, Close, Command, Dialect, Frames, Handshake, Say, Stop, Writer, from_json

PATHS = ("/api-ws/v1/inference", "/api-ws/v1/inference/")
SLOT_S = 4.0  # that a task waits for one to become free, from the first tick
SILENCE_S = 60.0  # without speech, then the task ends; with ``heartbeat`` never
HEARTBEAT_S = 8.0  # of silence between two of them
EARLY = 1 << 18  # bytes of audio that may come before the task has begun: so few that nobody waits for them later
NOT_FATAL = ("overloaded", "bad_audio", "audio_gap", "no_session")  # this protocol has no word for them
WAITS = ("busy", "not_ready")


class State(Enum):
    IDLE = 0
    STARTING = 1
    STREAMING = 2
    DRAINING = 3
    FAILED = 4


class Inference(Dialect):
    timeout_s = 60.0
    keeps_lost = False

    def __init__(self, handshake: Handshake) -> None:
        self._state = State.IDLE
        self._task: Task | None = None  # the one that runs or was the last
        self._writer: TaskWriter | None = None
        self._early: list[bytes] = []
        self._ends = False  # finish-task came while STARTING
        self._slot_until: float | None = None
        self._last_try = False  # to get one
        self._speech_at: float | None = None  # when something was last heard
        self._beat_at = 0.0

    # -- what the client sends -----------------------------------------------------------

    def read(self, message: str | bytes) -> Iterator[Command]:
        if self._state is State.FAILED:
            return
        try:
            if isinstance(message, bytes):
                yield from self._heard(message)
            else:
                yield from self._told(message)
        except Failure as failure:
            yield from self._fail(failure)

    def _heard(self, audio: bytes) -> Iterator[Command]:
        """Audio outside a task is late and for nobody."""
        if self._state is State.STREAMING and audio:
            yield Frame(audio)
        elif self._state is State.STARTING and audio and not self._ends:
            self._early.append(audio)
            if sum(map(len, self._early)) > EARLY:
                raise why(XingjiError("busy"))

    def _told(self, message: str) -> Iterator[Command]:
        try:
            body = from_json(message)
        except XingjiError as error:
            raise why(error) from error
        header = body.get("header")
        if not isinstance(header, dict):
            raise Failure("InvalidParameter", "缺少 header。 header is missing.")
        match header.get("action"):
            case "run-task":
                yield from self._run(task_id(header), body.get("payload"))
            case "continue-task":
                self._expect(header)
            case "finish-task":
                yield from self._finish(header)
            case _:
                raise Failure("InvalidParameter", "没有这个 action。 Unknown action.", _shown_id(header))

    def _run(self, id: str, payload: object) -> Iterator[Command]:
        try:
            if self._state is not State.IDLE:
                raise Failure("InvalidParameter", "上一个任务还没有结束。 A task is already running.")
            if self._task is not None and self._task.id == id:
                raise Failure("InvalidParameter", "task_id 已经用过。 task_id was used before.")
            if not isinstance(payload, dict):
                raise Failure("InvalidParameter", "缺少 payload。 payload is missing.")
            self._task = read_task(id, payload)
        except Failure as failure:
            failure.task_id = id
            raise
        self._state, self._ends = State.STARTING, False
        self._early.clear()
        self._slot_until, self._last_try, self._speech_at = None, False, None
        yield from self._begin(self._task)

    def _begin(self, task: Task) -> Iterator[Command]:
        yield Open(task.wishes, task.format)
        self._state = State.STREAMING
        for audio in self._early:
            yield Frame(audio)
        self._early.clear()
        if self._ends:
            yield from self._stop()

    def _finish(self, header: Mapping[str, Any]) -> Iterator[Command]:
        self._expect(header)
        if self._state is State.STARTING:
            self._ends = True
        elif self._state is State.STREAMING:
            yield from self._stop()

    def _stop(self) -> Iterator[Command]:
        self._state = State.DRAINING
        yield Stop()

    def _expect(self, header: Mapping[str, Any]) -> None:
        """The header is of the task that runs, or of the last one: it may have ended while this was under way."""
        if self._task is None:
            raise Failure("InvalidParameter", "没有任务，请先发送 run-task。 Send run-task first.", _shown_id(header))
        if header.get("task_id") != self._task.id:
            whose = _shown_id(header) if self._state is State.IDLE else None
            raise Failure("InvalidParameter", "task_id 不是正在进行的任务。 task_id is not of the running task.", whose)

    def _fail(self, failure: Failure) -> Iterator[Command]:
        streaming = self._state is State.STREAMING
        yield Say(self._failed(failure))
        if streaming:
            yield Cancel()

    def _failed(self, failure: Failure) -> Frames:
        if self._state is State.FAILED:
            return ()
        running = self._task.id if self._task is not None and self._state is not State.IDLE else ""
        self._state = State.FAILED
        if self._writer is not None:
            self._writer.silent = True
        return failed(running if failure.task_id is None else failure.task_id, failure)

    # -- time ------------------------------------------------------------------------------

    def tick(self, now: float) -> Iterator[Command]:
        if self._state is State.STARTING and self._task is not None:
            if self._slot_until is None:
                self._slot_until = now + SLOT_S
            self._last_try = now >= self._slot_until
            yield from self._begin(self._task)
        elif self._state is State.STREAMING and self._task is not None and self._writer is not None:
            yield from self._listen(now, self._task, self._writer)

    def _listen(self, now: float, task: Task, writer: TaskWriter) -> Iterator[Command]:
        if self._speech_at is None or writer.spoke or not writer.quiet:
            writer.spoke = False
            self._speech_at = self._beat_at = now
        if task.heartbeat:
            if now - self._beat_at >= HEARTBEAT_S:
                self._beat_at = now
                yield Say((writer.heartbeat(),))
        elif now - self._speech_at >= SILENCE_S:
            writer.failure = Failure("CLIENT_ERROR", f"request timeout after {SILENCE_S:.0f} seconds of silence.")
            yield from self._stop()

    # -- what it is told -----------------------------------------------------------------

    def recording(
        self, recording_id: str, opened: Open, llm_model: str | None, backup_id: Callable[[], str | None]
    ) -> Writer:
        assert self._task is not None  # an Open is only yielded for one
        self._writer = TaskWriter(self._task.id, self._task.style, opened.format.codec != "s16le", self._over)
        return self._writer

    def _over(self, well: bool) -> None:
        if self._state is not State.FAILED:
            self._state = State.IDLE if well else State.FAILED

    def error(self, error: XingjiError, recording_id: str | None) -> Frames:
        if error.code == "connection_timeout":
            return (Close(1000, error.code),)
        if error.code in NOT_FATAL:
            return ()
        if error.code in DAMAGED and self._writer is not None:
            self._writer.failure = why(error)  # what was understood so far is told first
            return ()
        if error.code == "unknown_model" and self._task is not None:
            return self._failed(
                Failure("ModelNotFound", f"没有模型 {str(self._task.wishes.model)[:80]}。 Model not found.")
            )
        if error.code in WAITS and self._state is State.STARTING and not self._last_try:
            return ()
        return self._failed(why(error))


def _shown_id(header: Mapping[str, Any]) -> str:
    try:
        return task_id(header)
    except Failure:
        return ""
