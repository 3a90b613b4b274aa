"""What every engine promises, written down without importing any of them.

An engine belongs to one thread. Its methods take a sequence of items, one per stream, and
return a list of the same length in the same order; the result for one item never depends on
the others. A model is shared; what one stream needs lies in the state that ``open`` returns
and only the engine looks inside. A call that fails (:class:`~xingji.core.errors.EngineError`, or
whatever the model library raises) leaves the states it was given undefined: drop them.

Importing this package imports no model library; import the engine's own module for that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

from xingji.core.messages import Decode, Detect, Edge, NoSpeech, Transcribe
from xingji.core.types import Hypothesis, Word

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a recogniser can be asked for; a wire says so instead of ignoring an option."""

    languages: tuple[str, ...]  # codes that may be forced; the first is what it knows best
    punctuation: bool = False  # its text comes with marks
    itn: bool = False  # it can write 3点 for 三点
    words: bool = False  # it gives word times
    hotwords: bool = False  # it takes hotwords while decoding


Choice = Literal["asked", "fastest_graphs", "no_graphs", "not_on_cpu"]
"""Why a runtime was chosen: it was named; these graphs are the fastest that are there; there are none; graphs are
for the CPU only."""


@dataclass(frozen=True, slots=True)
class Description:
    """What was loaded, for the health page and the log. ``size`` is bytes on disk of what it computes with."""

    model: str  # the class name in the model's configuration
    parameters: int
    size: int
    device: str
    runtime: str  # what computes, and in which precision: "torch float32", "onnxruntime int8", …
    choice: Choice  # why that


class Revision(NamedTuple):
    """``text`` with marks; its first ``stable`` characters stay as they are in later revisions."""

    text: str
    stable: int


class Detector(Protocol[State]):
    def open(self) -> State: ...

    def detect(self, items: Sequence[tuple[State, Detect]]) -> list[tuple[Edge, ...]]: ...


class StreamingRecogniser(Protocol[State]):
    """``decode`` answers the segment's whole text so far, without marks; it only ever grows."""

    capabilities: Capabilities

    def open(self) -> State: ...

    def decode(self, items: Sequence[tuple[State, Decode]]) -> list[str]: ...

    def words(self, state: State) -> tuple[Word, ...]:
        """Of the text so far, with their times. The last one may still move: where it ends is known when the next
        has begun."""


class Punctuation(Protocol[State]):
    """``revise`` takes (state, bare text so far, whether the segment is complete)."""

    def open(self) -> State: ...

    def revise(self, items: Sequence[tuple[State, str, bool]]) -> list[Revision]: ...


class Recogniser(Protocol):
    capabilities: Capabilities

    def transcribe(self, items: Sequence[Transcribe]) -> list[Hypothesis | NoSpeech]: ...
