"""A real worker process whose model is played. The folder that stands in for a model directory steers it.

``hold``: do not connect while this file is there. ``cannot_load``: the model does not load.
``hold_loading``: it does not finish loading. ``hold_jobs``: it does not finish a batch. ``room``:
so many jobs fit into the memory of a CUDA device, which this machine then seems to have.
What a job does is its language: ``poison`` kills the process, ``raise`` fails, anything else is
answered with the process id.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xingji.core.messages import Detect, Job, Result, Transcribe
from xingji.core.types import HotwordTable, Hypothesis
from xingji.runtime import worker
from xingji.runtime.batch import Limit, Request


class Played:
    def __init__(self, models: dict[str, Path], device: str, precision: str) -> None:
        self.costs = {"detect": 0.01, "decode": 0.04, "transcribe": 0.02}
        self._folder = models["folder"]
        self._tables: list[HotwordTable] = []
        self.limits: dict[type[Any], Limit] = {Detect: Limit(8), Transcribe: Limit(4, ordered=False)}
        self.load_on(device)

    def load_on(self, device: str) -> None:
        if (self._folder / "cannot_load").exists():
            sys.exit(1)
        wait_while(self._folder / "hold_loading")
        self.device = device

    def warm_up(self) -> None: ...

    def answer(self, batch: Sequence[Request]) -> list[Result]:
        if self.device != "cpu" and len(batch) > int((self._folder / "room").read_text()):
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 36.00 MiB.")
        wait_while(self._folder / "hold_jobs")
        return [self._answer(request.job) for request in batch]

    def _answer(self, job: Any) -> Result:
        match job:
            case Transcribe(language="poison"):
                os._exit(1)
            case Transcribe(language="raise"):
                raise ZeroDivisionError
            case Detect():
                return ()
        return Hypothesis(str(os.getpid()))

    def release(self, stream: int) -> None: ...

    def learn(self, table: HotwordTable) -> None:
        """There is room for two. The log says what was learnt."""
        self._tables = [*self._tables, table][-2:]
        with (self._folder / "learnt").open("a") as log:
            log.write(f"{table.digest} {len(table.words)}\n")

    def lacks(self, job: Job) -> list[str]:
        named = job.hotwords if isinstance(job, Transcribe) else ()
        return [table.digest for table in named if table not in self._tables]

    def describe(self) -> dict[str, Any]:
        return {"played": {"device": self.device}}


def wait_while(file: Path) -> None:
    while file.exists():
        time.sleep(0.01)


if __name__ == "__main__":
    folder = Path(json.loads(os.environ["XINGJI_WORKER"])["models"]["folder"])
    wait_while(folder / "hold")
    if (folder / "room").exists():
        import torch

        torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 1
    worker.ROLES.update(stream=Played, segment=Played)
    worker.main(sys.argv[1], sys.argv[2])
