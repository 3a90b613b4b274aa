"""Text while you speak: streaming Paraformer, many segments a call.

The text of a segment only ever grows, and it depends on the audio alone, not on how many chunks
a job carries. The last piece may have any length, also none: the stock call drops up to 60 ms
there. Segments that stand at a chunk go through the network together (``paraformer_step``).
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xingji.core.errors import EngineError
from xingji.core.messages import Decode
from xingji.core.types import Samples
from xingji.engines import Capabilities, Description
from xingji.engines.loading import FRAME, load, running, steps, waveform
from xingji.engines.networks import StreamDecoder, StreamEncoder
from xingji.engines.paraformer_step import Chunk, Memory, Network, Stepper

_STRIDE = 960  # samples of one encoder frame (60 ms)
_SPECIAL = re.compile(r"<.*>")
_WORD = re.compile(r"[A-Za-z0-9']")


@dataclass(slots=True, eq=False)
class Segment:
    """One segment. ``memory`` is the network's; None before the first job and after the last."""

    memory: Memory | None = None
    frontend: dict[str, Any] = field(default_factory=dict)  # the stock front end's own cache
    chunk: int = 0  # samples
    heard: int = 0  # samples
    text: str = ""
    joined: bool = False  # the last piece ended in "@@": the next one continues the word
    closed: bool = False


class StreamingParaformer:
    """The shared model; implements ``StreamingRecogniser[Segment]``. Use from one thread."""

    capabilities = Capabilities(languages=("zh", "en"))

    def __init__(self, path: Path, device: str, precision: str | None = None) -> None:
        """``precision`` as in ``loading.load``. Raises EngineError if the directory is not a complete streaming
        Paraformer."""
        self.loaded = load(path, device, "ParaformerStreaming", precision)
        model, graphs = self.loaded.model, self.loaded.graphs
        encode: Network = graphs.open("encoder") if graphs else StreamEncoder(model).eval()
        decode: Network = graphs.open("decoder") if graphs else StreamDecoder(model).eval()
        self._network = Stepper(model, encode, decode, device)
        self._silent = {model.sos, model.eos, model.blank_id}

    def describe(self) -> Description:
        return self.loaded.describe()

    def open(self) -> Segment:
        return Segment()

    def decode(self, items: Sequence[tuple[Segment, Decode]]) -> list[str]:
        """The whole bare text of each segment so far: no marks, no special tokens, one space
        between Latin words, none at a Han character. ``last`` flushes and closes the state.

        Raises EngineError if a job does not continue its state, its chunk is no multiple of
        60 ms, or its samples are not whole chunks although it is not the last.
        """
        with running():
            waiting = [(state, self._pieces(state, job)) for state, job in items]
            while ready := [(state, pieces.pop(0)) for state, pieces in waiting if pieces]:
                self._advance(ready)
        for state, job in items:
            if job.last:
                state.memory, state.closed = None, True
        return [state.text for state, _ in items]

    def _pieces(self, state: Segment, job: Decode) -> list[tuple[Samples, bool]]:
        """The job's samples chunk by chunk, and whether each is the segment's last piece."""
        if state.memory is None and not state.closed:
            if job.chunk <= 0 or job.chunk % (2 * _STRIDE):
                raise EngineError("the recogniser's chunk must be a multiple of 120 ms")
            state.chunk, state.memory = job.chunk, self._network.open(job.chunk // _STRIDE)
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
            state.heard += len(samples)
            if state.heard < FRAME:
                continue  # nothing was said in less than one frame
            feats, _ = self.loaded.frontend(waveform(samples), [len(samples)], cache=state.frontend, is_final=last)
            assert state.memory is not None
            sizes[state.chunk].append((state, Chunk(state.memory, feats[0], last)))
        for group in sizes.values():
            answers = self._network.step([chunk for _, chunk in group])
            for (state, _), (memory, scores) in zip(group, answers, strict=True):
                state.memory = memory
                tokens = [token for token in scores.argmax(dim=-1).tolist() if token not in self._silent]
                for piece in self.loaded.tokenizer.ids2tokens(tokens):
                    _append(state, piece)


def _append(state: Segment, piece: str) -> None:
    """Add one token of the vocabulary ("好", "hel@@", "lo", "<unk>") without changing what is there."""
    if _SPECIAL.fullmatch(piece):
        return
    piece, continued = piece.removesuffix("@@"), piece.endswith("@@")
    apart = not state.joined and _WORD.match(state.text[-1:]) and _WORD.match(piece)
    state.text += f" {piece}" if apart else piece
    state.joined = continued
