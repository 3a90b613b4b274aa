"""One recording at a time, timed: for reports on models, where the waits of a server without load are enough.

* first text: speech begins (reference label) → the sentence's first partial with text arrives;
* second pass: speech ends (reference label) → the sentence's second pass arrives;
* final: ``stop_recording`` is sent → ``final_result`` arrives.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from tests.support import FRAME, RATE, Recorder, Utterance


@dataclass(slots=True)
class Waits:
    """Seconds."""

    first_text: list[float] = field(default_factory=list)
    second_pass: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)

    def add(self, other: "Waits") -> None:
        self.first_text += other.first_text
        self.second_pass += other.second_pass
        self.final += other.final


class Stopwatch(Recorder):
    """Remembers when each event came."""

    def __init__(self, url: str) -> None:
        self.came: list[tuple[float, str, dict[str, Any]]] = []
        super().__init__(url)

    def _take(self, event: str, body: Any = None, *rest: Any) -> None:
        self.came.append((time.monotonic(), event, body))
        super()._take(event, body, *rest)


def record(url: str, said: Utterance) -> Waits:
    """Play one recording in real time and measure."""
    waits = Waits()
    client = Stopwatch(url)
    with client:
        client.start()
        begun = time.monotonic()
        for number, at in enumerate(range(0, len(said.pcm), FRAME)):
            # A frame is sent when a microphone would have filled it.
            time.sleep(max(0.0, begun + (number + 1) * FRAME / 2 / RATE - time.monotonic()))
            client.client.emit("audio_data", said.pcm[at : at + FRAME])
        stopped = time.monotonic()
        client.stop()
        sentences: dict[int, dict[str, float]] = {}
        for came, event, body in client.came:
            sentence = body.get("sentence") if isinstance(body, dict) else None
            if event == "transcription" and sentence and sentence["text"]:
                sentences.setdefault(sentence["id"], {}).setdefault("first", came)
            if event == "segment_result" and sentence:
                sentences.setdefault(sentence["id"], {}).setdefault("second", came)
            if event == "final_result":
                waits.final.append(came - stopped)
        for truth, found in zip(said.sentences, (sentences[id] for id in sorted(sentences)), strict=False):
            if "first" in found:
                waits.first_text.append(found["first"] - begun - truth["begin_ms"] / 1000)
            if "second" in found:  # a sentence that was dropped has none
                waits.second_pass.append(found["second"] - begun - truth["end_ms"] / 1000)
    return waits
