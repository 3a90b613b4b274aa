"""Text while you speak: streaming Paraformer, many segments a call.

The text of a segment only ever grows, and it depends on the audio alone, not on how many chunks
a job carries. The last piece may have any length, also none: the stock call drops up to 60 ms
there. Segments that stand at a chunk go through the network together (``paraformer_step``). Each word has
the time of the frames that the counter took its tokens from, and their posterior as its confidence.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xingji.core.errors import EngineError
from xingji.core.messages import Decode
from xingji.core.timing import Levels, Mark, loudness, words
from xingji.core.types import SAMPLE_RATE, Samples, Word
from xingji.engines import Capabilities, Description
from xingji.engines.features import FRAME, Features, front_end
from xingji.engines.loading import load, steps
from xingji.engines.paraformer_step import Chunk, Memory, Stepper, shape

_STRIDE = 960  # samples of one encoder frame (60 ms)
_SPECIAL = re.compile(r"<.*>")
_WORD = re.compile(r"[A-Za-z0-9']")
# The frame that gives a token most of its weight comes this long before the middle of its word (median, mini pack).
_EARLY = SAMPLE_RATE * 14 // 1000


@dataclass(slots=True, eq=False)
class Segment:
    """One segment. ``memory`` is the network's; None before the first job and after the last."""

    memory: Memory | None = None
    features: Features | None = None
    chunk: int = 0  # samples
    heard: int = 0  # samples
    text: str = ""
    joined: bool = False  # the last piece ended in "@@": the next one continues the word
    closed: bool = False
    begin: int = 0  # where the segment's first sample is in the recording
    marks: list[Mark] = field(default_factory=list)
    levels: list[Levels] = field(default_factory=list)


class StreamingParaformer:
    """The shared model; implements ``StreamingRecogniser[Segment]``. Use from one thread."""

    capabilities = Capabilities(languages=("zh", "en"), words=True)

    def __init__(self, path: Path, device: str, precision: str = "auto") -> None:
        """``precision`` as in ``loading.load``. Raises EngineError if the directory is not a complete streaming
        Paraformer."""
        loaded = load(path, device, "ParaformerStreaming", precision)
        directory, networks = loaded.directory, loaded.networks
        self.front_end, self._tokens = front_end(directory), directory.tokens()
        built = shape(directory, self.front_end.size, len(self._tokens))
        self.stepper = Stepper(built, networks["encoder"], networks["decoder"])
        options = directory.section("model_conf")
        self._silent = {options.get("sos", 1), options.get("eos", 2), options.get("blank_id", 0)}
        self._about = loaded.about

    def describe(self) -> Description:
        return self._about

    def open(self) -> Segment:
        return Segment()

    def decode(self, items: Sequence[tuple[Segment, Decode]]) -> list[str]:
        """The whole bare text of each segment so far: no marks, no special tokens, one space
        between Latin words, none at a Han character. ``last`` flushes and closes the state.

        Raises EngineError if a job does not continue its state, its chunk is no multiple of
        60 ms, or its samples are not whole chunks although it is not the last.
        """
        waiting = [(state, self._pieces(state, job)) for state, job in items]
        while ready := [(state, pieces.pop(0)) for state, pieces in waiting if pieces]:
            self._advance(ready)
        for state, job in items:
            if job.last:
                state.memory, state.features, state.closed = None, None, True
        return [state.text for state, _ in items]

    def words(self, state: Segment) -> tuple[Word, ...]:
        return words(state.text, state.marks, np.concatenate(state.levels), state.begin) if state.marks else ()

    def _pieces(self, state: Segment, job: Decode) -> list[tuple[Samples, bool]]:
        """The job's samples chunk by chunk, and whether each is the segment's last piece."""
        if state.memory is None and not state.closed:
            if job.chunk <= 0 or job.chunk % (2 * _STRIDE):
                raise EngineError("the recogniser's chunk must be a multiple of 120 ms")
            state.chunk, state.memory = job.chunk, self.stepper.open(job.chunk // _STRIDE)
            state.features, state.begin = self.front_end.open(), job.begin - job.offset
        if state.closed or job.offset != state.heard or job.chunk != state.chunk:
            raise EngineError("the recogniser's job does not continue its segment")
        if len(job.samples) % job.chunk and not job.last:
            raise EngineError("the recogniser was given a part of a chunk")
        return steps(job.samples, job.chunk, job.last)

    def _advance(self, ready: Sequence[tuple[Segment, tuple[Samples, bool]]]) -> None:
        """One chunk of every segment; the last also flushes the frames that waited for their right context.

        The stock call flushes them with ``tail_chunk``, which leaves out the tail's own samples
        and scales the waiting features twice. Here the tail goes through the front end, be it
        empty, and the encoder sees the waiting frames before it as in any other chunk.
        """
        sizes: dict[int, list[tuple[Segment, Chunk]]] = defaultdict(list)
        for state, (samples, last) in ready:
            assert state.memory is not None and state.features is not None
            state.heard += len(samples)
            state.levels.append(loudness(samples))
            frames = state.features.push(samples, last)
            if state.heard >= FRAME:  # nothing was said in less than one frame
                sizes[state.chunk].append((state, Chunk(state.memory, frames, last)))
        for group in sizes.values():
            answers = self.stepper.step([chunk for _, chunk in group])
            for (state, _), (memory, scores) in zip(group, answers, strict=True):
                state.memory = memory
                sure = np.exp(scores.max(axis=-1, initial=-np.inf)).tolist()
                for token, place, posterior in zip(scores.argmax(axis=-1).tolist(), memory.places, sure, strict=True):
                    if token not in self._silent and (at := _append(state, self._tokens[token])) is not None:
                        sample = self._sample(place)
                        state.marks.append(Mark(at, sample, sample, round(min(1.0, posterior), 3)))

    def _sample(self, frame: float) -> int:
        """The middle of what a stacked frame is about."""
        return max(0, round(float(frame) * _STRIDE) + FRAME // 2 + _EARLY)


def _append(state: Segment, piece: str) -> int | None:
    """Add one token of the vocabulary ("好", "hel@@", "lo", "<unk>") without changing what is there, and say where it
    stands; None for one that is not written."""
    if _SPECIAL.fullmatch(piece):
        return None
    piece, continued = piece.removesuffix("@@"), piece.endswith("@@")
    apart = not state.joined and _WORD.match(state.text[-1:]) and _WORD.match(piece)
    state.text += f" {piece}" if apart else piece
    state.joined = continued
    return len(state.text) - len(piece)
