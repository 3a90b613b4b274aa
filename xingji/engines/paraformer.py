"""Text while you speak: funasr's streaming Paraformer, one segment at a time.

The text of a segment only ever grows, and it depends on the audio alone, not on how many chunks
a job carries. The last piece may have any length, also none: the stock call drops up to 60 ms
there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xingji.core.errors import EngineError
from xingji.core.messages import Decode
from xingji.core.types import Samples
from xingji.engines import Capabilities, Description
from xingji.engines.loading import FRAME, load, running, waveform

_STRIDE = 960  # samples of one encoder frame (60 ms)
_LOOK_BACK = {"encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1}  # chunks, as trained
_SPECIAL = re.compile(r"<.*>")
_WORD = re.compile(r"[A-Za-z0-9']")


@dataclass(slots=True, eq=False)
class Segment:
    """One segment. ``cache`` is the stock class's own; None before the first job and after the last."""

    cache: dict[str, Any] | None = None
    chunk: int = 0
    heard: int = 0  # samples
    text: str = ""
    joined: bool = False  # the last piece ended in "@@": the next one continues the word
    closed: bool = False


class StreamingParaformer:
    """The shared model; implements ``StreamingRecogniser[Segment]``. Use from one thread."""

    capabilities = Capabilities(languages=("zh", "en"))

    def __init__(self, path: Path, device: str) -> None:
        """Raises EngineError if the directory is not a complete streaming Paraformer."""
        self._loaded = load(path, device, "ParaformerStreaming")
        self._model, self._frontend = self._loaded.model, self._loaded.frontend

    def describe(self) -> Description:
        return self._loaded.describe()

    def open(self) -> Segment:
        return Segment()

    def decode(self, items: Sequence[tuple[Segment, Decode]]) -> list[str]:
        """The whole bare text of each segment so far: no marks, no special tokens, one space
        between Latin words, none at a Han character. ``last`` flushes and closes the state.

        Raises EngineError if a job does not continue its state, its chunk is no multiple of
        60 ms, or its samples are not whole chunks although it is not the last.
        """
        with running():
            return [self._decode(state, job) for state, job in items]

    def _decode(self, state: Segment, job: Decode) -> str:
        if state.cache is None and not state.closed:
            self._begin(state, job.chunk)
        if state.closed or job.offset != state.heard or job.chunk != state.chunk:
            raise EngineError("the recogniser's job does not continue its segment")
        tail = len(job.samples) % job.chunk
        if tail and not job.last:
            raise EngineError("the recogniser was given a part of a chunk")
        for start in range(0, len(job.samples) - tail, job.chunk):
            self._step(state, job.samples[start : start + job.chunk], last=False)
        if job.last:
            self._step(state, job.samples[len(job.samples) - tail :], last=True)
            state.cache, state.closed = None, True
        return state.text

    def _begin(self, state: Segment, chunk: int) -> None:
        if chunk <= 0 or chunk % (2 * _STRIDE):
            raise EngineError("the recogniser's chunk must be a multiple of 120 ms")
        frames = chunk // _STRIDE
        state.chunk = chunk
        state.cache = self._model.init_cache(
            {},
            chunk_size=[0, frames, frames // 2],
            encoder_conf={"output_size": self._model.encoder.output_size()},
            frontend_conf={"n_mels": self._frontend.n_mels, "lfr_m": self._frontend.lfr_m},
            **_LOOK_BACK,
        )

    def _step(self, state: Segment, samples: Samples, *, last: bool) -> None:
        """One chunk; the last also flushes the frames that waited for their right context.

        The stock call flushes them with ``tail_chunk``, which leaves out the tail's own samples
        and scales the waiting features twice. Here the tail goes through the front end, be it
        empty, and the encoder sees the waiting frames before it as in any other chunk.
        """
        state.heard += len(samples)
        if state.heard < FRAME:
            return  # nothing was said in less than one frame
        assert state.cache is not None
        feats, lengths = self._frontend(waveform(samples), [len(samples)], cache=state.cache["frontend"], is_final=last)
        pieces = self._model.generate_chunk(
            feats,
            lengths,
            key=["segment"],
            tokenizer=self._loaded.tokenizer,
            frontend=self._frontend,
            cache=state.cache,
            is_final=last,
            device=self._loaded.device,
        )
        for piece in pieces:
            _append(state, piece)


def _append(state: Segment, piece: str) -> None:
    """Add one token of the vocabulary ("好", "hel@@", "lo", "<unk>") without changing what is there."""
    if _SPECIAL.fullmatch(piece):
        return
    piece, continued = piece.removesuffix("@@"), piece.endswith("@@")
    apart = not state.joined and _WORD.match(state.text[-1:]) and _WORD.match(piece)
    state.text += f" {piece}" if apart else piece
    state.joined = continued
