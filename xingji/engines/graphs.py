"""Networks exported to ONNX (see ``export``), and ONNX Runtime to run them on the CPU in a network's place.

A model's graphs lie beside its weights, in a folder for each precision, with a listing that names the weights they
were made from: where those have changed since, the graphs count as absent.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnxruntime
import torch
from torch import Tensor

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("int8", "float32")
"""From the fastest on."""

_LISTING = "graphs.json"
_FORMAT = 1  # of the graphs and their listing; others are not looked at


@dataclass(frozen=True, slots=True)
class Graphs:
    """The graphs of one model in one precision. They run on the CPU."""

    precision: Precision
    folder: Path

    def open(self, name: str) -> "Graph":
        return Graph(self.folder / f"{name}.onnx")

    @property
    def size(self) -> int:
        return sum(file.stat().st_size for file in self.folder.glob("*.onnx"))


def find(weights: Path, precision: Precision) -> Graphs | None:
    """The graphs made from the file ``weights``, if they are all there and it has not changed since."""
    folder = _folder(weights, precision)
    try:
        listing = json.loads((folder / _LISTING).read_text("utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in listing["graphs"].items())
        fits = listing["format"] == _FORMAT and listing["weights"] == _identity(weights)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return Graphs(precision, folder) if whole and fits else None


def write(weights: Path, precision: Precision, fill: Callable[[Path], None]) -> Graphs:
    """Have ``fill`` export into a new folder, then put that in the place of what was there."""
    folder = _folder(weights, precision)
    stage = folder.with_name(f".{folder.name}")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    fill(stage)
    sizes = {file.name: file.stat().st_size for file in sorted(stage.iterdir())}
    listing = {"format": _FORMAT, "weights": _identity(weights), "graphs": sizes}
    (stage / _LISTING).write_text(json.dumps(listing, indent=1) + "\n", "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(stage, folder)
    return Graphs(precision, folder)


def _folder(weights: Path, precision: Precision) -> Path:
    return weights.parent / "graphs" / precision


def _identity(weights: Path) -> dict[str, int | str]:
    """Cheap to ask at every start; a file put there anew has another time."""
    about = weights.stat()
    return {"name": weights.name, "size": about.st_size, "modified_ns": about.st_mtime_ns}


class Graph:
    """One exported network; takes and gives tensors of the CPU. Use from one thread."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Two threads gain nothing here, and threads that spin take the core from the other worker.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._names = [node.name for node in self._session.get_inputs()]

    def __call__(self, *inputs: Tensor) -> Any:
        """What the network's ``forward`` gives for the same inputs."""
        fed = {name: tensor.numpy() for name, tensor in zip(self._names, inputs, strict=True)}
        outputs = tuple(torch.from_numpy(array) for array in self._session.run(None, fed))
        return outputs if len(outputs) > 1 else outputs[0]
