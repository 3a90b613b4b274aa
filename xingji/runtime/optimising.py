"""``download_models.py --optimize``: graphs for the recognisers in use, and what they change in what is read."""

import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ..core.errors import EngineError
from ..core.types import SAMPLE_RATE, Samples
from .download import Exit
from .models import ModelSet

PARTS = ("paraformer", "sensevoice")


def optimise(models: ModelSet, precision: Literal["int8", "float32"], clips: Path, say: Callable[[str], None]) -> Exit:
    """Export both recognisers of ``models``, and compare with torch on the WAV files in the folder ``clips``."""
    from ..engines import optimise as engines  # torch comes along

    heard = list(_clips(clips))
    for part in PARTS:
        path, began = models.paths[part], time.monotonic()
        say(f"{models.names[part]}：正在导出 {precision}，大模型约一分钟（exporting, a minute for a large model）")
        try:
            graphs = engines.optimise(part, path, precision)
            took = time.monotonic() - began
            say(f"{models.names[part]}：{graphs.size / 1e6:.0f} MB，{took:.0f} s")
            if heard:
                differs = engines.difference(part, path, precision, heard)
                say(f"  {len(heard)} 段录音上与 float32 的字差（characters read otherwise）：{differs:.2%}")
        except (EngineError, OSError) as error:
            say(f"{models.names[part]}：导出失败（failed）：{error}")
            return Exit.FAILED
    if not heard:
        say("没有可比较的录音；可用 --clips 指定 16 kHz 单声道 WAV 的目录。（No clips to compare; see --clips.）")
    return Exit.COMPLETE


def _clips(folder: Path) -> Iterator[Samples]:
    for path in sorted(folder.glob("*.wav")):
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2):
                yield np.frombuffer(file.readframes(file.getnframes()), "<i2")
