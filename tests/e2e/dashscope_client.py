"""A program as people write them with Alibaba's ``dashscope``: ``dashscope_client.py SCENARIO URL JSON``.

It runs in a process of its own, because the client's threads and sockets are its own affair. What it was told
comes out as one line of JSON.
"""

import base64
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import dashscope
from dashscope.audio.asr import Recognition, RecognitionCallback, RecognitionResult, VocabularyService

FRAME = 3200


class Heard(RecognitionCallback):
    def __init__(self) -> None:
        self.sentences: list[dict[str, Any]] = []
        self.ends: list[str] = []
        self.usages: list[Any] = []
        self.error: dict[str, Any] | None = None

    def on_event(self, result: Any) -> None:
        sentence = result.get_sentence()
        self.sentences.append(sentence)
        if RecognitionResult.is_sentence_end(sentence):
            self.usages.append(result.get_usage(sentence))

    def on_complete(self) -> None:
        self.ends.append("complete")

    def on_error(self, result: Any) -> None:
        self.error = {"status": result.status_code, "code": result.code, "message": result.message}

    def on_close(self) -> None:
        self.ends.append("close")


def recognition(options: dict[str, Any], callback: Any = None) -> Recognition:
    defaults = {"model": "paraformer-realtime-v2", "format": "pcm", "sample_rate": 16000}
    return Recognition(**(defaults | options.get("parameters", {})), callback=callback)


def call(options: dict[str, Any]) -> dict[str, Any]:
    result = recognition(options).call(options["file"])
    return {
        "status": result.status_code,
        "code": result.code,
        "message": result.message,
        "sentences": result.get_sentence() if result.status_code == 200 else None,
        "usage": result.usage,
    }


def stream(options: dict[str, Any]) -> dict[str, Any]:
    heard = Heard()
    one = recognition(options, heard)
    one.start()
    with open(options["file"], "rb") as file:
        while data := file.read(FRAME):
            if heard.error:
                break
            one.send_audio_frame(data)
            time.sleep(options.get("pause_s", 0.02))
    if not heard.error:
        one.stop()
    return {"sentences": heard.sentences, "ends": heard.ends, "usages": heard.usages, "error": heard.error}


def reuse(options: dict[str, Any]) -> dict[str, Any]:
    """Version 2's own way: several tasks on one socket."""
    client = dashscope.Client(api_key="none", base_url=f"{options['url']}/api/v1")
    results = []
    with open(options["file"], "rb") as file:
        audio = file.read()
    connection = client.ws_connection(url=options["ws_url"])
    for _ in range(options["tasks"]):
        with client.audio.asr.recognize(model="fun-asr-realtime", format="wav", connection=connection) as one:
            for at in range(0, len(audio), FRAME):
                one.send_audio_frame(audio[at : at + FRAME])
            one.stop()
            results.append([event for event in one.events()])
    connection.close()
    whole = list(
        client.audio.asr.recognize_file(
            options["file"], model="paraformer-realtime-v2", format="wav", ws_url=options["ws_url"]
        )
    )
    client.close()
    return {"tasks": results, "file": whole}


def vocabulary(options: dict[str, Any]) -> dict[str, Any]:
    service = VocabularyService()
    id = service.create_vocabulary("paraformer-realtime-v2", "test", options["words"])
    created = service.query_vocabulary(id)
    listed = service.list_vocabularies(prefix="test")
    using = call(options | {"parameters": options["parameters"] | {"vocabulary_id": id}})
    service.update_vocabulary(id, options["others"])
    changed = service.query_vocabulary(id)
    service.delete_vocabulary(id)
    try:
        service.query_vocabulary(id)
        error = None
    except Exception as gone:
        error = str(gone)
    after = call(options | {"parameters": options["parameters"] | {"vocabulary_id": id}})
    names = {"id": id, "created": created, "listed": listed, "using": using, "changed": changed}
    return names | {"error": error, "after": after}


def omni(options: dict[str, Any]) -> dict[str, Any]:
    try:
        from dashscope.audio.qwen_omni import MultiModality, OmniRealtimeCallback, OmniRealtimeConversation
        from dashscope.audio.qwen_omni.omni_realtime import TranscriptionParams
    except ImportError:  # older ones
        return {"missing": True}

    events: list[dict[str, Any]] = []
    changed = threading.Condition()

    class Callback(OmniRealtimeCallback):
        def on_event(self, message: Any) -> None:
            with changed:
                events.append(message if isinstance(message, dict) else json.loads(message))
                changed.notify_all()

    def expect(kind: str) -> None:
        with changed:
            assert changed.wait_for(lambda: any(event["type"] == kind for event in events), 60), (kind, events)

    url = options["ws_url"].replace("/inference", "/realtime")
    one = OmniRealtimeConversation(model="qwen3-asr-flash-realtime", callback=Callback(), url=url)
    one.connect()
    expect("session.created")
    one.update_session(
        output_modalities=[MultiModality.TEXT],
        enable_turn_detection=options["vad"],
        turn_detection_silence_duration_ms=400,
        transcription_params=TranscriptionParams(language="zh", sample_rate=16000, input_audio_format="pcm"),
    )
    with open(options["file"], "rb") as file:
        audio = file.read()[44:] + bytes(FRAME)
    for at in range(0, len(audio), FRAME):
        one.append_audio(base64.b64encode(audio[at : at + FRAME]).decode())
        time.sleep(0.02)
    if not options["vad"]:
        one.commit()
        expect("conversation.item.input_audio_transcription.completed")
    one.end_session(timeout=60)
    one.close()
    return {"events": events, "session": one.get_session_id()}


if __name__ == "__main__":
    scenarios: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "call": call, "stream": stream, "reuse": reuse, "vocabulary": vocabulary, "omni": omni,
    }  # fmt: skip
    _, name, url, more = sys.argv
    dashscope.api_key = "none"
    dashscope.base_http_api_url = f"{url}/api/v1"
    dashscope.base_websocket_api_url = url.replace("http:", "ws:") + "/api-ws/v1/inference"
    given = {"url": url, "ws_url": dashscope.base_websocket_api_url, "parameters": {}} | json.loads(more)
    dashscope.api_key = given.get("key", "none")
    sys.stdout.write(json.dumps(scenarios[name](given), ensure_ascii=False, default=str) + "\n")
