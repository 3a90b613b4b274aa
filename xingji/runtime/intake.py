"""What a client sends for one recording becomes samples: numbered frames in order, then decoded.

Knows no thread and no clock; its driver calls it under the lock that also orders the inbox.
"""

from collections.abc import Callable

import numpy as np

from ..audio import FORMATS, looks_like_float
from ..core.errors import XingjiError
from ..core.types import SAMPLE_RATE, AudioFormat, Samples
from ..wire import Frame
from ..wire.sequence import Sequencer

CHECKED_BYTES = 2 * SAMPLE_RATE  # the first second is checked for float samples sent as int16


class Intake:
    def __init__(self, format: AudioFormat, complain: Callable[[XingjiError], None]) -> None:
        """``complain`` hears what the client should know and is not refused for; it must not block or raise.
        Raises XingjiError("bad_config") for a codec that is not decoded here."""
        if format.codec not in FORMATS:
            raise XingjiError("bad_config", field="format")
        self.received_bytes = 0  # what has been decoded; frames that are held do not count yet
        self._format, self._complain = format, complain
        self._frames = Sequencer()
        self._decoder = FORMATS[format.codec](format.rate)
        self._floats_told = False

    def read(self, frame: Frame) -> Samples:
        """The samples that this frame completes; none while it waits for one before it."""
        return self._decode(*self._frames.push(frame))

    def rest(self) -> Samples:
        """What waits behind a gap and in the decoder, once, when no more frames will come."""
        return np.concatenate((self._decode(*self._frames.flush()), self._decoder.flush()))

    def _decode(self, ready: list[bytes], gap: tuple[int, int] | None) -> Samples:
        if gap is not None:
            self._complain(XingjiError("audio_gap", detail={"expected": gap[0], "got": gap[1]}))
        for data in ready:
            self._check(data)
            self.received_bytes += len(data)
        return self._decoder.feed(b"".join(ready))

    def _check(self, data: bytes) -> None:
        """A client that sends float samples as int16 is told so; its audio is taken all the same."""
        early = self.received_bytes < CHECKED_BYTES and not self._floats_told
        if early and self._format.codec == "s16le" and looks_like_float(data):
            self._floats_told = True
            self._complain(XingjiError("bad_audio", field="format", detail={"hint": "f32le"}))
