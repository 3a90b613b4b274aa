"""我们的 Socket.IO 协议。 Our own protocol (WebSocket接口文档.md) as a wire of ``AsrClient``.

Every server event is handed on as it came. Every frame is acknowledged; what is not yet acknowledged is what the
server may not have.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import engineio
import requests
import socketio

from asr_errors import AsrError

EVENTS = (
    "recording_started",
    "transcription",
    "segment_result",
    "recording_stopped",
    "processing_progress",
    "final_result",
    "recording_cancelled",
    "error",
)
IN_FLIGHT = 256 * 1024  # bytes on the way; 8 s of PCM
KEPT_S = 60.0  # the server's XINGJI_KEEP_RESULT_S
AGAIN_S = 0.5
CONNECT_S = 10.0


class SocketIoWire:
    def __init__(
        self,
        url: str,
        api_key: str | None,
        on_event: Callable[[str, Mapping[str, Any]], None],
        on_line: Callable[[str], None],
        on_room: Callable[[], None],
    ) -> None:
        self._url, self._api_key = url, api_key
        self._on_line, self._on_room = on_line, on_room
        self._pending: deque[bytes] = deque()
        self.accepted_ms = 0
        self._refusal = "unreachable"
        self._client = _InOrder(reconnection=False, handle_sigint=False)
        self._client.on("connect", lambda: on_line("online"))
        self._client.on("disconnect", self._lost)
        self._client.on("connect_error", self._refused)
        for name in EVENTS:
            self._client.on(name, lambda data=None, name=name: on_event(name, data or {}))

    @property
    def connected(self) -> bool:
        return bool(self._client.connected)

    def connect(self) -> None:
        """Raises AsrError ``unauthorized`` or ``unreachable``."""
        self._refusal = "unreachable"
        auth = {"token": self._api_key} if self._api_key else None
        path = urlsplit(self._url).path.strip("/")
        where = f"{path}/socket.io" if path else "socket.io"
        try:
            self._client.connect(
                self._url, auth=auth, transports=["websocket"], socketio_path=where, wait_timeout=CONNECT_S
            )
        except socketio.exceptions.ConnectionError as error:
            self._hang_up()
            raise AsrError(self._refusal) from error

    def close(self) -> None:
        self._client.shutdown()
        self._hang_up()
        self._client.end()

    def _hang_up(self) -> None:
        """engineio leaves the socket open where the server ended the connection."""
        if self._client.eio.ws is not None:
            self._client.eio.ws.shutdown()

    def _lost(self, reason: str) -> None:
        if reason != self._client.reason.CLIENT_DISCONNECT:  # else it is being closed just now
            self._hang_up()
        self._client.later(self._on_line, "offline")

    def _refused(self, data: Any = None) -> None:
        told = data.get("data") if isinstance(data, dict) else None
        self._refusal = (
            "unauthorized" if isinstance(told, dict) and told.get("code") == "unauthorized" else "unreachable"
        )
        self._on_line(self._refusal if self._refusal == "unauthorized" else "offline")

    def start(self, options: dict[str, Any]) -> None:
        self._pending, self.accepted_ms = deque(), 0
        self._emit("start_recording", options)

    @property
    def room(self) -> bool:
        return self.pending_bytes < IN_FLIGHT

    @property
    def pending(self) -> list[bytes]:
        """Frames that were sent, and that nobody has said to have arrived."""
        return list(self._pending)

    @property
    def pending_bytes(self) -> int:
        return sum(map(len, list(self._pending)))

    def send(self, frame: bytes) -> None:
        sent = self._pending  # an answer to a frame of an older recording must not touch this one's

        def acknowledged(answer: Mapping[str, Any]) -> None:
            sent.popleft()  # answers come in order
            if sent is self._pending:
                self.accepted_ms = max(self.accepted_ms, answer.get("received_ms", 0))
                self._on_room()

        sent.append(frame)
        self._emit("audio_data", frame, acknowledged)

    def stop(self) -> None:
        self._emit("stop_recording")

    def cancel(self) -> None:
        self._emit("cancel_recording")

    def _emit(self, name: str, data: Any = None, callback: Callable[..., None] | None = None) -> None:
        try:
            self._client.emit(name, data, callback=callback)
        except socketio.exceptions.SocketIOError as error:
            raise AsrError("connection_lost") from error

    def kept(self, recording_id: str) -> Mapping[str, Any]:
        """断线的录音的结果，服务器保留一分钟。 The final result of a recording whose connection broke."""
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        address = f"{self._url}/api/asr/recordings/{quote(recording_id)}"
        begun = time.monotonic()
        while time.monotonic() - begun < KEPT_S:
            try:
                answer = requests.get(address, headers=headers, timeout=CONNECT_S)
            except requests.RequestException:  # not reachable yet
                answer = None
            if answer is not None and answer.status_code == 200:
                found: Mapping[str, Any] = answer.json()["data"]
                return found
            if answer is not None and 400 <= answer.status_code < 500:
                break
            time.sleep(AGAIN_S)
        raise AsrError("connection_lost")


class _InOrderEngine(engineio.Client):  # type: ignore[misc]
    """Gives every message a thread of its own, and threads may overtake one another; here one thread takes them all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tasks: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = queue.SimpleQueue()

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if target == self.handlers.get("message"):
            return self.tasks.put((target, args))
        return super().start_background_task(target, *args, **kwargs)


class _InOrder(socketio.Client):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        threading.Thread(target=self._run, name="asr-events", daemon=True).start()

    def _engineio_client_class(self) -> type[engineio.Client]:
        return _InOrderEngine

    def later(self, target: Callable[..., Any], *args: Any) -> None:
        """After all that has come in up to now."""
        self.eio.tasks.put((target, args))

    def end(self) -> None:
        self.eio.tasks.put(None)

    def _run(self) -> None:
        while task := self.eio.tasks.get():
            target, args = task
            target(*args)
