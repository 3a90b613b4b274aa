"""Networks exported to ONNX, and ONNX Runtime to run them on the CPU.

``export`` writes a network (see ``networks``) as a graph, in float32 or with its matrix products in int8;
``Graph`` runs one where the network itself would run. A model's graphs lie beside its weights, in a folder for each
precision, with a listing that names the weights they were made from: where those have changed since, the
graphs count as absent.

In int8 the weights have one scale per column, rounded once, and the activations one scale per row, taken from the
row itself. ONNX Runtime's own dynamic quantisation has one scale per call: it is a quarter faster, rounds more
coarsely, and lets a row's result depend on who shares the batch, which no engine here may do.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

Precision = Literal["float32", "int8"]
Axes = Mapping[str, Mapping[int, str]]
"""For every input and output, which of its axes vary, and a name for the length of each."""

PRECISIONS: tuple[Precision, ...] = ("int8", "float32")
"""From the fastest on."""

_OPSET = 17
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
        import onnxruntime

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


def export(network: nn.Module, example: Sequence[Tensor], axes: Axes, outputs: int, path: Path, how: Precision) -> None:
    """Write ``network`` to ``path``. ``axes`` lists its inputs, then its ``outputs`` outputs, in their order."""
    import onnx

    names = list(axes)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing, and of a newer exporter that needs more packages
        torch.onnx.export(
            network.eval(),
            tuple(example),
            str(path),
            input_names=names[:-outputs],
            output_names=names[-outputs:],
            dynamic_axes={name: dict(varying) for name, varying in axes.items()},
            opset_version=_OPSET,
            dynamo=False,
        )
    if how == "int8":
        onnx.save(_quantised(onnx.load(path)), path)


def _quantised(model: Any) -> Any:
    """The graph with every product of a matrix of activations and one of weights done in int8."""
    from onnx import numpy_helper

    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    constants: dict[str, Any] = {
        "row_middle": np.array([128], np.uint8),
        "middle": np.array(128, np.uint8),
        "zero": np.array(0, np.int8),
        "one": np.array(1, np.float32),
        "steps": np.array(127, np.float32),
        "smallest": np.array(1e-12, np.float32),
        "last": np.array([-1], np.int64),
        "first": np.array([0], np.int64),
        "columns": np.array([1], np.int64),
    }
    nodes: list[Any] = []
    added = [numpy_helper.from_array(np.asarray(value), f"int8.{name}") for name, value in constants.items()]
    replaced = set()
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        # The counter's sum decides where a token is; it is one column, and stays exact.
        if weight is None or weight.dims[1] == 1:
            nodes.append(node)
            continue
        replaced.add(weight.name)
        array = numpy_helper.to_array(weight)
        scale = np.maximum(np.abs(array).max(axis=0), 1e-12) / 127
        added += [
            numpy_helper.from_array(np.round(array / scale).astype(np.int8), f"{weight.name}.int8"),
            numpy_helper.from_array(scale.astype(np.float32), f"{weight.name}.scale"),
            numpy_helper.from_array(np.array([-1, array.shape[0]], np.int64), f"{weight.name}.rows"),
            numpy_helper.from_array(np.array([array.shape[1]], np.int64), f"{weight.name}.width"),
        ]
        nodes += _product(node.input[0], weight.name, node.output[0])
    kept = [tensor for tensor in graph.initializer if tensor.name not in replaced]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *added])
    model.opset_import.add(domain="com.microsoft", version=1)
    return model


def _product(x: str, weight: str, y: str) -> list[Any]:
    """``y = x @ weight``: each row of ``x`` is divided by its own largest value and rounded to int8."""
    from onnx import helper

    def node(kind: str, inputs: list[str], output: str, **options: Any) -> Any:
        return helper.make_node(kind, inputs, [output], **options)

    at = f"{y}.int8."
    return [
        node("Reshape", [x, f"{weight}.rows"], at + "x"),
        node("Abs", [at + "x"], at + "size"),
        node("ReduceMax", [at + "size"], at + "largest", axes=[1], keepdims=0),
        node("Max", [at + "largest", "int8.smallest"], at + "range"),
        node("Div", [at + "range", "int8.steps"], at + "step"),
        node("Shape", [at + "step"], at + "count"),
        node("Expand", ["int8.row_middle", at + "count"], at + "middles"),
        node("QuantizeLinear", [at + "x", at + "step", at + "middles"], at + "rounded", axis=0),
        node(
            "MatMulIntegerToFloat",
            [at + "rounded", f"{weight}.int8", "int8.one", f"{weight}.scale", "int8.middle", "int8.zero"],
            at + "product",
            domain="com.microsoft",
        ),
        node("Unsqueeze", [at + "step", "int8.columns"], at + "steps"),
        node("Mul", [at + "product", at + "steps"], at + "y"),
        node("Shape", [x], at + "shape"),
        node("Slice", [at + "shape", "int8.first", "int8.last"], at + "before"),
        node("Concat", [at + "before", f"{weight}.width"], at + "after", axis=0),
        node("Reshape", [at + "y", at + "after"], y),
    ]
