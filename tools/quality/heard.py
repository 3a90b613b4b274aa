"""What a server made of one recording, stage by stage, out of its events. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xingji.core.transcript import join

from .manifest import Timed

STAGES = ("streamed", "second_pass", "corrected")
_SOURCES = {"paraformer": "streamed", "llm": "corrected"}  # any other source is a second pass, by its engine

Event = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Sentence:
    """Seconds. ``readings``: what stood after each stage; a stage that gave nothing leaves what stood before."""

    id: int
    start: float
    end: float
    readings: Mapping[str, str]
    words: tuple[Timed, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """``corrects``: an LLM was asked. ``shown``: texts that were told and taken back, as long as they ever were.
    ``settled``: the text of each sentence's last ``segment_result``."""

    seconds: float
    sentences: tuple[Sentence, ...] = ()
    corrects: bool = False
    shown: tuple[str, ...] = ()
    settled: Mapping[int, str] = field(default_factory=dict)
    merged: str = ""  # llm_merged
    rejected: int = 0  # edits of the LLM
    error: str | None = None

    def text(self, stage: str) -> str:
        return join(sentence.readings[stage] for sentence in self.sentences)


def heard(events: Sequence[Event], seconds: float) -> Heard:
    """Of one recording whose client was told these ``events``."""
    final = next((body for name, body in events if name == "final_result"), None)
    errors = [str(body["code"]) for name, body in events if name == "error"]
    if final is None:
        return Heard(seconds, error=errors[0] if errors else "no final result")
    sentences = tuple(map(_sentence, final["sentences"]))
    settled = {
        body["sentence"]["id"]: body["sentence"]["text"]
        for name, body in events
        if name == "segment_result" and body["sentence"]["settled"]
    }
    return Heard(
        seconds,
        sentences,
        final["llm"]["model"] is not None,
        _taken_back(events, {sentence.id for sentence in sentences}),
        settled,
        final["llm_merged"],
        final["llm"]["rejected_edits"],
        final["error_code"] or (errors[0] if errors else None),
    )


def _sentence(body: Mapping[str, Any]) -> Sentence:
    given = {_SOURCES.get(source, "second_pass"): text for source, text in body["readings"].items()}
    streamed = given.get("streamed", "")
    second = given.get("second_pass") or streamed
    begin, end = body["start_ms"], body["end_ms"]
    return Sentence(
        body["id"],
        begin / 1000,
        (begin if end is None else end) / 1000,
        {"streamed": streamed, "second_pass": second, "corrected": body["text"]},
        tuple(_words(body)),
        tuple(body["missing"]),
    )


def _words(body: Mapping[str, Any]) -> Iterator[Timed]:
    """None where the server gives none. Milliseconds, as everything of the wire."""
    for word in body.get("words") or ():
        if word.get("end_ms") is not None:
            yield Timed(str(word["text"]), word["start_ms"] / 1000, word["end_ms"] / 1000)


def _taken_back(events: Sequence[Event], kept: set[int]) -> tuple[str, ...]:
    longest: dict[int, str] = {}
    for name, body in events:
        if name == "transcription" and (sentence := body["sentence"]) and sentence["id"] not in kept:
            longest[sentence["id"]] = max(longest.get(sentence["id"], ""), sentence["text"], key=len)
    return tuple(text for text in longest.values() if text)
