"""What one call of each engine costs, alone and in company, as a Markdown table.

``python -m tools.bench_engines MODELS [--batches 1 2 4 8 16]`` runs the engines of a model directory (of
``tools.fullsize``, say) in this process, on one thread, on noise: processor milliseconds per stream, median of
the calls after the first few. ``stock`` is funasr's own call for one stream, which cannot take more.
``--precision`` torch (and then ``stock`` is measured too), float32 or int8, with the graphs that
``download_models.py --optimize`` wrote. With ``--device cuda`` it is the time that passes, since the processor waits;
the table is what ``python -m tools.bench --gpu-costs`` reckons with.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
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


Call = Callable[[int], object]


def cost_ms(call: Call, clock: Callable[[], float], calls: int = CALLS, settling: int = SETTLING) -> float:
    """Median time of ``call(number)`` after the first few."""
    spent = []
    for number in range(calls):
        began = clock()
        call(number)
        spent.append(clock() - began)
    return statistics.median(spent[settling:]) * 1000


def detection(engine: Fsmn, batch: int) -> Call:
    states = [engine.open() for _ in range(batch)]

    def call(number: int) -> object:
        at = number * HOP
        return engine.detect(
            [(s, Detect(noise(HOP, i), at, at == 0, False, 12_800, HOP)) for i, s in enumerate(states)]
        )

    return call


def streaming(engine: StreamingParaformer, batch: int) -> Call:
    states = [engine.open() for _ in range(batch)]

    def call(number: int) -> object:
        at = number * CHUNK
        jobs = [Decode(0, noise(CHUNK, seed), at, False, CHUNK, True) for seed in range(batch)]
        return engine.decode(list(zip(states, jobs, strict=True)))

    return call


def stock_streaming(path: Path) -> Call:
    from funasr import AutoModel

    with redirect_stdout(io.StringIO()):
        auto = AutoModel(model=str(path), device="cpu", ncpu=1, disable_update=True, disable_pbar=True)
    cache: dict[str, Any] = {}
    options = {"chunk_size": [0, 10, 5], "encoder_chunk_look_back": 4, "decoder_chunk_look_back": 1, "ncpu": 1}

    def call(number: int) -> object:
        with redirect_stdout(io.StringIO()):
            return auto.generate(noise(CHUNK, number) / np.float32(32_768), cache=cache, is_final=False, **options)

    return call


def second_pass(engine: SenseVoice, batch: int) -> Call:
    items = [Transcribe(0, noise(SEGMENT, i), "auto", True) for i in range(batch)]
    return lambda _: engine.transcribe(items)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench_engines", description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--precision", choices=("auto", "torch", *PRECISIONS), help="default: torch, on cuda auto")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    options = parser.parse_args(arguments)
    on_cpu = options.device == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    how = options.device, options.precision or ("torch" if on_cpu else "auto")
    print("| engine | audio | stock | " + " | ".join(f"batch {n}" for n in options.batches) + " |")
    print("|---|---|--:|" + "--:|" * len(options.batches))
    vad = Fsmn(options.models / "vad", *how)
    row("FSMN-VAD", "100 ms", None, {n: cost_ms(detection(vad, n), clock) for n in options.batches})
    paraformer = StreamingParaformer(options.models / "paraformer", *how)
    stock = cost_ms(stock_streaming(options.models / "paraformer"), clock) if how == ("cpu", "torch") else None
    row("streaming Paraformer", "600 ms", stock, {n: cost_ms(streaming(paraformer, n), clock) for n in options.batches})
    sensevoice = SenseVoice(options.models / "sensevoice", *how)
    row("SenseVoice", "5 s", None, {n: cost_ms(second_pass(sensevoice, n), clock, 3, 1) for n in options.batches})


def row(name: str, audio: str, stock: float | None, costs: Mapping[int, float]) -> None:
    cells = [f"{cost / n:.2f}" for n, cost in costs.items()]
    print(f"| {name} | {audio} | {'' if stock is None else f'{stock:.1f}'} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
