"""Find where speech starts and ends with funasr's streaming FSMN-VAD.

The detector walks the recording hop by hop, so its edges never depend on how many hops one job
carries, and what a stream asks for (its end silence) stays in that stream: the stock class keeps
it in the shared model. The state of a stream is bounded however long the recording is. Streams
that stand at a hop are scored by one call of the network; the stock class takes one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xingji.core.errors import EngineError
from xingji.core.messages import Detect, Edge
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines import Description
from xingji.engines.endpointing import Endpointer, Kind, Rules
from xingji.engines.features import SHIFT, Features, front_end
from xingji.engines.loading import load, steps

_MS = SAMPLE_RATE // 1000
_HALVE_FROM, _QUARTER_FROM = 1 / 2, 5 / 6  # of the longest segment
_SHORTEST_SILENCE = SAMPLE_RATE // 5

Array = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class VadState:
    """One stream. ``features``, ``past`` and ``endpointer`` are None before the first job and after a flush."""

    features: Features | None = None
    past: Array | None = None  # (layers, channels, inputs): what the network's convolutions remember
    endpointer: Endpointer | None = None
    origin: int = 0  # where the endpointer's time 0 lies in the recording
    position: int = 0  # end of what was heard
    onset: int | None = None  # start of the open segment
    pause: int | None = None  # where it will end unless speech goes on
    floor: int = 0  # no edge may lie before this
    edges: list[Edge] = field(default_factory=list)  # of the job in hand


@dataclass(frozen=True, slots=True)
class _Hop:
    """What one stream hears next."""

    state: VadState
    job: Detect
    samples: Samples
    last: bool


class Fsmn:
    """The shared model; implements ``Detector[VadState]``. Use from one thread."""

    def __init__(self, path: Path, device: str, precision: str = "auto") -> None:
        """``precision`` as in ``loading.load``. Raises EngineError if the directory is not a complete FSMN-VAD
        model."""
        loaded = load(path, device, "FsmnVADStreaming", precision)
        self.network, self._about = loaded.networks["detector"], loaded.about
        self._front_end = front_end(loaded.directory)
        self.rules = Rules.read(loaded.directory.section("model_conf"))
        net = loaded.directory.section("encoder_conf")
        self._past = net["fsmn_layers"], net["proj_dim"], (net["lorder"] - 1) * net["lstride"]

    def describe(self) -> Description:
        return self._about

    def open(self) -> VadState:
        return VadState()

    def detect(self, items: Sequence[tuple[VadState, Detect]]) -> list[tuple[Edge, ...]]:
        """Edges that each job's samples decide, in samples from the recording's start, in the order of ``decided``.

        Onsets and endpoints alternate; ``at`` ≤ ``decided``. Between them pauses and resumptions do; the endpoint
        that follows a pause lies where the pause does. A flush ends open speech at the end of its samples and
        closes the state. Raises EngineError if a job does not continue its
        state, or its samples are not whole hops although it is no flush.
        """
        waiting = [(state, job, self._hops(state, job)) for state, job in items]
        while ready := [_Hop(state, job, *hops.pop(0)) for state, job, hops in waiting if hops]:
            self._advance(ready)
        answers = []
        for state, job in items:
            if job.flush:
                if state.onset is not None:
                    _mark(state, "endpoint", state.position)  # an onset in the very last frame stays open
                state.features = state.past = state.endpointer = None
            answers.append(tuple(state.edges))
            state.edges = []
        return answers

    def _hops(self, state: VadState, job: Detect) -> list[tuple[Samples, bool]]:
        """The job's samples hop by hop, and whether each is the stream's last."""
        if job.first:
            self._begin(state, job.offset)
        if state.endpointer is None or job.offset != state.position:
            raise EngineError("the detector's job does not continue its stream")
        if len(job.samples) % job.hop and not job.flush:
            raise EngineError("the detector was given a part of a hop")
        return steps(job.samples, job.hop, job.flush)

    def _begin(self, state: VadState, offset: int) -> None:
        state.features, state.endpointer = self._front_end.open(), Endpointer(self.rules)
        state.past = np.zeros(self._past, np.float32)
        state.origin = state.position = state.floor = offset
        state.onset, state.pause, state.edges = None, None, []

    def _advance(self, hops: Sequence[_Hop]) -> None:
        """One hop of every stream. Those that complete as many frames are scored together."""
        sizes: dict[int, list[tuple[_Hop, Array]]] = defaultdict(list)
        for hop in hops:
            assert hop.state.features is not None
            frames = hop.state.features.push(hop.samples, hop.last)
            sizes[len(frames)].append((hop, frames))
        for size, group in sizes.items():
            scores = self._score(group) if size else np.empty((len(group), 0, max(self.rules.silences) + 1), np.float32)
            for (hop, _), row in zip(group, scores, strict=True):
                self._decide(hop, row)

    def _score(self, group: Sequence[tuple[_Hop, Array]]) -> Array:
        """What the network says of each stream's frames, (streams, frames, outputs)."""
        past = np.stack([hop.state.past for hop, _ in group], axis=1)  # type: ignore[misc]
        scores, past = self.network(np.stack([frames for _, frames in group]), past)
        scores, past = self.network.fetched(scores), self.network.fetched(past)
        for row, (hop, _) in enumerate(group):
            hop.state.past = past[:, row].copy()  # a view would hold the whole batch in memory
        answer: Array = scores
        return answer

    def _decide(self, hop: _Hop, scores: Array) -> None:
        """``scores`` (frames, outputs): those that this hop completes."""
        state = hop.state
        assert state.endpointer is not None
        length = 0 if state.onset is None else state.position - state.onset
        state.position += len(hop.samples)
        silence_ms = _patience(hop.job, length) // _MS
        decided = state.endpointer.hear(scores, hop.samples, silence_ms, hop.last)
        end = state.origin + state.endpointer.frames * SHIFT
        for kind, ms in decided:
            at = state.origin + ms * _MS
            # Cut short by the flush: the endpointer stops at its last frame's start, up to 25 ms early.
            cut = hop.last and kind == "endpoint" and at >= end
            _mark(state, kind, state.position if cut else at)
        pause = state.endpointer.pause_ms
        pause = None if pause is None else state.origin + pause * _MS
        if pause != state.pause:
            if pause is not None:
                state.edges.append(Edge("pause", pause, state.position))
            elif not any(kind == "endpoint" for kind, _ in decided):
                state.edges.append(Edge("resume", state.position, state.position))
            state.pause = pause


def _mark(state: VadState, kind: Kind, at: int) -> None:
    at = min(max(at, state.floor), state.position)
    certainty = state.endpointer.certainty if kind == "endpoint" and state.endpointer else 1.0
    state.edges.append(Edge(kind, at, state.position, certainty))
    state.floor = at
    state.onset = at if kind == "onset" else None


def _patience(job: Detect, length: int) -> int:
    """Silence (samples) that ends a segment of ``length`` samples: shorter in a long one, so that
    speech is cut at a pause and rarely by force."""
    if length < job.longest * _HALVE_FROM:
        return job.end_silence
    shorter = job.end_silence // (2 if length < job.longest * _QUARTER_FROM else 4)
    return max(shorter, min(job.end_silence, _SHORTEST_SILENCE))
