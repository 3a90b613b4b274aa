"""Matrix products of an ONNX graph in int8: weights with one scale per column, activations with one per row.

The weights are rounded once; a row of activations is rounded with a scale taken from the row itself. ONNX Runtime's
own dynamic quantisation has one scale per call: it is a quarter faster, rounds more coarsely, and lets a row's
result depend on who shares the batch, which no engine here may do.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model``, changed in place: every product of a matrix of activations and one of weights is done in int8."""

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
