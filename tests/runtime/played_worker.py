"""A real worker process whose model is played. The folder that stands in for a model directory steers it.

``hold``: do not connect while this file is there. ``cannot_load``: the model does not load.
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

from xingji.core.messages import Detect, Result, Transcribe
from xingji.core.types import Hypothesis
from xingji.runtime import worker
from xingji.runtime.batch import Limit, Request


class Played:
    def __init__(self, models: dict[str, Path], device: str) -> None:
        if (models["folder"] / "cannot_load").exists():
            sys.exit(1)
        self.limits: dict[type[Any], Limit] = {Detect: Limit(8)}

    def warm_up(self) -> None: ...

    def answer(self, batch: Sequence[Request]) -> list[Result]:
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

    def describe(self) -> dict[str, Any]:
        return {"played": {"device": "cpu"}}


if __name__ == "__main__":
    folder = Path(json.loads(os.environ["XINGJI_WORKER"])["models"]["folder"])
    while (folder / "hold").exists():
        time.sleep(0.01)
    worker.ROLES.update(stream=Played, segment=Played)
    worker.main(sys.argv[1], sys.argv[2])
