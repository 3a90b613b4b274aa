"""Decide from a voice detector's scores where speech begins and ends: one small state machine a stream.

The decisions are those of ``FsmnVADStreaming`` of funasr 1.4.16 (``model.py``: ``GetFrameState``, ``WindowDetector``,
``DetectOneFrame``), fed hop by hop as a stream, with no limit to a segment's length and the end silence given for
each hop. Its schedule of end silences belongs to its ``inference`` and is not here; its options for a silent start,
for single utterances and for a prior of the front end decide nothing in this use. The class keeps lists of scores,
levels and samples; here a stream is a window of frames and a few numbers, however long it lasts.

How it decides. A frame is speech where the silence scores are low enough (and it is loud enough, where the rules ask
for that). A window over the last frames smooths: it turns to speech when it holds enough speech frames, and back when
it holds few. Its turn to speech opens a segment, with an onset some frames back, though never inside the segment
before. Silence after its turn back, if long enough, closes it; the endpoint leaves a little of that silence in.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappush, heappushpop
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from xingji.core.errors import EngineError
from xingji.core.types import SAMPLE_RATE, Samples

Kind = Literal["onset", "endpoint"]

_ONLY = {"sample_rate": SAMPLE_RATE, "detect_mode": 1, "do_extend": 1}
_UNHEARD_DB = -100.0  # what the class takes for the noise before it has heard any; no frame is below -60 dB
_SUREST = 20  # frames by which a segment's certainty is told: a short word has no more
_NEVER_DB = -90.0  # levels lie in -60 … 27 dB: two of them never differ by as much


@dataclass(frozen=True, slots=True)
class Rules:
    """A detector's options, in frames where they count time."""

    shift_ms: int  # from frame to frame
    shift: int  # the same in samples
    length: int  # samples of a frame
    silences: tuple[int, ...]  # the network's outputs that mean silence
    power: float  # of the silence score, before it is compared
    margin: float  # by which speech must exceed it
    window: int
    begin: int  # speech frames in the window that turn it to speech
    end: int  # … and back, or fewer
    turn_ms: int  # part of every end silence: what the window is supposed to take to turn back
    reach: int  # from the window's turn back to the onset
    tail: int  # from the window's turn back to the endpoint
    quietest_db: float  # a frame below is silence
    snr_db: float  # speech is so much above the noise
    noise: int  # frames over which the noise's level is averaged

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> "Rules":
        """From ``model_conf`` of a ``config.yaml``; what it lacks is as the class has it. Raises EngineError."""
        for name, value in _ONLY.items():
            if options.get(name, value) != value:
                raise EngineError(f"the detector's option {name} must be {value}")
        shift_ms = int(options.get("frame_in_ms", 10))

        def frames(name: str, default_ms: int) -> int:
            return int(options.get(name, default_ms)) // shift_ms

        window = frames("window_size_ms", 200)
        return cls(
            shift_ms=shift_ms,
            shift=shift_ms * SAMPLE_RATE // 1000,
            length=int(options.get("frame_length_ms", 25)) * SAMPLE_RATE // 1000,
            silences=tuple(options.get("sil_pdf_ids", (0,))),
            power=float(options.get("speech_2_noise_ratio", 1.0)),
            margin=float(options.get("speech_noise_thres", 0.6)),
            window=window,
            begin=frames("sil_to_speech_time_thres", 150),
            end=frames("speech_to_sil_time_thres", 150),
            turn_ms=int(options.get("speech_to_sil_time_thres", 150)),
            reach=window + frames("lookback_time_start_point", 200),
            tail=frames("lookahead_time_end_point", 100) + 1,
            quietest_db=float(options.get("decibel_thres", -100.0)),
            snr_db=float(options.get("snr_thres", -100.0)),
            noise=int(options.get("noise_frame_num_used_for_snr", 100)),
        )

    @property
    def by_level(self) -> bool:
        """Whether loudness can decide anything; with the published models' options it cannot."""
        return max(self.quietest_db, self.snr_db) > _NEVER_DB


