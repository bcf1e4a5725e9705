import pytest

import service.batching.cost
from service.batching.cost import Cost


class Clock:
    """Time that passes only when a batch runs."""

    def __init__(self, seconds: dict[int, float] | None = None) -> None:
        self.now = 0.0
        self.ran: list[int] = []
        self._seconds = seconds or {}

    def perf_counter(self) -> float:
        return self.now

    def run(self, rows: int) -> None:
        self.ran.append(rows)
        self.now += self._seconds.get(rows, 0.001 + 0.0001 * rows)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(service.batching.cost, "time", clock)
    return clock


def test_the_line_goes_through_what_was_measured(clock: Clock) -> None:
    cost = Cost.measure(clock.run, 256)
    assert cost.predict(1) == pytest.approx(0.0011)
    assert cost.predict(100) == pytest.approx(0.011)
    assert cost.best_rows == 256
    assert max(clock.ran) == 256


def test_the_best_batch_may_be_a_small_one(clock: Clock) -> None:
    clock._seconds = {1: 0.001, 8: 0.004, 16: 0.0064, 32: 0.0128, 64: 0.04, 128: 0.09, 200: 0.15}
    assert Cost.measure(clock.run, 200).best_rows == 32


def test_slow_models_are_not_tried_at_length(clock: Clock) -> None:
    clock._seconds = {1: 0.15, 8: 0.9}
    cost = Cost.measure(clock.run, 256)
    assert clock.ran == [1, 1, 1, 8]
    assert cost.best_rows == 8
    clock._seconds = {1: 3.0}
    assert Cost.measure(clock.run, 256).best_rows == 1


def test_it_follows_what_batches_take() -> None:
    cost = Cost(0.001, 0.0001, 256)
    for _ in range(100):
        cost.learn(10, 0.006)
    assert cost.predict(10) == pytest.approx(0.006, rel=0.01)


def test_one_interrupted_batch_changes_little() -> None:
    cost = Cost(0.001, 0.0001, 256)
    cost.learn(10, 60.0)
    assert cost.predict(10) < 0.004
