"""The server, with recognisers that hear people hesitate: what they write begins with 嗯，.

``python hesitant_server.py FOLDER`` serves as ``asr_api_server.py`` does; its workers run this script again. A second
pass in Japanese writes one word over and over. The models are the real ones.
"""

import runpy
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOP = "谢谢" * 30


def serve(folder: Path) -> None:
    """Start workers by a script of the folder instead of by Python."""
    script = folder / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'[ "$2" = xingji.runtime.worker ] || exec "{sys.executable}" "$@"\n'
        f'shift 2\nexec "{sys.executable}" "{__file__}" worker "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    sys.path.insert(0, str(ROOT))
    sys.executable = str(script)
    runpy.run_path(str(ROOT / "asr_api_server.py"), run_name="__main__")


def work(role: str, address: str) -> None:
    sys.path.insert(0, str(ROOT))
    from xingji.core.messages import Result, Transcribe
    from xingji.core.types import Hypothesis
    from xingji.runtime import roles, worker
    from xingji.runtime.batch import Request

    def hesitating(request: Request, result: Result) -> Result:
        if not isinstance(result, Hypothesis) or not result.text:
            return result
        if isinstance(request.job, Transcribe) and request.job.language == "ja":
            return Hypothesis(LOOP)
        stable = result.stable + 2 if result.stable else 0
        return replace(result, text=f"嗯，{result.text}", bare=f"嗯{result.bare}", stable=stable)

    class Stream(roles.StreamRole):
        def answer(self, batch: Sequence[Request]) -> list[Result]:
            return [hesitating(*pair) for pair in zip(batch, roles.StreamRole.answer(self, batch), strict=True)]

    class Segment(roles.SegmentRole):
        def answer(self, batch: Sequence[Request]) -> list[Result]:
            return [hesitating(*pair) for pair in zip(batch, roles.SegmentRole.answer(self, batch), strict=True)]

    worker.ROLES.update(stream=Stream, segment=Segment)
    worker.main(role, address)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work(*sys.argv[2:])
    else:
        serve(Path(sys.argv[1]))
