"""WAV while it arrives: a header, then samples for as long as it says or, where it does not know, for ever.

No decoder is needed, so none is started. Every ``data`` chunk counts, also those of further files that
follow the first, as from clients that put a header on each piece.
"""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xingji.core.errors import XingjiError
from xingji.core.types import Samples

from .g711 import ALAW, MULAW
from .limits import Limits
from .pcm import InProcess
from .resample import Resampler, from_float

Read = Callable[[bytes], NDArray[Any]]  # bytes of whole samples → numbers in int16 steps

PCM, FLOAT, ALAW_TAG, MULAW_TAG, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
READ: dict[tuple[int, int], Read] = {  # format tag and bits
    (PCM, 8): lambda data: (np.frombuffer(data, np.uint8).astype(np.float32) - 128) * 256,
    (PCM, 16): lambda data: np.frombuffer(data, "<i2"),
    (PCM, 24): lambda data: _int24(data),
    (PCM, 32): lambda data: np.frombuffer(data, "<i4").astype(np.float32) * np.float32(2**-16),
    (FLOAT, 32): lambda data: from_float(np.frombuffer(data, "<f4")),
    (FLOAT, 64): lambda data: from_float(np.frombuffer(data, "<f8")),
    (ALAW_TAG, 8): lambda data: ALAW[np.frombuffer(data, np.uint8)],
    (MULAW_TAG, 8): lambda data: MULAW[np.frombuffer(data, np.uint8)],
}
ENDLESS = (0, 0xFFFF_FFFF)  # sizes that mean that the writer did not know
MAX_CHUNK = 1 << 20  # bytes of any chunk that is not audio


class Wav(InProcess):
    def __init__(self, limits: Limits, needs_audio: bool = True) -> None:
        """``needs_audio``: a header that nothing follows is a mistake."""
        self._limits, self._needs_audio = limits, needs_audio
        self._held = b""  # what does not make a whole chunk header, small chunk or sample yet
        self._skip = 0  # bytes of a chunk that nobody needs
        self._left: int | None = 0  # bytes of audio still to come; None: all that come
        self._begun = self._heard = False
        self._form: tuple[int, int, int] | None = None  # tag and bits, channels, rate
        self._width, self._channels = 1, 1
        self._read: Read = READ[PCM, 8]
        self._resampler: Resampler | None = None

    def feed(self, data: bytes) -> Samples:
        self._held += data
        blocks = []
        try:
            while self.error is None and (block := self._step()) is not None:
                blocks.append(block)
        except XingjiError as error:
            self.error = error
        return np.concatenate(blocks) if blocks else np.empty(0, np.int16)

    def flush(self) -> Samples:
        if self._needs_audio and self.error is None and not self._heard and (self._held or self._form):
            self.error = XingjiError("decode_failed" if self._begun else "unsupported_format", field="format")
        return np.empty(0, np.int16) if self._resampler is None else self._resampler.flush()

    def _step(self) -> Samples | None:
        """The samples of one step, maybe none; None where more bytes are needed."""
        if self._left is None or self._left > 0:
            return self._audio()
        if self._skip:
            self._take(min(self._skip, len(self._held)))
            return None if self._skip else np.empty(0, np.int16)
        return self._chunk()

    def _audio(self) -> Samples | None:
        there = len(self._held) if self._left is None else min(len(self._held), self._left)
        whole = there - there % self._width
        if whole == 0 and self._left is not None and there == self._left:  # half a sample ends the chunk
            self._held, self._left = self._held[there:], 0
            return np.empty(0, np.int16)
        if whole == 0:
            return None
        data, self._held = self._held[:whole], self._held[whole:]
        if self._left is not None:
            self._left -= whole
        self._heard = True
        assert self._resampler is not None
        numbers = self._read(data)
        if self._channels > 1:
            numbers = numbers.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        return self._resampler.feed(numbers)

    def _chunk(self) -> Samples | None:
        """The next chunk's header, and of ``fmt`` all of it."""
        if len(self._held) < 8:
            return None
        name, size = struct.unpack("<4sI", self._held[:8])
        if name in (b"RIFF", b"RF64"):
            if len(self._held) < 12:
                return None
            if self._held[8:12] != b"WAVE":
                raise XingjiError("unsupported_format", field="format")
            self._begun, self._held = True, self._held[12:]
        elif not self._begun:
            raise XingjiError("unsupported_format", field="format")
        elif name == b"data":
            if self._form is None:
                raise XingjiError("decode_failed", field="format")
            self._held = self._held[8:]
            self._left = None if size in ENDLESS else size
            self._skip = 0 if size in ENDLESS else size % 2
        elif name == b"fmt ":
            if not 16 <= size <= MAX_CHUNK:
                raise XingjiError("decode_failed", field="format")
            if len(self._held) < 8 + size + size % 2:
                return None
            body, self._held = self._held[8 : 8 + size], self._held[8 + size + size % 2 :]
            return self._begin(body)
        elif size <= MAX_CHUNK and name.isascii() and name.decode().isprintable():
            self._held, self._skip = self._held[8:], size + size % 2
        else:  # neither a chunk nor audio that a header has promised
            raise XingjiError("decode_failed", field="format")
        return np.empty(0, np.int16)

    def _begin(self, body: bytes) -> Samples:
        tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
        if tag == EXTENSIBLE and len(body) >= 26:
            (tag,) = struct.unpack("<H", body[24:26])
        form = (tag << 8 | bits & 0xFF, channels, rate)
        if form == self._form:
            return np.empty(0, np.int16)
        here = self._limits
        if (tag, bits) not in READ or not 1 <= channels <= here.max_channels:
            raise XingjiError("unsupported_format", field="format")
        if not here.min_rate <= rate <= here.max_rate:
            raise XingjiError("unsupported_format", field="format")
        rest = np.empty(0, np.int16) if self._resampler is None else self._resampler.flush()
        self._form, self._channels, self._width = form, channels, channels * bits // 8
        self._read, self._resampler = READ[tag, bits], Resampler(rate)
        return rest

    def _take(self, count: int) -> None:
        self._held = self._held[count:]
        self._skip -= count


def wav_header(rate: int, size: int) -> bytes:
    """What goes in front of ``size`` bytes of mono int16 at ``rate`` Hz, so that they can be decoded as a file."""
    form = b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", *form, b"data", size)


def _int24(data: bytes) -> NDArray[np.float32]:
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2**-16)
