"""Qwen3-ASR embedded against Qwen3-ASR over HTTP: the same recordings through both, one Markdown report.

``python -m tools.compare_qwen3 --model qwen3-asr-1.7b --host 127.0.0.1 --port 8001`` on a machine with a GPU: the
embedded one is started as the server would start it (``QWEN3_ASR_PYTHON``, ``QWEN3_ASR_GPU_SHARE``, weights where
``download_models.py`` puts them), the other is asked where it is. Both on one GPU need shares that add up to less
than 1. First one recording at a time, then all of them at once. Exit status 1 if a recording was not answered.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from statistics import median

import numpy as np

from tests.support import RATE, SPEECH, read_wav
from xingji.backends import embedded
from xingji.core.messages import NoSpeech, Result, Transcribe
from xingji.core.scoring import cer
from xingji.core.types import Hypothesis
from xingji.engines.qwen3_asr import Qwen3Asr
from xingji.runtime.metrics import Metrics
from xingji.runtime.models import ModelsMissing
from xingji.runtime.recognisers import Place
from xingji.runtime.registry import RegistryError, read
from xingji.settings import Settings

TOGETHER = 32  # segments at a time in the second part

Ask = Callable[[Transcribe], Result]


def measured(ask: Ask, jobs: Sequence[Transcribe]) -> tuple[list[Result], list[float], float]:
    """The answers, the milliseconds of each alone, and the seconds that all of them take at once."""
    answers, alone = [], []
    for job in jobs:
        begun = time.perf_counter()
        answers.append(ask(job))
        alone.append((time.perf_counter() - begun) * 1000)
    begun = time.perf_counter()
    with ThreadPoolExecutor(TOGETHER) as threads:
        list(threads.map(ask, jobs))
    return answers, alone, time.perf_counter() - begun


def report(clips: Sequence[Path], ways: dict[str, Ask]) -> tuple[list[str], bool]:
    """The lines of the report, and whether every recording was answered both ways."""
    jobs = [Transcribe(n, np.frombuffer(read_wav(clip), "<i2"), "auto", True) for n, clip in enumerate(clips)]
    seconds = sum(len(job.samples) for job in jobs) / RATE
    lines = [
        f"{len(jobs)} recordings, {seconds:.1f} s",
        "",
        "| way | answered | alone p50 ms | alone longest ms | all at once, s of audio per s |",
        "|---|--:|--:|--:|--:|",
    ]
    texts: dict[str, list[str]] = {}
    complete = True
    for name, ask in ways.items():
        answers, alone, together = measured(ask, jobs)
        answered = sum(isinstance(answer, Hypothesis | NoSpeech) for answer in answers)
        complete = complete and answered == len(jobs)
        texts[name] = [answer.text if isinstance(answer, Hypothesis) else "" for answer in answers]
        lines.append(f"| {name} | {answered} | {median(alone):.0f} | {max(alone):.0f} | {seconds / together:.0f} |")
    one, other = texts.values()
    same = sum(a == b for a, b in zip(one, other, strict=True))
    apart = cer(zip(one, other, strict=True))
    lines += ["", f"The same text: {same} of {len(jobs)}; characters that differ: {apart:.2%}"]
    return lines, complete


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen3-asr-1.7b")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--clips", type=Path, default=SPEECH, help="a folder of 16 kHz mono wav files")
    chosen = parser.parse_args()
    settings, registry = Settings(qwen3_asr_embedded=(chosen.model,)), read()
    worker = embedded(settings, registry, Metrics())[chosen.model]()
    http = Qwen3Asr(
        Place(chosen.host, chosen.port).url,
        str(registry.entries[chosen.model].models.offline),
        api_key=settings.qwen3_vllm_api_key,
        timeout_s=60.0,
        connections=TOGETHER,
    )

    def ask_worker(job: Transcribe) -> Result:
        answers: Queue[Result] = Queue()
        worker.submit(job.segment, job, answers.put)
        return answers.get()

    try:
        if not _ready(worker.ready, lambda: worker.hopeless, settings.start_timeout_s):
            print("the embedded model does not start; its process has said why", file=sys.stderr)
            return 1
        lines, complete = report(sorted(chosen.clips.glob("*.wav")), {"embedded": ask_worker, "HTTP": http.transcribe})
    finally:
        worker.close()
        http.close()
    print("\n".join(lines))
    return 0 if complete else 1


def _ready(ready: threading.Event, hopeless: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (ready.wait(0.2) or hopeless() or time.monotonic() > deadline):
        pass
    return ready.is_set()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RegistryError, ModelsMissing) as error:
        sys.exit(str(error))
