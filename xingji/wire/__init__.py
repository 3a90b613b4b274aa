"""Wires: sans-I/O codecs between a client's messages and the core's. One file per protocol."""

import re
from dataclasses import dataclass, field

from ..core.types import SAMPLE_RATE, AudioFormat, Hotword

ID = re.compile(r"[A-Za-z0-9_-]{1,80}")  # of hotword tables and backup audio


NO_END = 3600 * SAMPLE_RATE  # silence that ends a sentence where the client does


@dataclass(frozen=True, slots=True)
class Pace:
    """Where speech is parted into sentences; all in samples."""

    end_silence: int = SAMPLE_RATE * 8 // 10  # ends a sentence
    longest: int = SAMPLE_RATE * 30  # a longer sentence is cut at a quiet place
    preroll: int = 0  # a sentence begins so long before the detector heard it


PACES = {
    "meeting": Pace(),
    "dictation": Pace(end_silence=SAMPLE_RATE * 3 // 2),  # one person, who thinks between words
    "service": Pace(end_silence=SAMPLE_RATE // 2, longest=SAMPLE_RATE * 15),  # questions that want an answer soon
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client asks for one recording; None leaves the choice to the server."""

    language: str = "auto"
    hotwords: tuple[Hotword, ...] = ()
    hotword_table: str | None = None  # id of a named table
    server_hotwords: bool = True  # the server's own table as well
    stream: bool = True
    punctuation: bool = True
    itn: bool = True
    remove_fillers: bool = False
    second_pass: bool = True
    llm: bool | None = None
    partials: bool = True
    pace: Pace = PACES["meeting"]
    client_recording_id: str | None = None
    model: str | None = None  # id of the model that transcribes whole segments
    vllm_host: str | None = None  # where that is served, if the operator lets clients say so
    vllm_port: int | None = None
    waits: bool = False  # somebody waits for the text, although nothing streams
    idle_s: float | None = None  # without audio, then the recording stops


@dataclass(frozen=True, slots=True)
class Open:
    """The client begins a recording. A connection may open several, one after another."""

    wishes: Wishes = field(default_factory=Wishes)
    format: AudioFormat = field(default_factory=AudioFormat)


@dataclass(frozen=True, slots=True)
class Frame:
    """Audio as the client sent it, not yet decoded. ``seq`` counts frames from 0 where the client numbers them;
    ``last``: no other will follow."""

    data: bytes
    seq: int | None = None
    last: bool = False


def milliseconds(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE


def seconds(samples: int) -> float:
    return round(samples / SAMPLE_RATE, 3)


def samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000
