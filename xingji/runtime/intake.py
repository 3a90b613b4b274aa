"""What a client sends for one recording becomes samples: numbered frames in order, then decoded.

Knows no thread and no clock; its driver calls it under the lock that also orders the inbox. Compressed audio is
decoded by a process of its own, which says ``ready`` when it has samples that no ``read`` has given.
"""

from collections.abc import Callable

import numpy as np

from ..audio import Limits, decoder, looks_like_float
from ..core.errors import XingjiError
from ..core.types import SAMPLE_RATE, AudioFormat, Samples
from ..wire import Frame
from ..wire.sequence import Sequencer

CHECKED_BYTES = 2 * SAMPLE_RATE  # the first second is checked for float samples sent as int16
LIMITS = Limits(max_seconds=4 * 3600.0, max_wall_s=3600.0, max_memory_bytes=256 << 20)


class Intake:
    def __init__(
        self,
        format: AudioFormat,
        complain: Callable[[XingjiError], None],
        ready: Callable[[], None] = lambda: None,
        limits: Limits = LIMITS,
    ) -> None:
        """``complain`` hears what the client should know and is not refused for; it must not block or raise.
        ``ready`` asks for a ``read`` of an empty frame, from a thread of its own; it may block."""
        self.received_bytes = 0  # what has been decoded; frames that are held do not count yet
        self.failed = False  # no more can be decoded, which has been complained of
        self._format, self._complain = format, complain
        self._frames = Sequencer()
        self._decoder = decoder(format, limits, ready)
        self._floats_told = False

    def begin(self) -> None:
        """The recording has begun. ``ready`` may be called from now on."""
        self._decoder.begin()
        self._heed()

    def read(self, frame: Frame) -> Samples:
        """The samples that this frame completes; none while it waits for one before it."""
        samples = self._decode(*self._frames.push(frame))
        if frame.last:
            samples = np.concatenate((samples, self._decode(*self._frames.flush())))
            self._decoder.end()
        return samples

    def rest(self) -> Samples:
        """What waits behind a gap and in the decoder, once, when no more frames will come."""
        samples = np.concatenate((self._decode(*self._frames.flush()), self._decoder.flush()))
        self._heed()
        return samples

    def close(self) -> None:
        self._decoder.close()

    def accepts(self, timeout_s: float) -> bool:
        """Whether the decoder is ready for another frame; waits for that for so long. Not under the driver's lock."""
        return self._decoder.accepts(timeout_s)

    def drained(self, timeout_s: float) -> bool:
        """After the last frame, whether all has been decoded; waits as ``accepts`` does."""
        return self._decoder.drained(timeout_s)

    def _decode(self, ready: list[bytes], gap: tuple[int, int] | None) -> Samples:
        if gap is not None:
            self._complain(XingjiError("audio_gap", detail={"expected": gap[0], "got": gap[1]}))
        blocks = []
        for data in ready:
            self._check(data)
            self.received_bytes += len(data)
            blocks.append(self._decoder.feed(data))
        self._heed()
        return blocks[0] if len(blocks) == 1 else np.concatenate((np.empty(0, np.int16), *blocks))

    def _heed(self) -> None:
        if self._decoder.error is not None and not self.failed:
            self.failed = True
            self._complain(self._decoder.error)

    def _check(self, data: bytes) -> None:
        """A client that sends float samples as int16 is told so; its audio is taken all the same."""
        early = self.received_bytes < CHECKED_BYTES and not self._floats_told
        if early and self._format.codec == "s16le" and looks_like_float(data):
            self._floats_told = True
            self._complain(XingjiError("bad_audio", field="format", detail={"hint": "f32le"}))
