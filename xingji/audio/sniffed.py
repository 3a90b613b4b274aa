"""A stream of which nobody has said what it is: its first bytes choose the decoder."""

from collections.abc import Callable

import numpy as np

from xingji.core.errors import XingjiError
from xingji.core.types import Samples

from .limits import Limits
from .pcm import Decoder
from .sniff import ENOUGH, container_of
from .stream import Stream
from .wav import Wav


class Sniffed:
    """A ``Decoder``; see there."""

    def __init__(self, limits: Limits, ready: Callable[[], None]) -> None:
        self._limits, self._ready = limits, ready
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
        return self._choose() if len(self._head) >= ENOUGH else np.empty(0, np.int16)

    def _choose(self) -> Samples:
        container = container_of(self._head, "auto")
        if container is None:
            self._error = XingjiError("unsupported_format", field="format")
            return np.empty(0, np.int16)
        self._decoder = Wav(self._limits) if container == "wav" else Stream("auto", self._limits, self._ready)
        self._decoder.begin()
        return self._decoder.feed(self._head)

    def end(self) -> None:
        if self._decoder is not None:
            self._decoder.end()

    def accepts(self, timeout_s: float) -> bool:
        return self._decoder is None or self._decoder.accepts(timeout_s)

    def drained(self, timeout_s: float) -> bool:
        return self._decoder is None or self._decoder.drained(timeout_s)

    def flush(self) -> Samples:
        if self._decoder is None and self._head:
            self._error = XingjiError("unsupported_format", field="format")
        return np.empty(0, np.int16) if self._decoder is None else self._decoder.flush()

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
