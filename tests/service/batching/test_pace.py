"""How long a queue is expected to last."""

import pytest

from service.batching.cost import Cost
from service.batching.pace import CAUTION, QueueEstimator


@pytest.fixture
def pace() -> QueueEstimator:
    return QueueEstimator(
        Cost(fixed=0.001, per_row=0.0001, best_rows=10), batch_rows=10
    )  # 2 ms a batch


def test_rows_take_as_long_as_full_batches(pace: QueueEstimator) -> None:
    assert pace.seconds(30) == pytest.approx(CAUTION * (0.001 + 0.006))
    assert pace.seconds(35) == pytest.approx(CAUTION * (0.001 + 0.007))


def test_the_batch_that_runs_is_waited_for(pace: QueueEstimator) -> None:
    idle = pace.seconds(10)
    pace.begin(10, now=0.0)
    assert pace.seconds(10) - idle == pytest.approx(CAUTION * 0.002)
    pace.end(now=0.002)
    assert pace.seconds(10) == pytest.approx(idle)


def test_what_passes_between_batches_counts_and_is_forgotten_when_it_ends(
    pace: QueueEstimator,
) -> None:
    for number in range(100):
        pace.begin(10, now=0.006 * number)
    pace.end(now=0.6)
    assert pace.seconds(10) == pytest.approx(CAUTION * 3 * 0.003, rel=0.01)
    for number in range(100):  # alone, as batches are that nobody waits behind
        pace.begin(10, now=1.0 + number)
        pace.end(now=1.002 + number)
    assert pace.seconds(10) == pytest.approx(CAUTION * 0.003, rel=0.01)
