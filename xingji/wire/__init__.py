"""Wires: sans-I/O codecs between a client's messages and the core's. One file per protocol."""

import re
from dataclasses import dataclass, field

from ..core.types import SAMPLE_RATE, AudioFormat, Hotword

ID = re.compile(r"[A-Za-z0-9_-]{1,80}")  # of hotword tables and backup audio


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client asks for one recording; None leaves the choice to the server."""

    language: str = "auto"
    hotwords: tuple[Hotword, ...] = ()
    hotword_table: str | None = None  # id of a named table
    stream: bool = True
    punctuation: bool = True
    itn: bool = True
    second_pass: bool = True
    llm: bool | None = None
    partials: bool = True
    end_silence: int = SAMPLE_RATE * 8 // 10  # samples
    client_recording_id: str | None = None
    waits: bool = False  # somebody waits for the text, although nothing streams
    longest: int = 30 * SAMPLE_RATE  # a sentence that grows longer is cut
    idle_s: float | None = None  # without audio, then the recording stops


@dataclass(frozen=True, slots=True)
class Open:
    """The client begins a recording. A connection may open several, one after another."""

    wishes: Wishes = field(default_factory=Wishes)
    format: AudioFormat = field(default_factory=AudioFormat)


@dataclass(frozen=True, slots=True)
class Frame:
    """Audio as the client sent it, not yet decoded. ``seq`` counts frames from 0 where the client numbers them."""

    data: bytes
    seq: int | None = None


def milliseconds(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE


def samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000
