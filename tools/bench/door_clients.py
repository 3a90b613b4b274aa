"""The same recording through each of our other protocols: as little of each as live text and final text need."""

import asyncio
import base64
import json
import time
from typing import Any, Self

from .clients import ANSWER_S, Connected, Xingji, opened
from .observe import Heard

TASK = "1" * 32
QUIET_S = 1.0  # a door that tells of no end has told everything when it says nothing for so long


class _Door(Connected):
    path: str

    @classmethod
    async def connect(cls, url: str) -> Self:
        return cls(await opened(url.replace("http", "ws", 1) + cls.path))

    async def start(self) -> None:
        await asyncio.wait_for(self._ready.wait(), ANSWER_S)

    async def send(self, pcm: bytes) -> None:
        await self._put(pcm)

    async def _take(self, message: str | bytes) -> None:
        self._told(time.monotonic(), json.loads(message))

    def _told(self, at: float, body: dict[str, Any]) -> None:
        raise NotImplementedError

    def _text(self, at: float, sentence: Any, text: str, ended: bool = False) -> None:
        self.heard.append(Heard(at, "second" if ended else "partial", hash(sentence), text=bool(text)))

    def _final(self, at: float) -> None:
        self.heard.append(Heard(at, "final"))
        self._over.set()


class Simple(_Door):
    path = "/ws/asr?mode=stream&events=1"

    async def stop(self) -> None:
        await self._put('{"end_signal":true}')

    async def finish(self, seconds: float) -> None:
        count = -1
        while count != len(self.heard):
            count = len(self.heard)
            await asyncio.sleep(QUIET_S)
        self._final(time.monotonic())
        await super().finish(seconds)

    def _told(self, at: float, body: dict[str, Any]) -> None:
        match body["type"]:
            case "ready":
                self._ready.set()
            case "result":
                self._text(at, body["id"], body["text"], body["is_final"])
            case "error":
                self.errors[body["code"]] += 1


class FunAsr(_Door):
    """Two-pass mode."""

    path = "/ws/funasr"

    async def start(self) -> None:
        options = {"mode": "2pass", "chunk_size": [5, 10, 5], "chunk_interval": 10, "is_speaking": True}
        await self._put(json.dumps({**options, "wav_name": "bench", "itn": True}))

    async def stop(self) -> None:
        await self._put('{"is_speaking":false}')

    def _told(self, at: float, body: dict[str, Any]) -> None:
        if body["mode"] == "2pass-online":
            self._text(at, 0, body["text"])
        elif body["mode"] == "2pass-offline":
            self._text(at, 0, body["text"], True)
        if body.get("is_final"):
            self._final(at)


class DashScope(_Door):
    path = "/api-ws/v1/inference"

    async def start(self) -> None:
        await self._order(
            "run-task",
            task_group="audio",
            task="asr",
            function="recognition",
            model="paraformer-realtime-v2",
            parameters={"format": "pcm", "sample_rate": 16_000},
        )
        await super().start()

    async def stop(self) -> None:
        await self._order("finish-task")

    async def _order(self, action: str, **payload: Any) -> None:
        header = {"action": action, "task_id": TASK, "streaming": "duplex"}
        await self._put(json.dumps({"header": header, "payload": {**payload, "input": {}}}))

    def _told(self, at: float, body: dict[str, Any]) -> None:
        match body["header"]["event"]:
            case "task-started":
                self._ready.set()
            case "result-generated":
                sentence = body["payload"]["output"]["sentence"]
                self._text(at, sentence["sentence_id"], sentence["text"], sentence["sentence_end"])
            case "task-finished":
                self._final(at)
            case "task-failed":
                self.errors[body["header"]["error_code"]] += 1


class _Base64(_Door):
    """The realtime protocols whose audio is text."""

    async def send(self, pcm: bytes) -> None:
        audio = base64.b64encode(pcm).decode()
        await self._put(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')


class Qwen(_Base64):
    path = "/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"

    async def stop(self) -> None:
        await self._put('{"type":"session.finish"}')

    def _told(self, at: float, body: dict[str, Any]) -> None:
        match body["type"]:
            case "session.created":
                self._ready.set()
            case "conversation.item.input_audio_transcription.text":
                self._text(at, body["item_id"], body["text"] + body["stash"])
            case "conversation.item.input_audio_transcription.completed":
                self._text(at, body["item_id"], body["transcript"], True)
            case "session.finished":
                self._final(at)
            case "error":
                self.errors[body["error"]["code"]] += 1


class OpenAi(_Base64):
    """The GA dialect at 16 kHz, so that the audio is the same; its deltas are only added to."""

    path = "/v1/realtime?intent=transcription"

    async def start(self) -> None:
        pcm = {"type": "audio/pcm", "rate": 16_000}
        asked = {
            "format": pcm,
            "transcription": {"model": "gpt-4o-transcribe"},
            "turn_detection": {"type": "server_vad"},
        }
        session = {"type": "transcription", "audio": {"input": asked}}
        await self._put(json.dumps({"type": "session.update", "session": session}))
        await super().start()

    async def stop(self) -> None:
        await self._put('{"type":"input_audio_buffer.commit"}', '{"type":"input_audio_buffer.clear"}')

    def _told(self, at: float, body: dict[str, Any]) -> None:
        match body["type"]:
            case "session.updated":
                self._ready.set()
            case "conversation.item.input_audio_transcription.delta":
                self._text(at, body["item_id"], body["delta"])
            case "conversation.item.input_audio_transcription.completed":
                self._text(at, body["item_id"], body["transcript"], True)
            case "input_audio_buffer.cleared":  # after everything that was committed before
                self._final(at)
            case "error":
                if body["error"]["code"] != "input_audio_buffer_commit_empty":
                    self.errors[body["error"]["code"]] += 1


class Nls(_Door):
    path = "/ws/v1"

    async def start(self) -> None:
        options = {"enable_intermediate_result": True, "enable_punctuation_prediction": True}
        await self._order(
            "StartTranscription",
            {"format": "pcm", "sample_rate": 16_000, "enable_inverse_text_normalization": True, **options},
        )
        await super().start()

    async def stop(self) -> None:
        await self._order("StopTranscription", {})

    async def _order(self, name: str, payload: dict[str, Any]) -> None:
        header = {"message_id": TASK, "task_id": TASK, "namespace": "SpeechTranscriber", "name": name, "appkey": "x"}
        await self._put(json.dumps({"header": header, "payload": payload}))

    def _told(self, at: float, body: dict[str, Any]) -> None:
        payload = body.get("payload", {})
        match body["header"]["name"]:
            case "TranscriptionStarted":
                self._ready.set()
            case "TranscriptionResultChanged":
                self._text(at, payload["index"], payload["result"])
            case "SentenceEnd":
                self._text(at, payload["index"], payload["result"], True)
            case "TranscriptionCompleted":
                self._final(at)
            case "TaskFailed":
                self.errors[str(body["header"]["status"])] += 1


DOORS: dict[str, type[Xingji] | type[_Door]] = {
    "socketio": Xingji,
    "simple": Simple,
    "funasr": FunAsr,
    "dashscope": DashScope,
    "qwen-realtime": Qwen,
    "openai-realtime": OpenAi,
    "nls": Nls,
}
