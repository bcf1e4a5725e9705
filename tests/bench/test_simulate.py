"""The simulation against what can be worked out by hand, and the arrivals that it is given."""

import numpy as np
import pytest

from bench.arrivals import arrivals
from bench.simulate import Line, fit, simulate

LINE = Line(turn=0.001, request=0.002, fixed=0.003, per_row=0.004)


def wait(*due: float, connections: int = 64, rows: int = 1, line: Line = LINE) -> list[float]:
    found: list[float] = simulate(
        np.array(due, float), line, connections=connections, rows=rows
    ).tolist()
    return found


def test_a_request_alone_costs_a_turn_a_request_and_a_batch() -> None:
    assert wait(0.0, 5.0) == pytest.approx([0.010, 0.010])


def test_what_comes_during_a_turn_shares_the_next_one() -> None:
    assert wait(0.0, 0.001, 0.009) == pytest.approx([0.010, 0.025, 0.017])


def test_a_burst_is_one_batch() -> None:
    assert wait(1, 1, 1, 1) == pytest.approx([0.001 + 4 * 0.002 + 0.003 + 4 * 0.004] * 4)


def test_more_than_the_connections_wait_for_the_next_turn() -> None:
    assert wait(0, 0, 0, connections=2) == pytest.approx([0.016, 0.016, 0.026])


def test_a_batch_holds_so_many_rows_and_no_more() -> None:
    small = Line(0, 0, fixed=1.0, per_row=0.0, max_rows=8)
    assert wait(0, 0, 0, rows=4, line=small) == pytest.approx([2.0] * 3)


def test_the_fitted_line_gives_back_both_capacities() -> None:
    line = fit(400.0, 2000.0, connections=64, rows=2, calls=(0.0002, 0.0020))
    assert line.capacity(1, 2) == pytest.approx(400)
    assert line.capacity(64, 2) == pytest.approx(2000)
    assert line.fixed + 2 * line.per_row == pytest.approx(0.0002)
    assert line.fixed + 128 * line.per_row == pytest.approx(0.0020)


def test_beyond_the_capacity_the_queue_grows_without_end() -> None:
    capacity = LINE.capacity(64, 1)
    under, over = (
        simulate(arrivals(share * capacity, 60), LINE, connections=64, rows=1)
        for share in (0.9, 1.2)
    )
    assert under.max() < 1
    assert over[-1] > over[len(over) // 2] > 1


@pytest.mark.parametrize("burst", [1, 4, 32])
def test_arrivals_have_their_rate_and_their_bursts(burst: float) -> None:
    due = arrivals(1000, 200, burst)
    assert (np.diff(due) >= 0).all()
    assert len(due) / due[-1] == pytest.approx(1000, rel=0.1)
    assert len(due) / len(np.unique(due)) == pytest.approx(burst, rel=0.1)
    assert np.array_equal(due, arrivals(1000, 200, burst))


def test_there_is_always_one_request() -> None:
    assert len(arrivals(0.1, 1)) == 1
    assert len(arrivals(0.1, 1, burst=5)) >= 1
