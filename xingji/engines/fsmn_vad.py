"""Find where speech starts and ends with funasr's streaming FSMN-VAD.

The detector walks the recording hop by hop, so its edges never depend on how many hops one job
carries, and what a stream asks for (its end silence) stays in that stream: the stock class keeps
it in the shared model. The state of a stream is bounded however long the recording is. Streams
that stand at a hop are scored by one call of the network; the stock class takes one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Literal

import torch

from xingji.core.errors import EngineError
from xingji.core.messages import Detect, Edge
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines import Description
from xingji.engines.loading import FRAME, load, running, steps, waveform

Kind = Literal["onset", "endpoint"]

_MS = SAMPLE_RATE // 1000
_SHIFT = FRAME * 10 // 25  # samples between frames
_HALVE_FROM, _QUARTER_FROM = 15 * SAMPLE_RATE, 25 * SAMPLE_RATE
_SHORTEST_SILENCE = SAMPLE_RATE // 5


@dataclass(slots=True, eq=False)
class VadState:
    """One stream. ``cache`` is the stock class's own; None before the first job and after a flush."""

    cache: dict[str, Any] | None = None
    origin: int = 0  # where the model's time 0 lies in the recording
    position: int = 0  # end of what was heard
    onset: int | None = None  # start of the open segment
    floor: int = 0  # no edge may lie before this
    edges: list[Edge] = field(default_factory=list)  # of the job in hand


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one stream hears next."""

    state: VadState
    end_silence: int
    samples: Samples
    last: bool

    @property
    def cache(self) -> dict[str, Any]:
        assert self.state.cache is not None
        return self.state.cache


class Fsmn:
    """The shared model; implements ``Detector[VadState]``. Use from one thread."""

    def __init__(self, path: Path, device: str) -> None:
        """Raises EngineError if the directory is not a complete FSMN-VAD model."""
        self._loaded = load(path, device, "FsmnVADStreaming")
        self._model, self._frontend = self._loaded.model, self._loaded.frontend
        options = self._model.vad_opts
        options.max_single_segment_time = inf  # the session cuts long segments, at a quiet place
        options.output_frame_probs = False  # a list that is never read and grows by the frame
        self._model.encoder.register_forward_hook(_soften)
        # The class's state machine takes its scores from here instead of calling the network itself.
        self._model.ComputeScores = self._take_scores

    def describe(self) -> Description:
        return self._loaded.describe()

    def open(self) -> VadState:
        return VadState()

    def detect(self, items: Sequence[tuple[VadState, Detect]]) -> list[tuple[Edge, ...]]:
        """Edges that each job's samples decide, in time order, in samples from the recording's start.

        Onsets and endpoints alternate; ``at`` ≤ ``decided``. A flush ends open speech at the end
        of its samples and closes the state. Raises EngineError if a job does not continue its
        state, or its samples are not whole hops although it is no flush.
        """
        with running():
            waiting = [(state, job, self._hops(state, job)) for state, job in items]
            while ready := [_Hop(state, job.end_silence, *hops.pop(0)) for state, job, hops in waiting if hops]:
                self._advance(ready)
        answers = []
        for state, job in items:
            if job.flush:
                if state.onset is not None:
                    self._mark(state, "endpoint", state.position)  # an onset in the very last frame stays open
                state.cache = None
            answers.append(tuple(state.edges))
            state.edges = []
        return answers

    def _hops(self, state: VadState, job: Detect) -> list[tuple[Samples, bool]]:
        """The job's samples hop by hop, and whether each is the stream's last."""
        if job.first:
            self._begin(state, job.offset)
        if state.cache is None or job.offset != state.position:
            raise EngineError("the detector's job does not continue its stream")
        if len(job.samples) % job.hop and not job.flush:
            raise EngineError("the detector was given a part of a hop")
        return steps(job.samples, job.hop, job.flush)

    def _begin(self, state: VadState, offset: int) -> None:
        state.cache = self._model.init_cache({})
        state.origin = state.position = state.floor = offset
        state.onset, state.edges = None, []

    def _advance(self, hops: Sequence[_Hop]) -> None:
        """One hop of every stream."""
        sizes: dict[int, list[tuple[_Hop, torch.Tensor]]] = defaultdict(list)
        for hop in hops:
            cache = hop.cache
            feats, _ = self._frontend(
                waveform(hop.samples),
                [len(hop.samples)],
                cache=cache["frontend"],
                is_final=hop.last,
                return_waveform=True,
            )
            sizes[feats.shape[1] if feats.numel() else 0].append((hop, feats))
        for size, group in sizes.items():
            if size:
                self._score(group)
            for hop, feats in group:
                self._decide(hop, feats)

    def _score(self, group: Sequence[tuple[_Hop, torch.Tensor]]) -> None:
        """Put into each stream's cache what the network says of its frames, all of one number."""
        memories = [hop.cache["encoder"] for hop, _ in group]
        known = [memory for memory in memories if memory]
        together: dict[str, torch.Tensor] = {}
        if known:
            for layer, tensor in known[0].items():
                empty = torch.zeros_like(tensor)
                together[layer] = torch.cat([memory.get(layer, empty) for memory in memories])
        feats = torch.cat([feats for _, feats in group]).to(self._loaded.device)
        scores = self._model.encoder(feats, cache=together)
        for row, (hop, _) in enumerate(group):
            hop.cache["scores"] = scores[row : row + 1]
            hop.cache["encoder"] = {layer: tensor[row : row + 1].clone() for layer, tensor in together.items()}

    def _take_scores(self, feats: torch.Tensor, cache: dict[str, Any]) -> None:
        """In place of the class's method: the same, but for where the scores come from."""
        scores, stats = cache.pop("scores"), cache["stats"]
        self._model.vad_opts.nn_eval_block_size = scores.shape[1]
        stats.frm_cnt += scores.shape[1]
        stats.scores = scores if stats.scores is None else torch.cat((stats.scores, scores), dim=1)

    def _decide(self, hop: _Hop, feats: torch.Tensor) -> None:
        state, cache = hop.state, hop.cache
        stats = cache["stats"]
        length = 0 if state.onset is None else state.position - state.onset
        silence_ms = _patience(hop.end_silence, length) // _MS
        # Where the class itself keeps the end silence of a stream: less what its window takes to turn.
        thres = max(0, silence_ms - self._model.vad_opts.speech_to_sil_time_thres)
        stats.max_end_sil_frame_cnt_thresh = thres
        state.position += len(hop.samples)
        spans = self._model.forward(
            feats=feats.to(self._loaded.device),
            waveform=cache["frontend"]["aligned_waveforms"],
            cache=cache,
            is_final=hop.last,
            is_streaming_input=True,
        )
        heard = state.origin + stats.frm_cnt * _SHIFT
        for kind, at in _boundaries(spans, state.origin):
            # Cut short by the flush: the class stops at its last frame's start, up to 25 ms early.
            cut = hop.last and kind == "endpoint" and at >= heard
            self._mark(state, kind, state.position if cut else at)
        # Closed segments stay in the class's list for ever; only the open one is needed.
        del stats.output_data_buf[: stats.output_data_buf_offset]
        stats.output_data_buf_offset = 0

    def _mark(self, state: VadState, kind: Kind, at: int) -> None:
        at = min(max(at, state.floor), state.position)
        state.edges.append(Edge(kind, at, state.position))
        state.floor = at
        state.onset = at if kind == "onset" else None


def _patience(end_silence: int, length: int) -> int:
    """Silence (samples) that ends a segment of ``length`` samples: shorter in a long one, so that
    speech is cut at a pause and rarely by force."""
    if length < _HALVE_FROM:
        return end_silence
    shorter = end_silence // (2 if length < _QUARTER_FROM else 4)
    return max(shorter, min(end_silence, _SHORTEST_SILENCE))


def _boundaries(spans: list[list[list[int]]], origin: int) -> Iterator[tuple[Kind, int]]:
    """The class answers ``[[[begin_ms, end_ms], …]]`` with -1 for what is not in this hop."""
    for begin_ms, end_ms in (pair for batch in spans for pair in batch):
        if begin_ms >= 0:
            yield "onset", origin + begin_ms * _MS
        if end_ms >= 0:
            yield "endpoint", origin + end_ms * _MS


def _soften(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
    """Keep every sum of posteriors inside (0, 1): the class takes log(p) and log(1 - p) of them,
    and a saturated softmax (digital silence) is exactly 0 or 1."""
    return output * (1 - 1e-5) + 1e-9
