"""``download_models.py --optimize``: graphs for the models in use, and what they change in what is read."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ..audio import Limits, decode_file
from ..core.errors import EngineError, XingjiError
from ..core.types import Samples
from .download import Exit
from .models import ModelSet

_LIMITS = Limits(max_seconds=60, max_wall_s=30, max_memory_bytes=512 << 20)


def optimise(models: ModelSet, precision: Literal["int8", "float32"], clips: Path, say: Callable[[str], None]) -> Exit:
    """Export all of ``models``, and compare the recognisers with torch on the audio files in the folder ``clips``."""
    from ..engines.export import KINDS, READERS, difference, export  # torch comes along

    heard = list(_clips(clips))
    for part in (part for part in KINDS if part in models.paths):
        path, began = models.paths[part], time.monotonic()
        say(f"{models.names[part]}：正在导出 {precision}，大模型约一分钟（exporting, a minute for a large model）")
        try:
            graphs = export(part, path, precision)
            took = time.monotonic() - began
            say(f"{models.names[part]}：{graphs.size / 1e6:.0f} MB，{took:.0f} s")
            if heard and part in READERS:
                differs = difference(part, path, precision, heard)
                say(f"  {len(heard)} 段录音里与 torch 不同的字（characters unlike torch's）：{differs:.2%}")
        except (EngineError, OSError) as error:
            say(f"{models.names[part]}：导出失败（failed）：{error}")
            return Exit.FAILED
    if not heard:
        say("没有可比较的录音；可用 --clips 指定一个录音目录。（No clips to compare; see --clips.）")
    return Exit.COMPLETE


def _clips(folder: Path) -> Iterator[Samples]:
    """Every file that is audio of at most a minute."""
    for path in sorted(folder.glob("*.*")):
        try:
            yield np.concatenate(list(decode_file(path, _LIMITS)))
        except XingjiError:
            continue
