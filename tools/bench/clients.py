"""Two clients for asyncio that cost little: our Socket.IO events, and the messages of FunASR's websocket server.

Socket.IO is framed by hand (Engine.IO 4, websocket transport only): python-socketio's own client takes three
threads for each connection, and then one would measure the clients.
"""

import asyncio
import json
import time
import uuid
from collections import Counter
from typing import Any, Protocol, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from .observe import Heard

OPENING_S, ANSWER_S = 60.0, 30.0
STAGES = {"partial": "partial", "streamed": "streamed", "second_pass": "second"}
AUDIO = '451-["audio_data",{"_placeholder":true,"num":0}]'  # one binary attachment follows


class Client(Protocol):
    """One recording. ``errors`` counts what went wrong by its code."""

    heard: list[Heard]
    errors: Counter[str]

    async def start(self) -> None: ...
    async def send(self, pcm: bytes) -> None: ...
    async def stop(self) -> None: ...
    async def finish(self, seconds: float) -> None: ...


async def opened(address: str, *subprotocols: str) -> ClientConnection:
    return await connect(
        address,
        compression=None,
        max_size=None,
        ping_interval=None,
        open_timeout=OPENING_S,
        proxy=None,
        subprotocols=subprotocols or None,  # type: ignore[arg-type]
    )


class Connected:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.heard: list[Heard] = []
        self.errors: Counter[str] = Counter()
        self._ready, self._over = asyncio.Event(), asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def finish(self, seconds: float) -> None:
        """Wait for the last result, at most so long, and hang up."""
        try:
            await asyncio.wait_for(self._over.wait(), seconds)
        except TimeoutError:
            self.errors["timeout"] += 1
        self._reader.cancel()
        await self._socket.close()

    async def _put(self, *messages: str | bytes) -> None:
        try:
            for message in messages:
                await self._socket.send(message)
        except ConnectionClosed:
            self._over.set()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                await self._take(message)
        except ConnectionClosed:
            pass
        if not self._over.is_set():
            self.errors["closed"] += 1
            self._ready.set()
            self._over.set()

    async def _take(self, message: str | bytes) -> None:
        raise NotImplementedError


class Xingji(Connected):
    @classmethod
    async def connect(cls, url: str) -> Self:
        return cls(await opened(url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"))

    async def start(self) -> None:
        options = {"llm": False}
        await self._put("40", "42" + json.dumps(["start_recording", options]))
        await asyncio.wait_for(self._ready.wait(), ANSWER_S)

    async def send(self, pcm: bytes) -> None:
        await self._put(AUDIO, pcm)

    async def stop(self) -> None:
        await self._put('42["stop_recording"]')

    async def _take(self, message: str | bytes) -> None:
        if message == "2":
            await self._put("3")
        elif isinstance(message, str) and message.startswith("42"):
            name, body, *_ = json.loads(message[2:])
            self._event(time.monotonic(), name, body)

    def _event(self, at: float, name: str, body: dict[str, Any]) -> None:
        match name:
            case "recording_started":
                self._ready.set()
            case "error":
                self.errors[body["code"]] += 1
                self._ready.set()
            case "final_result":
                if body["error_code"]:
                    self.errors[body["error_code"]] += 1
                self.heard.append(Heard(at, "final"))
                self._over.set()
            case "transcription":
                position = body["current_time_ms"]
                if vad := body["vad_event"]:
                    self.heard.append(Heard(at, vad["type"], end_ms=vad["time"], covered_ms=position))
                elif (sentence := body["sentence"]) and (stage := STAGES.get(sentence["stage"])):
                    span = sentence["start_ms"], sentence["end_ms"] or 0
                    self.heard.append(Heard(at, stage, sentence["id"], *span, bool(sentence["text"]), position))  # type: ignore[arg-type]


class Funasr(Connected):
    """Two-pass mode, as FunASR's own client asks for it."""

    @classmethod
    async def connect(cls, url: str) -> Self:
        return cls(await opened(url, "binary"))

    async def start(self) -> None:
        options = {
            "mode": "2pass",
            "chunk_size": [0, 10, 5],
            "chunk_interval": 10,
            "encoder_chunk_look_back": 4,
            "decoder_chunk_look_back": 1,
            "is_speaking": True,
            "wav_name": "bench",
            "hotwords": uuid.uuid4().hex,  # by this our shim tells the clients apart, also those of earlier runs
        }
        await self._put(json.dumps(options))

    async def send(self, pcm: bytes) -> None:
        await self._put(pcm)

    async def stop(self) -> None:
        await self._put(json.dumps({"is_speaking": False, "is_end": True}))

    async def _take(self, message: str | bytes) -> None:
        at, body = time.monotonic(), json.loads(message)
        if body.get("is_end"):
            if "error" in body:
                self.errors["failed"] += 1
            self.heard.append(Heard(at, "final"))
            self._over.set()
        elif body["mode"] == "2pass-online":
            covered = int(body["text"].rsplit("|", 1)[1])
            self.heard.append(Heard(at, "partial", covered_ms=covered))
        elif body["mode"] == "2pass-offline":
            self.heard.append(Heard(at, "second"))


CLIENTS: dict[str, type[Xingji] | type[Funasr]] = {"xingji": Xingji, "funasr": Funasr}
