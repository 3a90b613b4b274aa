"""Matrix products of an ONNX graph in int8: weights with one scale per column, activations with one per row.

The weights are rounded once; a row of activations is rounded with a scale taken from the row itself. ONNX Runtime's
own dynamic quantisation has one scale per call: it rounds more coarsely and lets a row's result depend on who shares
the batch, which no engine here may do.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_CONSTANTS: dict[str, Any] = {
    "middle": np.array(128, np.uint8),
    "bottom": np.array(0, np.uint8),
    "zero": np.array(0, np.int8),
    "one": np.array(1, np.float32),
    "of_half": np.array(1 / 127, np.float32),  # of the range of a byte, for what has both signs
    "of_all": np.array(1 / 255, np.float32),
    "smallest": np.array(1e-12, np.float32),
}


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model``, changed in place: every product of a matrix of activations and one of weights is done in int8."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    positive = {node.output[0] for node in graph.node if node.op_type == "Relu"}
    nodes: list[Any] = []
    added = [numpy_helper.from_array(value, f"int8.{name}") for name, value in _CONSTANTS.items()]
    rounded: set[str] = set()  # activations that are there in int8 already: several products share them
    replaced: set[str] = set()
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        # The counter's sum decides where a token is; it is one column, and stays exact.
        if weight is None or weight.dims[1] == 1:
            nodes.append(node)
            continue
        x = node.input[0]
        if x not in rounded:
            rounded.add(x)
            nodes += _rounding(x, x in positive)
        replaced.add(weight.name)
        added += _weight(weight, 255 if x in positive else 127)
        nodes += _product(x, x in positive, weight.name, node.output[0])
    kept = [tensor for tensor in graph.initializer if tensor.name not in replaced]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *added])
    model.opset_import.add(domain="com.microsoft", version=1)
    return model


def _weight(weight: Any, steps: int) -> Iterator[Any]:
    """A matrix in int8 and the scale of each column, for activations in so many steps of their largest."""
    array = numpy_helper.to_array(weight)
    scale = np.maximum(np.abs(array).max(axis=0), 1e-12) / 127
    yield numpy_helper.from_array(np.round(array / scale).astype(np.int8), f"{weight.name}.int8")
    yield numpy_helper.from_array((scale / steps).astype(np.float32), f"{weight.name}.scale")


def _rounding(x: str, positive: bool) -> Iterator[Any]:
    """``x`` in bytes, each row divided by its own largest value; where nothing is negative, with all of a byte."""
    if not positive:
        yield _node("Abs", [x], f"{x}.size")
    yield _node("ReduceMax", [x if positive else f"{x}.size"], f"{x}.exact_largest", axes=[-1], keepdims=1)
    yield _node("Max", [f"{x}.exact_largest", "int8.smallest"], f"{x}.largest")
    yield _node("Reciprocal", [f"{x}.largest"], f"{x}.inverse")  # of a few rows, where dividing would be of all x
    yield _node("Mul", [x, f"{x}.inverse"], f"{x}.share")
    # With one scale for all: a scale for each row takes ONNX Runtime's slow way.
    yield _node(
        "QuantizeLinear", [f"{x}.share", "int8.of_all" if positive else "int8.of_half", _zero(positive)], f"{x}.int8"
    )


def _product(x: str, positive: bool, weight: str, y: str) -> Iterator[Any]:
    scales = ["int8.one", f"{weight}.scale", _zero(positive), "int8.zero"]
    inputs = [f"{x}.int8", f"{weight}.int8", *scales]
    yield _node("MatMulIntegerToFloat", inputs, f"{y}.share", domain="com.microsoft")
    yield _node("Mul", [f"{y}.share", f"{x}.largest"], y)


def _zero(positive: bool) -> str:
    return "int8.bottom" if positive else "int8.middle"


def _node(kind: str, inputs: list[str], output: str, **options: Any) -> Any:
    return helper.make_node(kind, inputs, [output], **options)
