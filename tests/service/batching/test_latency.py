"""What batches are measured to cost at the start, and when queued rows are expected to be done."""

import random
from collections.abc import Callable

import pytest

import service.batching.latency
import service.batching.stopwatch
from service.batching.batch_size import BatchSize
from service.batching.latency import SAFETY_FACTOR, LatencyEstimator


class Clock:
    """Time that passes only while a batch runs: ``seconds`` of its rows."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        self.now = 0.0
        self.ran: list[int] = []
        self._seconds = seconds

    def perf_counter(self) -> float:
        return self.now

    def run(self, rows: int) -> None:
        self.ran.append(rows)
        self.now += self._seconds(rows)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[LatencyEstimator, Clock]]:
    def measured(
        seconds: Callable[[int], float], max_rows: int = 256
    ) -> tuple[LatencyEstimator, Clock]:
        clock = Clock(seconds)
        monkeypatch.setattr(service.batching.latency, "time", clock)
        monkeypatch.setattr(service.batching.stopwatch, "time", clock)
        monkeypatch.setattr(service.batching.stopwatch, "run_queue_seconds", lambda: 0.0)
        return LatencyEstimator.measure(clock.run, max_rows), clock

    return measured


def test_the_line_goes_through_the_measured_batches(measure: Callable[..., tuple]) -> None:
    estimator, clock = measure(lambda rows: 0.001 + 0.0001 * rows)
    assert estimator.batch_seconds(1) == pytest.approx(0.0011)
    assert estimator.batch_seconds(100) == pytest.approx(0.011)
    assert estimator.batch_size.rows == max(clock.ran) == 256


def test_the_best_batch_may_be_a_small_one(measure: Callable[..., tuple]) -> None:
    """As that of a convolution whose activations leave the cache."""
    estimator, _ = measure(lambda rows: 0.0002 * rows if rows <= 32 else 0.0003 * rows, 200)
    assert estimator.batch_size.rows == 32


def test_a_slow_batch_does_not_end_the_search(measure: Callable[..., tuple]) -> None:
    estimator, clock = measure(lambda rows: 1.0 + 0.004 * rows if rows <= 16 else 0.07 * rows)
    assert estimator.batch_size.rows == 16
    assert clock.now < 5


def test_the_time_of_the_search_is_bounded(measure: Callable[..., tuple]) -> None:
    for seconds_per_row in (0.001, 0.02, 0.5, 3.0, 60.0):
        _, clock = measure(lambda rows: seconds_per_row * rows)  # noqa: B023
        assert clock.now <= 4 + 5 * seconds_per_row


@pytest.mark.parametrize("start", range(10))
def test_noise_with_a_heavy_tail_does_not_decide(start: int, measure: Callable[..., tuple]) -> None:
    noise = random.Random(start)

    def seconds(rows: int) -> float:
        exact = 0.0001 + 0.00001 * rows if rows <= 32 else 0.000016 * rows
        return exact * min(noise.paretovariate(1.5), 20)

    estimator, _ = measure(seconds)
    assert estimator.batch_size.rows in (16, 32, 64)


def test_the_estimate_follows_the_measured_batches() -> None:
    estimator = LatencyEstimator(0.001, 0.0001, BatchSize(256, (256,)))
    for _ in range(100):
        estimator.batch_ended(10, 0.006)
    assert estimator.batch_seconds(10) == pytest.approx(0.006, rel=0.01)


def test_one_interrupted_batch_changes_little() -> None:
    estimator = LatencyEstimator(0.001, 0.0001, BatchSize(256, (256,)))
    estimator.batch_ended(10, 60.0)
    assert estimator.batch_seconds(10) < 0.004


@pytest.fixture
def estimator() -> LatencyEstimator:
    """Of batches of 10 rows that take 2 ms."""
    return LatencyEstimator(0.001, 0.0001, BatchSize(10, (10,)))


def test_queued_rows_take_as_long_as_full_batches(estimator: LatencyEstimator) -> None:
    assert estimator.queue_seconds(30) == pytest.approx(SAFETY_FACTOR * (0.001 + 0.006))
    assert estimator.queue_seconds(35) == pytest.approx(SAFETY_FACTOR * (0.001 + 0.007))


def test_the_batch_that_runs_is_a_part_of_the_wait(estimator: LatencyEstimator) -> None:
    idle = estimator.queue_seconds(10)
    estimator.batch_started(10, now=0.0)
    assert estimator.queue_seconds(10) - idle == pytest.approx(SAFETY_FACTOR * 0.002)
    estimator.became_idle(now=0.002)
    assert estimator.queue_seconds(10) == pytest.approx(idle)


def test_the_time_between_batches_counts_and_is_forgotten_when_it_ends(
    estimator: LatencyEstimator,
) -> None:
    for number in range(100):
        estimator.batch_started(10, now=0.006 * number)
    estimator.became_idle(now=0.6)
    assert estimator.queue_seconds(10) == pytest.approx(SAFETY_FACTOR * 3 * 0.003, rel=0.01)
    for number in range(100):  # as on an idle server
        estimator.batch_started(10, now=1.0 + number)
        estimator.became_idle(now=1.002 + number)
    assert estimator.queue_seconds(10) == pytest.approx(SAFETY_FACTOR * 0.003, rel=0.01)
