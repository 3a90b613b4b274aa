"""A result as text, JSON or SubRip subtitles."""

import json
from collections.abc import Callable
from dataclasses import asdict

from AsrClient import Result


def text(result: Result) -> str:
    return result.text + "\n" if result.text else ""


def as_json(result: Result) -> str:
    told = {
        "text": result.text,
        "duration_ms": result.duration_ms,
        "recording_id": result.recording_id,
        "interrupted": result.interrupted,
        "sentences": [asdict(one) | {"readings": dict(one.readings)} for one in result.sentences],
    }
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"


def srt(result: Result) -> str:
    """One cue a sentence; where the server cuts several sentences out of one segment, one for each of those."""
    cues = result.raw.get("timestamps") or [
        {"text": one.text, "start_ms": one.start_ms, "end_ms": one.end_ms} for one in result.sentences
    ]
    return "\n".join(
        f"{number}\n{clock(cue['start_ms'])} --> {clock(cue['end_ms'] or cue['start_ms'])}\n{cue['text']}\n"
        for number, cue in enumerate(cues, 1)
    )


def clock(ms: int) -> str:
    """As SubRip writes it: 00:01:02,345"""
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02},{ms:03}"


FORMATS: dict[str, Callable[[Result], str]] = {"text": text, "json": as_json, "srt": srt}
