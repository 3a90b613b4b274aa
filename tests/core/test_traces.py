"""The session does today what it did when its traces were read and found right.

Where a change is wanted: ``python -m tools.replay --update-traces``, then read the diff.
"""

import pytest

from tests.core.scenarios import SCENARIOS, TRACES, trace


@pytest.mark.parametrize("name", SCENARIOS)
def test_trace(name: str) -> None:
    assert trace(name).splitlines() == (TRACES / f"{name}.trace").read_text("utf-8").splitlines()


def test_no_trace_is_left_over() -> None:
    assert {path.stem for path in TRACES.iterdir()} == set(SCENARIOS)
