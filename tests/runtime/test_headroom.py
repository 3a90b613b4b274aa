"""How many live recordings the workers hold, by what they cost and by how late texts are."""

import pytest

from xingji.runtime.headroom import FEW, LATE_S, WINDOW_S, Costs, Headroom

STREAM, SEGMENT = {"detect": 0.005, "decode": 0.045}, {"transcribe": 0.025}


@pytest.mark.parametrize(
    ("load", "costs", "capacity"),
    [
        (0.8, {"stream": [STREAM], "segment": [SEGMENT]}, 16),  # a twentieth of a worker each
        (0.8, {"stream": [STREAM, STREAM], "segment": [SEGMENT]}, 32),
        (0.8, {"stream": [STREAM] * 4, "segment": [SEGMENT]}, 32),  # now the second pass is what is full
        (0.8, {"stream": [{"detect": 0.2, "decode": 3.0}], "segment": [SEGMENT]}, 1),  # slow, but one may try
        (0.8, {"stream": [], "segment": []}, None),
        (0.8, {"stream": [{}], "segment": [{}]}, None),  # not measured yet
        (0.8, {"stream": [STREAM], "segment": [{}]}, 16),
        (0.0, {"stream": [STREAM], "segment": [SEGMENT]}, None),
    ],
)
def test_capacity_is_what_fits_into_the_fullest_role(load: float, costs: Costs, capacity: int | None) -> None:
    assert Headroom(load).capacity(costs) == capacity


def test_there_is_room_up_to_the_capacity() -> None:
    headroom, costs = Headroom(0.8), {"stream": [STREAM], "segment": [SEGMENT]}
    assert headroom.room(15, costs) and not headroom.room(16, costs)
    assert headroom.room(1000, {}), "what is not measured refuses nobody"
    assert Headroom(0.0).room(1000, costs)


def test_lag_counts_while_it_is_recent() -> None:
    now = [100.0]
    headroom = Headroom(0.8, lambda: now[0])
    for _ in range(FEW - 1):
        headroom.waited(2 * LATE_S)
    assert headroom.lag_s == 0.0 and headroom.room(0, {}), "a few texts say nothing"
    headroom.waited(2 * LATE_S)
    assert headroom.lag_s == 2 * LATE_S and not headroom.room(0, {})
    for _ in range(20 * FEW):
        headroom.waited(0.1)
    assert headroom.lag_s == 0.1 and headroom.room(0, {}), "one in twenty may be late"
    now[0] += WINDOW_S + 1
    assert headroom.lag_s == 0.0


def test_lag_refuses_nobody_where_nothing_is_planned() -> None:
    headroom = Headroom(0.0)
    for _ in range(FEW):
        headroom.waited(9.0)
    assert headroom.room(5, {})
