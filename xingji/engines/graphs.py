"""Networks exported to ONNX (see ``export``), and ONNX Runtime to run them on the CPU in a network's place.

A model's graphs lie beside its weights, in a folder for each precision, with a listing that names the weights they
were made from: where those have changed since, the graphs count as absent.
"""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("int8", "float32")
"""From the fastest on."""

_EXACT = ("FsmnVADStreaming", "CTTransformerStreaming")
"""Classes whose networks are so small that rounding gains nothing: their graphs are float32 whatever is asked for."""

_LISTING = "graphs.json"
_FORMAT = 3  # of the graphs and their listing; others are not looked at


def precisions(kind: str, wanted: str) -> tuple[Precision, ...]:
    """Those that a model of class ``kind`` has graphs in and that "auto", or a precision by name, allows."""
    if exact(kind):
        return ("float32",)
    return tuple(name for name in PRECISIONS if wanted in ("auto", name))


def exact(kind: str) -> bool:
    """Does a model of this class stay float32 whatever is asked for?"""
    return kind in _EXACT


@dataclass(frozen=True, slots=True)
class Graphs:
    """The graphs of one model in one precision. They run on the CPU."""

    precision: Precision
    folder: Path
    parameters: int  # of the model that they were made from

    def open(self) -> dict[str, "Graph"]:
        """Each network, by name."""
        return {file.stem: Graph(file) for file in sorted(self.folder.glob("*.onnx"))}

    def table(self, name: str) -> Any:
        """A table of numbers that lies beside the graphs, mapped into memory."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    @property
    def size(self) -> int:
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.name != _LISTING)


def find(weights: Path, precision: Precision) -> Graphs | None:
    """The graphs made from the file ``weights``, if they are all there and it has not changed since."""
    folder = _folder(weights, precision)
    try:
        listing = json.loads((folder / _LISTING).read_text("utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in listing["files"].items())
        fits = listing["format"] == _FORMAT and listing["weights"] == _identity(weights)
        return Graphs(precision, folder, int(listing["parameters"])) if whole and fits else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def write(weights: Path, precision: Precision, parameters: int, fill: Callable[[Path], None]) -> Graphs:
    """Have ``fill`` export into a new folder, then put that in the place of what was there."""
    folder = _folder(weights, precision)
    stage = folder.with_name(f".{folder.name}")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    fill(stage)
    sizes = {file.name: file.stat().st_size for file in sorted(stage.iterdir())}
    listing = {"format": _FORMAT, "weights": _identity(weights), "parameters": parameters, "files": sizes}
    (stage / _LISTING).write_text(json.dumps(listing, indent=1) + "\n", "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(stage, folder)
    return Graphs(precision, folder, parameters)


def _folder(weights: Path, precision: Precision) -> Path:
    return weights.parent / "graphs" / precision


def _identity(weights: Path) -> dict[str, int | str]:
    """Cheap to ask at every start; a file put there anew has another time."""
    about = weights.stat()
    return {"name": weights.name, "size": about.st_size, "modified_ns": about.st_mtime_ns}


class Graph:
    """One exported network on the CPU; a ``Network`` (see ``loading``). Use from one thread."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Two threads gain nothing here, and threads that spin take the core from the other worker.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        inputs = self._session.get_inputs()
        self._names = [node.name for node in inputs]
        # What is looked back on has half the bits where the graph says so.
        self._kept = np.float16 if any(node.type == "tensor(float16)" for node in inputs) else np.float32
        self._room = np.empty(0, self._kept)  # for ``stacked``: memory that is asked for anew costs more than copying

    def __call__(self, *inputs: Any) -> Any:
        outputs = self._session.run(None, dict(zip(self._names, inputs, strict=True)))
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def zeros(self, *shape: int) -> Any:
        return np.zeros(shape, self._kept)

    def stacked(self, kept: Sequence[Any]) -> Any:
        size = len(kept) * kept[0].size
        if self._room.size < size:
            self._room = np.empty(size, self._kept)
        first, *rest = kept[0].shape
        return np.stack(kept, axis=1, out=self._room[:size].reshape(first, len(kept), *rest))

    def fetched(self, result: Any) -> Any:
        return result
