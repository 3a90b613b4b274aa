"""DashScope 的实时识别协议。 DashScope's realtime recognition (docs/protocols/dashscope.md) as a wire of ``AsrClient``.

Its messages become the words of our own protocol, so that one reducer serves both. One socket carries one task.
"""

import contextlib
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import requests
import websocket

from asr_errors import AsrError

FORMATS = {"s16le": "pcm", "webm": "opus", "ogg": "opus"}
CONNECT_S = 10.0


class DashScopeWire:
    accepted_ms = 0  # the protocol does not say
    room = True  # TCP makes send wait
    pending: tuple[bytes, ...] = ()  # what the system has taken cannot be had back
    pending_bytes = 0

    def __init__(
        self,
        url: str,
        api_key: str | None,
        model: str,
        on_event: Callable[[str, Mapping[str, Any]], None],
        on_line: Callable[[str], None],
    ) -> None:
        self._url, self._model = url, model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._on_event, self._on_line = on_event, on_line
        self._socket: websocket.WebSocket | None = None
        self._task = ""
        self._vocabulary: str | None = None
        self._revisions: Counter[int] = Counter()

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def connect(self) -> None:
        """Raises AsrError ``unauthorized`` or ``unreachable``."""
        address = "ws" + self._url.removeprefix("http") + "/api-ws/v1/inference"
        headers = [f"{name}: {value}" for name, value in self._headers.items()]
        try:
            line = websocket.create_connection(address, CONNECT_S, header=headers, enable_multithread=True)
        except websocket.WebSocketBadStatusException as error:
            raise AsrError("unauthorized" if error.status_code == 401 else "unreachable") from error
        except (websocket.WebSocketException, OSError) as error:
            raise AsrError("unreachable") from error
        line.settimeout(None)
        self._socket = line
        threading.Thread(target=self._listen, args=(line,), name="asr-events", daemon=True).start()
        self._on_line("online")

    def close(self) -> None:
        line = self._socket
        if line is not None:
            self._leave(line)
            with contextlib.suppress(websocket.WebSocketException, OSError):
                line.send_close()
                line.abort()  # type: ignore[no-untyped-call]  # wakes up the thread that listens

    def _leave(self, line: websocket.WebSocket) -> None:
        """It is of no use any more, whether or not it is closed already."""
        if line is self._socket:
            self._socket = None
            self._over()
            self._on_line("offline")

    def start(self, options: dict[str, Any]) -> None:
        wishes = dict(options)
        hotwords, language = wishes.pop("hotwords", None), wishes.pop("language", "auto")
        format = wishes.pop("format", "s16le")
        parameters = {"format": FORMATS.get(format, format), "sample_rate": wishes.pop("sample_rate", 16_000), **wishes}
        if language != "auto":
            parameters["language_hints"] = [language]
        self._task, self._revisions = uuid.uuid4().hex, Counter()
        if hotwords:
            words = [{"text": word, "weight": 4} for word in hotwords]
            asked = {
                "action": "create_vocabulary",
                "target_model": self._model,
                "prefix": "client",
                "vocabulary": words,
            }
            self._vocabulary = parameters["vocabulary_id"] = self._ask(asked)["vocabulary_id"]
        task = {"task_group": "audio", "task": "asr", "function": "recognition", "model": self._model}
        self._say("run-task", task | {"parameters": parameters, "input": {}})

    def _ask(self, asked: dict[str, Any]) -> Mapping[str, Any]:
        """A hotword list has to be a vocabulary first; it is deleted with the task."""
        body: Any = {"model": "speech-biasing", "parameters": {}, "input": asked}
        address = f"{self._url}/api/v1/services/audio/asr/customization"
        try:
            answer = requests.post(address, json=body, headers=self._headers, timeout=CONNECT_S)
            told = answer.json()
        except requests.RequestException as error:
            raise AsrError("unreachable") from error
        if not answer.ok:
            raise AsrError(told["code"], told)
        found: Mapping[str, Any] = told["output"]
        return found

    def send(self, frame: bytes) -> None:
        self._write(frame, binary=True)

    def stop(self) -> None:
        self._say("finish-task", {"input": {}})

    def cancel(self) -> None:
        """The protocol has no other way to give up a task."""
        self.close()
        self._on_event("recording_cancelled", {})

    def kept(self, recording_id: str) -> Mapping[str, Any]:
        raise AsrError("connection_lost")  # the server has given the task up

    def _say(self, action: str, payload: Mapping[str, Any]) -> None:
        header = {"action": action, "task_id": self._task, "streaming": "duplex"}
        self._write(json.dumps({"header": header, "payload": payload}))

    def _write(self, data: str | bytes, binary: bool = False) -> None:
        line = self._socket
        try:
            if line is None:
                raise AsrError("connection_lost")
            line.send(data, websocket.ABNF.OPCODE_BINARY if binary else websocket.ABNF.OPCODE_TEXT)
        except (websocket.WebSocketException, OSError) as error:
            raise AsrError("connection_lost") from error

    def _over(self) -> None:
        self._task, vocabulary, self._vocabulary = "", self._vocabulary, None
        if vocabulary is not None:
            with contextlib.suppress(AsrError):  # it stays as a table without a user
                self._ask({"action": "delete_vocabulary", "vocabulary_id": vocabulary})

    # -- what comes in -----------------------------------------------------------------------

    def _listen(self, line: websocket.WebSocket) -> None:
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while message := line.recv():
                self._hear(line, json.loads(message))
        line.shutdown()  # type: ignore[no-untyped-call]
        self._leave(line)

    def _hear(self, line: websocket.WebSocket, message: Mapping[str, Any]) -> None:
        header, payload = message["header"], message["payload"]
        task, event = header["task_id"], header["event"]
        if event == "task-failed":  # nothing can follow
            told = {"code": header["error_code"], "message": header["error_message"], "fatal": True}
            self._on_event("error", told)
            self._leave(line)  # the server closes it
        elif task != self._task:
            pass  # of one that was given up
        elif event == "task-started":
            self._on_event("recording_started", {"recording_id": task})
        elif event == "result-generated":
            sentence = payload["output"]["sentence"]
            if not sentence["heartbeat"]:
                self._on_event("transcription", {"recording_id": task} | self._transcription(sentence))
        elif event == "task-finished":
            self._over()
            seconds = (payload.get("usage") or {}).get("duration", 0)
            self._on_event("final_result", {"recording_id": task, "duration_ms": seconds * 1000})

    def _transcription(self, told: Mapping[str, Any]) -> dict[str, Any]:
        id, ended = told["sentence_id"], told["sentence_end"]
        self._revisions[id] += 1
        sentence = {
            "id": id,
            "revision": self._revisions[id],
            "stage": "second_pass" if ended else "partial",
            "text": told["text"],
            "start_ms": told["begin_time"],
            "end_ms": told["end_time"],
            "settled": ended,
        }
        now = told["end_time"] or told["begin_time"]
        return {"sentence": sentence, "is_speech_active": not ended, "current_time_ms": now}