class Endpointer:
    """One stream. ``frames`` is how many it has heard. Use from one thread."""

    __slots__ = (
        "_best",
        "_free",
        "_noise_db",
        "_open",
        "_rules",
        "_samples",
        "_silence",
        "_window",
        "certainty",
        "frames",
    )

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.frames = 0
        self.certainty = 1.0  # mean speech posterior of the surest frames of the segment last closed, or open
        self._free = 0  # first frame after the last segment
        self._noise_db = _UNHEARD_DB
        self._samples: Samples = np.empty(0, np.int16)  # from the next frame's first
        self._rest()

    def _rest(self) -> None:
        """Between segments."""
        self._window = _Window(self._rules)
        self._open = False
        self._silence = 0  # frames since the window turned back, without the one in which it did
        self._best: list[float] = []  # a heap: what the surest frames' speech posteriors were

    @property
    def pause_ms(self) -> int | None:
        """Where an open segment will end unless speech goes on; None while it does, and between segments.

        Known long before the segment's end is decided: as soon as that much of the silence has been heard.
        """
        tail = self._rules.tail
        if not self._open or self._silence < tail:
            return None
        return (self.frames - self._silence + tail) * self._rules.shift_ms

    def hear(
        self, scores: NDArray[np.float32], samples: Samples, end_silence_ms: int, last: bool
    ) -> list[tuple[Kind, int]]:
        """What one hop decides, in time order, each in milliseconds from the stream's start.

        ``scores`` is (T, C): posteriors of the T ≥ 0 frames after those heard so far; exactly 0 and 1 may be among
        them. ``samples`` are what of the stream came with this hop; frames may lag behind them, not run ahead.
        Nothing reads them unless ``rules.by_level``. Onsets and endpoints alternate over the hops. ``last`` closes
        an open segment where the frame after the last would begin, unless this hop has no frame or its last one
        opened the segment; the object is of no use after.
        """
        rules, decided = self._rules, list[tuple[Kind, int]]()
        silence_ms = end_silence_ms - rules.turn_ms
        cut = max(0, silence_ms // rules.shift_ms - rules.tail)  # frames of it that the segment does not keep
        silence = scores[:, rules.silences].sum(axis=1, dtype=np.float64)
        speech = self._speech(silence, samples)
        final = self.frames + len(speech) - 1 if last else None
        for frame, (spoken, likely) in enumerate(zip(speech, (1 - silence).tolist(), strict=True), self.frames):
            self._remember(likely)
            was, now = self._window.speaking, self._window.turn(spoken)
            self._silence = 0 if was or now else self._silence + 1
            if not self._open:
                if now:
                    self._open = True
                    decided.append(("onset", max(self._free, frame - rules.reach) * rules.shift_ms))
                continue
            if self._silence and self._silence * rules.shift_ms >= silence_ms:
                self._free = frame + 1 - cut
            elif frame == final:
                self._free = frame + 1
            else:
                continue
            decided.append(("endpoint", self._free * rules.shift_ms))
            self.certainty = fmean(self._best)
            self._rest()
        if self._open and not any(kind == "endpoint" for kind, _ in decided):
            self.certainty = fmean(self._best)
        self.frames += len(speech)
        return decided

    def _remember(self, likely: float) -> None:
        """Keep the posteriors of the surest frames of a segment and of what turned the window for it."""
        if not self._open and self._window.empty:
            self._best.clear()
        (heappush if len(self._best) < _SUREST else heappushpop)(self._best, likely)

    def _speech(self, silence: NDArray[np.float64], samples: Samples) -> list[bool]:
        """Whether each frame is speech, by its silence score and loudness."""
        rules = self._rules
        speech: list[bool] = (1 - silence >= silence**rules.power + rules.margin).tolist()
        if rules.by_level:
            levels = self._levels(samples, len(speech))
            return [self._heard(spoken, level) for spoken, level in zip(speech, levels, strict=True)]
        return speech

    def _levels(self, samples: Samples, frames: int) -> list[float]:
        """The next frames' energies in dB."""
        waiting, shift, length = np.concatenate((self._samples, samples)), self._rules.shift, self._rules.length
        self._samples = waiting[frames * shift :]
        if not frames:
            return []
        waves = waiting[: (frames - 1) * shift + length].astype(np.float32) / np.float32(32_768)
        energies = np.square(sliding_window_view(waves, length)[::shift]).sum(axis=1)
        levels: list[float] = (10 * np.log10(energies + np.float32(1e-6))).tolist()
        return levels

    def _heard(self, spoken: bool, level: float) -> bool:
        """Whether speech by its scores is loud enough to be speech. What is none teaches the noise's level (dB)."""
        rules = self._rules
        if level < rules.quietest_db:
            return False
        if spoken:
            return level - self._noise_db >= rules.snr_db
        known = self._noise_db != _UNHEARD_DB
        self._noise_db = (level + self._noise_db * (rules.noise - 1)) / rules.noise if known else level
        return False


class _Window:
    """The last frames, silent at first; ``speaking`` is what they say together."""

    __slots__ = ("_begin", "_count", "_end", "_frames", "speaking")

    def __init__(self, rules: Rules) -> None:
        self._frames = deque([False] * rules.window, rules.window)
        self._count = 0  # speech frames
        self._begin, self._end = rules.begin, rules.end
        self.speaking = False

    @property
    def empty(self) -> bool:
        return not self._count

    def turn(self, spoken: bool) -> bool:
        """Take one more frame. Where ``begin`` is ``end``, a count that stays there turns it again and again."""
        self._count += spoken - self._frames[0]
        self._frames.append(spoken)
        self.speaking = self._count > self._end if self.speaking else self._count >= self._begin
        return self.speaking
