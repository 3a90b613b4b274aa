"""Products in int8: close to float32, every row for itself, and nothing odd where a row is empty or all negative."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from xingji.engines.quantise import quantise

WIDTH, HIDDEN = 8, 16
rows = arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(WIDTH)), elements=st.floats(-9, 9, width=32))
Rows = NDArray[np.float32]


def model() -> onnx.ModelProto:
    """A feed-forward block: a product, ReLU, a product with its weights the other way round and a bias."""
    chance = np.random.default_rng(1)
    constants = {
        "inner": chance.normal(size=(WIDTH, HIDDEN)),
        "bias": chance.normal(size=WIDTH),
        "outer": chance.normal(size=(WIDTH, HIDDEN)),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "inner"], ["h"]),
        helper.make_node("Relu", ["h"], ["positive"]),
        helper.make_node("Gemm", ["positive", "outer", "bias"], ["y"], transB=1),
    ]
    shapes = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", HIDDEN]) for name in "h"}
    shapes["positive"] = helper.make_tensor_value_info("positive", TensorProto.FLOAT, ["rows", HIDDEN])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", WIDTH]) for name in "xy"]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "block", ends[:1], ends[1:], tensors, value_info=list(shapes.values()))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def session(graph: onnx.ModelProto) -> Any:
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exact() -> Any:
    return session(model())


@pytest.fixture(scope="module")
def rounded() -> Any:
    return session(quantise(model()))


def run(runs: Any, x: Rows) -> Rows:
    (y,) = runs.run(None, {"x": x})
    answer: Rows = y
    return answer


def test_the_products_are_in_int8() -> None:
    kinds = [node.op_type for node in quantise(model()).graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 2
    assert {"MatMul", "Gemm", "Relu"}.isdisjoint(kinds)  # rounding does what ReLU did


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows)
def test_close_to_float32_and_every_row_for_itself(exact: Any, rounded: Any, x: Rows) -> None:
    ours, theirs = run(rounded, x), run(exact, x)
    assert np.isfinite(ours).all()
    for row, wanted, own in zip(x, theirs, ours, strict=True):
        assert np.abs(own - wanted).max() <= 0.3 * np.abs(row).max() + 1e-5
        assert np.array_equal(run(rounded, row[None])[0], own)


def test_where_nothing_is_left_there_is_the_bias(exact: Any, rounded: Any) -> None:
    inner = numpy_helper.to_array(model().graph.initializer[0])
    negative = -np.linalg.pinv(inner.T) @ np.ones(HIDDEN)  # least squares: as many negative as can be
    for x in (np.zeros((2, WIDTH), np.float32), negative.astype(np.float32)[None]):
        assert np.abs(run(rounded, x) - run(exact, x)).max() <= 0.05
