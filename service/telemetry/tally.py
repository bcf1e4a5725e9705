"""Counts that are kept in plain numbers and passed on to Prometheus now and then.

A metric of prometheus_client takes a lock for every value it is told, and a request has several;
the event loop, which alone counts here, needs none.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any


class CounterTally:
    """Adds to a child of a Counter."""

    def __init__(self, counter: Any) -> None:
        self._counter = counter
        self.count = 0

    def flush(self) -> None:
        count, self.count = self.count, 0
        if count:
            self._counter.inc(count)


class GrowthTally:
    """Adds to a Counter by how much a total has grown that is kept elsewhere."""

    def __init__(self, counter: Any, total: Callable[[], int]) -> None:
        self._counter, self._total = counter, total
        self._passed_on = 0

    def flush(self) -> None:
        total = self._total()
        self._counter.inc(total - self._passed_on)
        self._passed_on = total


class HistogramTally:
    """Adds to a child of a Histogram."""

    def __init__(self, histogram: Any) -> None:
        # Its public way takes one value at a time.
        self._sum, self._buckets = histogram._sum, histogram._buckets
        self._bounds: list[float] = histogram._upper_bounds
        self._counts = [0] * len(self._bounds)
        self._total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def flush(self) -> None:
        counts, self._counts = self._counts, [0] * len(self._bounds)
        total, self._total = self._total, 0.0
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        if total:
            self._sum.inc(total)
