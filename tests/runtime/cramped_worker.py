"""A real worker process with the real models, on a device that runs out of memory after a while.

The device is played: torch says that there is one, the models run on the CPU all the same. After a
few calls an engine has room for ``XINGJI_TEST_ROOM`` items only; a larger call is made, so that the
streams' states have gone on, and then fails.
"""

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from xingji.core.messages import Decode, Detect, Transcribe
from xingji.runtime import roles, worker
from xingji.runtime.batch import Limit

ROOM = int(os.environ["XINGJI_TEST_ROOM"])


class Stream(roles.StreamRole):
    def load_on(self, device: str) -> None:
        super().load_on("cpu")
        self.device = device
        self.limits = {Detect: Limit(4), Decode: Limit(4)}
        self._vad.detect = cramped(self._vad.detect, device, 8)
        self._asr.decode = cramped(self._asr.decode, device, 3)
        self._punc.revise = cramped(self._punc.revise, device, 4)


class Segment(roles.SegmentRole):
    def load_on(self, device: str) -> None:
        super().load_on("cpu")
        self.device = device
        self.limits = {Transcribe: Limit(4, ordered=False)}
        self._asr.transcribe = cramped(self._asr.transcribe, device, 1)


def cramped(run: Callable[[Any], list[Any]], device: str, plenty: int) -> Callable[[Any], list[Any]]:
    """``plenty`` calls go without a limit, the one of the warm-up included."""
    calls = itertools.count()

    def call(items: Sequence[Any]) -> list[Any]:
        results = run(items)
        if device != "cpu" and next(calls) >= plenty and len(items) > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 36.00 MiB.")
        return results

    return call


if __name__ == "__main__":
    torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 1
    worker.ROLES.update(stream=Stream, segment=Segment)
    worker.main(sys.argv[1], sys.argv[2])
