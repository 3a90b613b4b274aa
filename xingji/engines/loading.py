"""Choose what computes a model's networks, and load it: graphs in ONNX Runtime where there are any, else torch.

With graphs neither torch nor funasr is imported, and the weights are not opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xingji.core.types import Samples
from xingji.engines import Choice, Description, graphs
from xingji.engines.directory import Directory, read

Native = Any
"""An array where a network computes: of numpy on the CPU, or a tensor on the device."""


class Network(Protocol):
    """One forward pass over a whole batch (see ``networks`` for what goes in and comes out)."""

    def __call__(self, *inputs: Native) -> Any:
        """Numpy arrays or native ones in, native ones out: a tuple where the network has several results."""

    def zeros(self, *shape: int) -> Native:
        """Memory for what a stream looks back on. It stays where the network computes."""

    def stacked(self, kept: Sequence[Native]) -> Native:
        """``(n, …)`` of every row to ``(n, rows, …)``; good until the next call."""

    def fetched(self, result: Native) -> Any:
        """As a numpy array."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model ready to compute."""

    directory: Directory
    networks: Mapping[str, Network]
    tables: Mapping[str, Any]  # float32 arrays that networks do not hold: the embedding of words
    about: Description


def load(path: Path, device: str, kind: str, precision: str = "auto") -> Loaded:
    """Load the model of class ``kind`` from ``path`` onto ``device`` ("cpu", "cuda:0").

    ``precision``: auto (the fastest graphs that are there, else torch), torch, or float32 or int8 graphs, where
    float32 falls back on torch. Graphs are for the CPU; on another device torch computes, on CUDA in float16 where
    ``precision`` is auto.

    Raises EngineError; its text names the directory's last part only.
    """
    directory = read(path, kind)
    if device == "cpu" and (found := _graphs(directory, precision)):
        tables = {file.stem: found.table(file.stem) for file in found.folder.glob("*.npy")}
        choice: Choice = "fastest_graphs" if precision == "auto" else "asked"
        about = Description(kind, found.parameters, found.size, device, f"onnxruntime {found.precision}", choice)
        return Loaded(directory, found.open(), tables, about)
    from xingji.engines import stock
    from xingji.engines.networks import NETWORKS, TABLES

    model = stock.load(directory, device)
    half = _in_half(device, kind, precision)
    networks = {name: stock.TorchNetwork(network(model), device, half) for name, network in NETWORKS[kind].items()}
    tables = {name: table(model).detach().cpu().numpy() for name, table in TABLES.get(kind, {}).items()}
    choice = "not_on_cpu" if device != "cpu" else "asked" if precision == "torch" else "no_graphs"
    size = directory.weights.stat().st_size
    about = Description(kind, parameters(model), size, device, f"torch {'float16' if half else 'float32'}", choice)
    return Loaded(directory, networks, tables, about)


def _in_half(device: str, kind: str, precision: str) -> bool:
    """Are products in float16? Where that is twice as fast and the model is large enough to gain."""
    return device.startswith("cuda") and precision == "auto" and not graphs.exact(kind)


def parameters(model: Any) -> int:
    return sum(tensor.numel() for tensor in model.parameters())


def _graphs(directory: Directory, precision: str) -> graphs.Graphs | None:
    if precision == "torch":
        return None
    allowed = graphs.precisions(directory.kind, precision)
    for name in allowed:
        if found := graphs.find(directory.weights, name):
            return found
    if allowed == ("int8",):
        raise directory.error("no int8 graphs; run python download_models.py --optimize")
    return None


def steps(samples: Samples, size: int, last: bool) -> list[tuple[Samples, bool]]:
    """A job's samples step by step, and whether a step is the stream's last. What is left over after whole steps,
    be it nothing, is the last one where ``last``; else there must be nothing left over."""
    whole = len(samples) - len(samples) % size
    cut = [(samples[start : start + size], False) for start in range(0, whole, size)]
    return [*cut, (samples[whole:], True)] if last else cut


def padded(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(n, F) each, to (B, longest, F), zero where a row has ended."""
    whole = np.zeros((len(rows), max(len(row) for row in rows), rows[0].shape[1]), rows[0].dtype)
    for place, row in zip(whole, rows, strict=True):
        place[: len(row)] = row
    return whole
