"""Matrix products of an ONNX graph in int8: weights with one scale per column, activations with one per row.

The weights are rounded once; a row of activations is rounded with a scale taken from the row itself. ONNX Runtime's
own dynamic quantisation has one scale per call: it rounds more coarsely and lets a row's result depend on who shares
the batch, which no engine here may do.
"""

from collections.abc import Mapping, Sequence
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
    "column": np.array([-1, 1], np.int64),
}


def quantise(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model``, changed in place: every product of a matrix of activations and one of weights is done in int8. The
    shapes of all that is between must be written in it."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    unclipped = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Relu"}
    shapes = {about.name: about.type.tensor_type.shape.dim for about in (*graph.input, *graph.value_info)}
    rows = {name: shape[0].dim_param for name, shape in shapes.items() if len(shape) == 2}
    new = _Graph()
    for node in graph.node:
        weight = _matrix(node, weights)
        # The counter's sum decides where a token is; it is one column, and stays exact.
        if weight is None or weight.shape[1] == 1:
            new.nodes.append(node)
            continue
        x, matrix, *bias = node.input
        new.round(x, unclipped.get(x), rows[x], weight.shape[0])
        new.weigh(matrix, weight)
        new.multiply(x, x in unclipped, matrix, node.output[0], bias, rows[x], weight.shape[1])
    used = {name for node in new.nodes for name in node.input} | {output.name for output in graph.output}
    nodes = [node for node in new.nodes if node.op_type != "Relu" or node.output[0] in used]
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *new.constants.values()])
    graph.value_info.extend(new.shapes)
    model.opset_import.add(domain="com.microsoft", version=1)
    return model


def _matrix(node: Any, weights: Mapping[str, Any]) -> Any:
    """The weights that ``node`` multiplies rows of activations with, a column for each number of the result; None
    where it does anything else."""
    weight = weights.get(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
    if weight is None:
        return None
    array = numpy_helper.to_array(weight)
    transposed = any(option.name == "transB" and option.i for option in node.attribute)
    return array.T if transposed else array


class _Graph:
    """The nodes of the rounded graph. Shapes are told with them: where ONNX Runtime knows that two are the same, one
    memory does for both, and what was just written is still at hand."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants = {
            f"int8.{name}": numpy_helper.from_array(value, f"int8.{name}") for name, value in _CONSTANTS.items()
        }
        self.shapes: list[Any] = []
        self._done: set[str] = set()  # activations and numbers of rows for which everything is there: many share them

    def weigh(self, name: str, array: Any) -> None:
        """A matrix in int8 and the scale of each column."""
        scale = np.maximum(np.abs(array).max(axis=0), 1e-12) / 127
        rounded = np.ascontiguousarray(np.round(array / scale).astype(np.int8))
        for part, value in (("int8", rounded), ("scale", scale.astype(np.float32))):
            self.constants[f"{name}.{part}"] = numpy_helper.from_array(value, f"{name}.{part}")

    def round(self, x: str, unclipped: str | None, rows: str, columns: int) -> None:
        """``x`` in bytes, each row in steps of its own largest value; where nothing is negative, with all of a byte:
        what is negative before (``unclipped``) becomes zero by that."""
        if x in self._done:
            return
        self._done.add(x)
        if unclipped is None:
            self._node("Abs", [x], f"{x}.size", rows, columns)
        largest = self._node("ReduceMax", [unclipped or f"{x}.size"], f"{x}.exact_largest", rows, axes=[-1], keepdims=0)
        largest = self._node("Max", [largest, "int8.smallest"], f"{x}.largest", rows)
        part = "int8.of_half" if unclipped is None else "int8.of_all"
        step = self._node("Mul", [largest, part], f"{x}.step", rows)
        self._node("Reshape", [step, "int8.column"], f"{x}.steps", rows, 1)
        middle = [] if unclipped else [self._middle(step, rows)]
        kind = onnx.TensorProto.UINT8
        self._node("QuantizeLinear", [unclipped or x, step, *middle], f"{x}.int8", rows, columns, kind=kind, axis=0)

    def multiply(
        self, x: str, positive: bool, weight: str, y: str, bias: Sequence[str], rows: str, columns: int
    ) -> None:
        zeros = ["int8.bottom" if positive else "int8.middle", "int8.zero"]
        inputs = [f"{x}.int8", f"{weight}.int8", "int8.one", f"{weight}.scale", *zeros]
        share = self._node("MatMulIntegerToFloat", inputs, f"{y}.share", rows, columns, domain="com.microsoft")
        exact = self._node("Mul", [share, f"{x}.steps"], f"{y}.exact" if bias else y, rows, columns)
        if bias:
            self._node("Add", [exact, *bias], y, rows, columns)

    def _middle(self, like: str, rows: str) -> str:
        """What zero is in bytes, for each row."""
        name = f"int8.middle.{rows}"
        if name not in self._done:
            self._done.add(name)
            count = self._node("Shape", [like], f"{name}.count", 1, kind=onnx.TensorProto.INT64)
            middle = numpy_helper.from_array(np.array([128], np.uint8))
            self._node("ConstantOfShape", [count], name, rows, kind=onnx.TensorProto.UINT8, value=middle)
        return name

    def _node(
        self,
        op: str,
        inputs: list[str],
        output: str,
        *shape: str | int,
        kind: int = onnx.TensorProto.FLOAT,
        **options: Any,
    ) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **options))
        self.shapes.append(helper.make_tensor_value_info(output, kind, shape))
        return output
