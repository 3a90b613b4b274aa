"""A stream of which nobody has said for certain what it is: its first bytes choose the decoder."""

from collections.abc import Callable

import numpy as np

from xingji.core.errors import XingjiError
from xingji.core.types import Samples

from .limits import Limits
from .pcm import Decoder, s16le
from .sniff import ENOUGH, container_of, is_container
from .stream import Stream
from .wav import Wav

NOTHING: Samples = np.empty(0, np.int16)


class Sniffed:
    """A ``Decoder``; see there."""

    def __init__(self, limits: Limits, ready: Callable[[], None], rate: int | None = None) -> None:
        """``rate``: of the int16 samples that it is where it does not begin like a file; None: that is a mistake.

        Raises XingjiError("bad_config") for a rate outside 8000..48000 Hz.
        """
        self._limits, self._ready = limits, ready
        self._bare = None if rate is None else s16le(rate)
        self._head = b""
        self._decoder: Decoder | None = None
        self._error: XingjiError | None = None

    @property
    def error(self) -> XingjiError | None:
        return self._error if self._decoder is None else self._decoder.error

    def begin(self) -> None:
        pass

    def feed(self, data: bytes) -> Samples:
        if self._decoder is not None:
            return self._decoder.feed(data)
        self._head += data
        return self._choose() if len(self._head) >= ENOUGH else NOTHING

    def _choose(self) -> Samples:
        self._decoder = self._fitting()
        if self._decoder is None:
            self._error = XingjiError("unsupported_format", field="format")
            return NOTHING
        self._decoder.begin()
        return self._decoder.feed(self._head)

    def _fitting(self) -> Decoder | None:
        if self._bare is not None and not is_container(self._head):
            return self._bare
        container = container_of(self._head, "auto")
        if container == "wav":
            return Wav(self._limits, needs_audio=self._bare is None)
        return None if container is None else Stream("auto", self._limits, self._ready)

    def end(self) -> None:
        if self._decoder is not None:
            self._decoder.end()

    def accepts(self, timeout_s: float) -> bool:
        return self._decoder is None or self._decoder.accepts(timeout_s)

    def drained(self, timeout_s: float) -> bool:
        return self._decoder is None or self._decoder.drained(timeout_s)

    def flush(self) -> Samples:
        first = self._choose() if self._decoder is None and self._head else NOTHING
        return first if self._decoder is None else np.concatenate((first, self._decoder.flush()))

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
