"""What one call of each engine costs, alone and in company, as a Markdown table.

``python -m tools.bench_engines MODELS [--batches 1 2 4 8 16]`` runs the engines of a model directory (of
``tools.fullsize``, say) in this process, on one thread, on noise: processor milliseconds per stream, median of
the calls after the first few. ``stock`` is funasr's own call for one stream, which cannot take more.
``--precision`` torch (and then ``stock`` is measured too), float32 or int8, with the graphs that
``download_models.py --optimize`` wrote.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from xingji.core.messages import Decode, Detect, Transcribe
from xingji.core.types import SAMPLE_RATE, Samples
from xingji.engines.fsmn_vad import Fsmn
from xingji.engines.graphs import PRECISIONS
from xingji.engines.paraformer import StreamingParaformer
from xingji.engines.sensevoice import SenseVoice

HOP, CHUNK = SAMPLE_RATE // 10, SAMPLE_RATE * 6 // 10
SEGMENT = 5 * SAMPLE_RATE
CALLS, SETTLING = 10, 4  # look-back is full after four chunks


def noise(samples: int, seed: int) -> Samples:
    return np.random.default_rng(seed).integers(-3000, 3000, samples).astype(np.int16)


def cost_ms(call: Callable[[int], object], calls: int = CALLS, settling: int = SETTLING) -> float:
    """Median processor time of ``call(number)``."""
    spent = []
    for number in range(calls):
        began = time.process_time()
        call(number)
        spent.append(time.process_time() - began)
    return statistics.median(spent[settling:]) * 1000


def detection(engine: Fsmn, batch: int) -> float:
    states = [engine.open() for _ in range(batch)]

    def call(number: int) -> object:
        at = number * HOP
        return engine.detect(
            [(s, Detect(noise(HOP, i), at, at == 0, False, 12_800, HOP)) for i, s in enumerate(states)]
        )

    return cost_ms(call)


def streaming(engine: StreamingParaformer, batch: int) -> float:
    states = [engine.open() for _ in range(batch)]

    def call(number: int) -> object:
        at = number * CHUNK
        jobs = [Decode(0, noise(CHUNK, seed), at, False, CHUNK, True) for seed in range(batch)]
        return engine.decode(list(zip(states, jobs, strict=True)))

    return cost_ms(call)


def stock_streaming(path: Path) -> float:
    from funasr import AutoModel

    with redirect_stdout(io.StringIO()):
        auto = AutoModel(model=str(path), device="cpu", ncpu=1, disable_update=True, disable_pbar=True)
    cache: dict[str, Any] = {}
    options = {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1, "ncpu": 1}

    def call(number: int) -> object:
        with redirect_stdout(io.StringIO()):
            return auto.generate(noise(CHUNK, number) / np.float32(32_768), cache=cache, is_final=False, **options)

    return cost_ms(call)


def second_pass(engine: SenseVoice, batch: int) -> float:
    items = [Transcribe(0, noise(SEGMENT, i), "auto", True) for i in range(batch)]
    return cost_ms(lambda _: engine.transcribe(items), calls=3, settling=1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench_engines", description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--precision", choices=("torch", *PRECISIONS), default="torch")
    options = parser.parse_args(arguments)
    print("| engine | audio | stock | " + " | ".join(f"batch {n}" for n in options.batches) + " |")
    print("|---|---|--:|" + "--:|" * len(options.batches))
    vad = Fsmn(options.models / "vad", "cpu", options.precision)
    row("FSMN-VAD", "100 ms", None, lambda n: detection(vad, n), options.batches)
    paraformer = StreamingParaformer(options.models / "paraformer", "cpu", options.precision)
    stock = stock_streaming(options.models / "paraformer") if options.precision == "torch" else None
    row("streaming Paraformer", "600 ms", stock, lambda n: streaming(paraformer, n), options.batches)
    sensevoice = SenseVoice(options.models / "sensevoice", "cpu", options.precision)
    row("SenseVoice", "5 s", None, lambda n: second_pass(sensevoice, n), options.batches)


def row(name: str, audio: str, stock: float | None, cost: Callable[[int], float], batches: Sequence[int]) -> None:
    cells = [f"{cost(n) / n:.1f}" for n in batches]
    print(f"| {name} | {audio} | {'' if stock is None else f'{stock:.1f}'} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
