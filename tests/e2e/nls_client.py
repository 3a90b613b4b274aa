"""A program as people write them with Alibaba's ``nls``: ``nls_client.py SCENARIO URL JSON``.

It runs in a process of its own, because the client's threads and its log are its own affair. What it was told comes
out as one line of JSON.
"""

import json
import sys
import time
import wave
from typing import Any

import nls

FRAME = 640


class Heard:
    """Keeps what each callback got, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda message=None, *_: self.told.append((name, json.loads(message) if message else None))


def samples(options: dict[str, Any]) -> bytes:
    with wave.open(options["file"]) as file:
        return file.readframes(file.getnframes())


def play(client: Any, pcm: bytes, pace: float) -> None:
    for at in range(0, len(pcm), FRAME):
        client.send_audio(pcm[at : at + FRAME])
        time.sleep(0.02 * pace)


def transcriber(url: str, options: dict[str, Any]) -> list[tuple[str, Any]]:
    heard = Heard()
    client = nls.NlsSpeechTranscriber(
        url=url + "/ws/v1",
        token=options.get("token", "any"),
        appkey="any-app",
        on_start=heard.start,
        on_sentence_begin=heard.begin,
        on_sentence_end=heard.end,
        on_result_changed=heard.changed,
        on_completed=heard.completed,
        on_error=heard.error,
        on_close=heard.close,
    )
    client.start(
        enable_intermediate_result=True,
        enable_punctuation_prediction=True,
        enable_inverse_text_normalization=True,
        ex=options.get("parameters"),
    )
    if options.get("control"):
        client.ctrl(**options["control"])
    play(client, samples(options), options.get("pace", 0.5))
    client.stop()
    time.sleep(0.5)  # its thread closes the connection
    return heard.told


def recognizer(url: str, options: dict[str, Any]) -> list[tuple[str, Any]]:
    heard = Heard()
    client = nls.NlsSpeechRecognizer(
        url=url + "/ws/v1",
        token="any",
        appkey="any-app",
        on_start=heard.start,
        on_result_changed=heard.changed,
        on_completed=heard.completed,
        on_error=heard.error,
        on_close=heard.close,
    )
    for _ in range(options.get("times", 1)):
        client.start(
            aformat="pcm",
            enable_intermediate_result=True,
            enable_punctuation_prediction=True,
            enable_inverse_text_normalization=True,
        )
        play(client, samples(options), options.get("pace", 0.5))
        client.stop()
        time.sleep(0.5)
    return heard.told


if __name__ == "__main__":
    scenario = {"transcriber": transcriber, "recognizer": recognizer}[sys.argv[1]]
    print(json.dumps(scenario(sys.argv[2], json.loads(sys.argv[3])), ensure_ascii=False))
