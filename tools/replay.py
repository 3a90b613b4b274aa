"""Replay a recording through the real session and the real engines, in this process, and print its trace.

``python -m tools.replay FILE.wav [--models DIR]`` needs 16 kHz, mono, 16 bit. Correction is off.
``python -m tools.replay --update-traces`` writes the golden traces of ``tests/core/traces`` again.
"""

import argparse
import sys
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tools.trace import Trace
from xingji.core.messages import Audio, Job, Profile, Result, Stop, Transcribe
from xingji.core.session import Session
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines.pinyin import Pypinyin
from xingji.runtime.batch import Request
from xingji.runtime.roles import SegmentRole, StreamRole

MODELS = Path(__file__).resolve().parents[1] / "xingji" / "minipack"
FRAME = SAMPLE_RATE // 10


class Engines:
    """Both workers' models, without the workers."""

    def __init__(self, models: Path, others: Mapping[str, Path] | None = None) -> None:
        """``others``: directories of single models that stand elsewhere, as "vad"."""
        paths = {name: models / name for name in ("vad", "paraformer", "punc", "sensevoice")} | dict(others or {})
        self._stream, self._segment = StreamRole(paths, "cpu"), SegmentRole(paths, "cpu")

    def answer(self, job: Job) -> Result:
        role = self._segment if isinstance(job, Transcribe) else self._stream
        return role.answer([Request(0, 0, job)])[0]


def read(path: Path) -> Samples:
    """Raises ValueError if it is no 16 kHz mono 16-bit wav."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (SAMPLE_RATE, 1, 2):
            raise ValueError("the wav must be 16 kHz, mono, 16 bit")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def replay(audio: Samples, engines: Engines) -> list[str]:
    """As if it were spoken now, with engines that always keep up."""
    trace = Trace(Session(Profile(correct=False), Pypinyin()), engines.answer)
    for begin in range(0, len(audio), FRAME):
        trace.handle(Audio(audio[begin : begin + FRAME]))
        trace.settle()
    trace.handle(Stop())
    trace.settle()
    return trace.lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.replay", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE.wav")
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="default: the embedded pack")
    parser.add_argument("--update-traces", action="store_true")
    options = parser.parse_args()
    if options.update_traces:
        from tests.core.scenarios import update

        update()
    elif options.file is None:
        parser.error("name a wav file")
    else:
        try:
            audio = read(options.file)
        except (OSError, EOFError, wave.Error, ValueError) as error:
            parser.error(str(error))
        print("\n".join(replay(audio, Engines(options.models))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
