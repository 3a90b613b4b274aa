"""星纪 ASR 的 Python 客户端：Socket.IO 与 DashScope 两种协议，同一个用法。 A client of 星纪 ASR for both protocols.

::

    from AsrClient import AsrClient, read_file

    with AsrClient("http://127.0.0.1:5006", on_partial=lambda sentence: print(sentence.text)) as client:
        client.start(language="zh", hotwords=["林滔"])
        for frame in read_file("meeting.wav"):   # 16 kHz 16 位单声道，每包 100 毫秒 · frames of 100 ms
            client.send(frame)                   # 服务器收得慢就等 · waits where the server is slower
        print(client.stop().text)

回调在客户端自己的线程里依次执行，不要在里面等。 Callbacks run one after another on a thread of the client; they must
not wait for the client. Text is kept right by ``reduce`` (asr_transcript.py), which can be used without any of this.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asr_audio import AudioError, Microphone, duration_ms, opus, read_file
from asr_dashscope import DashScopeWire
from asr_errors import AsrError
from asr_socketio import SocketIoWire
from asr_transcript import BUSY, EMPTY, Sentence, Transcript, join, reduce

__all__ = [
    "EMPTY",
    "AsrClient",
    "AsrError",
    "AudioError",
    "Interruption",
    "Microphone",
    "Result",
    "Sentence",
    "Transcript",
    "duration_ms",
    "join",
    "opus",
    "read_file",
    "reduce",
]

log = logging.getLogger(__name__)

ANSWER_S = 10.0  # within which a start must be answered


@dataclass(frozen=True, slots=True)
class Result:
    """一次录音的结果。 What came of a recording."""

    text: str
    sentences: tuple[Sentence, ...]
    duration_ms: int
    recording_id: str | None
    interrupted: bool  # 连接断过，只到断线为止 · the connection broke; this is up to there
    raw: Mapping[str, Any]  # 服务器的 final_result · the server's own


@dataclass(frozen=True, slots=True)
class Interruption:
    """录音中断线：服务器确认收到 ``accepted_ms``，``pending`` 是还没有确认的音频，可以放进下一次录音。

    The server has said that it has ``accepted_ms``; ``pending`` is the audio beyond that, for the next recording, or
    for the same one once a server can resume it."""

    recording_id: str | None
    accepted_ms: int
    pending: tuple[bytes, ...]


@dataclass(slots=True)
class _Recording:
    started: bool = False
    stopping: bool = False  # takes no more audio
    failure: AsrError | None = None
    result: Result | None = None

    @property
    def over(self) -> bool:
        return self.failure is not None or self.result is not None


class AsrClient:
    def __init__(
        self,
        url: str = "http://127.0.0.1:5006",
        *,
        protocol: str = "socketio",
        api_key: str | None = None,
        model: str = "paraformer-realtime-v2",
        on_partial: Callable[[Sentence], None] | None = None,
        on_final: Callable[[Sentence], None] | None = None,
        on_dropped: Callable[[Sentence], None] | None = None,
        on_state: Callable[[Transcript], None] | None = None,
        on_event: Callable[[str, Mapping[str, Any]], None] | None = None,
        on_error: Callable[[AsrError], None] | None = None,
        on_connection: Callable[[str], None] | None = None,
        on_interrupted: Callable[[Interruption], None] | None = None,
    ) -> None:
        """``protocol``：``socketio`` 或 ``dashscope``；``api_key``：服务器要的话；``model``：DashScope 的模型名。

        ``on_partial``: new text of a sentence that may still change; ``on_final``: once for each sentence, when it is
        settled; ``on_dropped``: it was no speech; ``on_event``: every server event as it came; ``on_connection``:
        ``online``, ``offline`` or ``unauthorized``.
        """
        self.state = EMPTY
        self._on_partial, self._on_final, self._on_dropped = on_partial, on_final, on_dropped
        self._on_state, self._on_event, self._on_error = on_state, on_event, on_error
        self._on_connection, self._on_interrupted = on_connection, on_interrupted
        self._changed = threading.Condition(threading.RLock())
        self._recording: _Recording | None = None
        self._wire: SocketIoWire | DashScopeWire
        url = url.rstrip("/")
        match protocol:
            case "socketio":
                self._wire = SocketIoWire(url, api_key, self._hear, self._line, self._room)
            case "dashscope":
                self._wire = DashScopeWire(url, api_key, model, self._hear, self._line)
            case _:
                raise ValueError(f"protocol: socketio, dashscope; not {protocol}")

    def __enter__(self) -> "AsrClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        return self._wire.connected

    @property
    def backlog(self) -> int:
        """还没有确认送达的字节。 Bytes that have not been acknowledged yet."""
        return self._wire.pending_bytes

    def connect(self) -> None:
        """Raises AsrError ``unauthorized`` or ``unreachable``. ``start`` does it where there is no connection."""
        if not self.connected:
            self._wire.connect()

    def close(self) -> None:
        self._wire.close()

    def start(self, **options: Any) -> str:
        """开始录音，选项同 start_recording，返回录音编号。 Begins a recording; answers its id, raises AsrError.

        ``language``, ``hotwords``, ``format``, ``sample_rate`` mean the same in both protocols; anything else is the
        protocol's own.
        """
        with self._changed:
            if self.state.phase in BUSY:
                raise AsrError("already_recording")
            recording = self._recording = _Recording()
            before, self.state = self.state, reduce(self.state, "starting")
        self._tell(before, self.state)
        try:
            self.connect()
            self._wire.start(options)
            with self._changed:
                answered = self._changed.wait_for(lambda: recording.started or recording.over, ANSWER_S)
            if not answered:
                recording.failure = AsrError("no_answer")
                self._wire.cancel()
            if recording.failure and not recording.started:
                raise recording.failure
        except AsrError as error:
            recording.failure = error
            self._apply("cancelled")
            raise
        return self.state.recording_id or ""

    def send(self, data: bytes) -> None:
        """一段音频；路上太多时等服务器收下，一个也不丢。 A piece of audio. Waits while too much is on its way; none is
        dropped. Raises AsrError where the recording takes no more."""
        with self._changed:
            recording = self._recording
            if recording is None:
                raise AsrError("no_session")
            self._changed.wait_for(lambda: self._wire.room or recording.stopping or recording.over)
            if recording.stopping or recording.over:
                raise recording.failure or AsrError("no_session")
        self._wire.send(data)

    def stop(self, timeout_s: float | None = None) -> Result:
        """停止，等最终结果；``timeout_s`` 之后是 ``no_answer``。 No more audio; waits for the result.

        Where the recording is over already, because the server ended it or the connection broke, this is its result,
        or raises why there is none."""
        with self._changed:
            recording = self._recording
            if recording is None:
                raise AsrError("no_session")
            first, recording.stopping = not (recording.stopping or recording.over), True
        if first:
            self._apply("stopping")
            with contextlib.suppress(AsrError):  # a connection that has just been lost is heard of below
                self._wire.stop()
        with self._changed:
            if not self._changed.wait_for(lambda: recording.over, timeout_s):
                raise AsrError("no_answer")
            if recording.result is None:
                raise recording.failure or AsrError("no_session")
            return recording.result

    def cancel(self) -> None:
        """放弃录音，没有结果。 Gives the recording up; there will be no result."""
        with self._changed:
            recording = self._recording
            if recording is None or recording.over:
                return
            recording.failure = AsrError("no_session")
            self._changed.notify_all()
        with contextlib.suppress(AsrError):  # no connection, no recording
            self._wire.cancel()

    # -- what comes in, on the wire's thread -------------------------------------------------

    def _room(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _hear(self, name: str, data: Mapping[str, Any]) -> None:
        _call(self._on_event, name, data)
        if name == "error":
            return self._fail(AsrError(data["code"], data))
        self._apply(name, data)
        recording = self._recording
        if recording is None or recording.over or data.get("recording_id", "") != self.state.recording_id:
            return
        match name:
            case "recording_started":
                recording.started = True
            case "recording_stopped":
                recording.stopping = True
            case "final_result":
                recording.result = self._result(data, interrupted=False)
        self._room()

    def _result(self, raw: Mapping[str, Any], interrupted: bool) -> Result:
        told = self.state
        return Result(told.full_text, told.sentences, told.time_ms, told.recording_id, interrupted, raw)

    def _fail(self, error: AsrError) -> None:
        _call(self._on_error, error)
        recording = self._recording
        if recording is None or recording.over or not (error.fatal or self.state.phase == "starting"):
            return
        if recording.started:
            self._apply("connection_lost")
        recording.failure = error
        self._room()

    def _line(self, line: str) -> None:
        _call(self._on_connection, line)
        recording = self._recording
        if line != "offline" or recording is None or recording.over or self.state.phase not in BUSY:
            return
        recording.stopping = True
        interruption = Interruption(self.state.recording_id, self._wire.accepted_ms, tuple(self._wire.pending))
        self._apply("connection_lost")
        if not recording.started:
            recording.failure = AsrError("connection_lost")
        self._room()
        _call(self._on_interrupted, interruption)
        if recording.started:
            arguments = (recording, interruption.recording_id or "")
            threading.Thread(target=self._recover, args=arguments, name="asr-recovery", daemon=True).start()

    def _recover(self, recording: _Recording, recording_id: str) -> None:
        """The server finishes what arrived, and keeps the result for a while."""
        try:
            raw = self._wire.kept(recording_id)
            if recording is not self._recording:  # another one has begun
                raise AsrError("connection_lost")
            self._apply("final_result", raw)
            recording.result = self._result(raw, interrupted=True)
        except AsrError as error:
            recording.failure = error
        self._room()

    def _apply(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        with self._changed:
            before, self.state = self.state, reduce(self.state, name, data)
            after = self.state
        self._tell(before, after)

    def _tell(self, before: Transcript, after: Transcript) -> None:
        if after is before:
            return
        known = {one.id: one for one in (*before.sentences, *before.dropped)}
        for one in after.sentences:
            was = known.get(one.id)
            if one.settled and not (was and was.settled):
                _call(self._on_final, one)
            elif not one.settled and one != was:
                _call(self._on_partial, one)
        for one in after.dropped:
            if known.get(one.id) != one:
                _call(self._on_dropped, one)
        _call(self._on_state, after)


def _call(callback: Callable[..., None] | None, *told: Any) -> None:
    """A fault of the program that uses the client must not end the thread that listens."""
    if callback is not None:
        try:
            callback(*told)
        except Exception:
            log.exception("a callback failed")
