"""Counts in plain numbers, which ``Metrics.refresh`` adds to Prometheus from time to time.

prometheus_client takes a lock for every value, and a request has several. Only the event loop
counts here, so no lock is needed. A series is created when the first count is added to it: a model
that answers no request costs none.
"""

from bisect import bisect_left
from typing import Protocol

from prometheus_client import Counter, Histogram


class LocalMetric(Protocol):
    """Counts that wait for ``flush``."""

    def flush(self) -> None: ...


class LocalCounter:
    """Adds to the series of a Counter with these labels.

    It appends itself to ``changed`` when it has something to flush.
    """

    def __init__(self, changed: list[LocalMetric], counter: Counter, *labels: str) -> None:
        self._changed = changed
        self._counter = counter
        self._labels = labels
        self._count = 0

    def increment(self) -> None:
        """Count one event."""
        if not self._count:
            self._changed.append(self)
        self._count += 1

    def flush(self) -> None:
        """Add the counts to the series."""
        count, self._count = self._count, 0
        self._counter.labels(*self._labels).inc(count)


class LocalHistogram:
    """Adds to the series of a Histogram with these labels."""

    def __init__(self, changed: list[LocalMetric], histogram: Histogram, *labels: str) -> None:
        self._changed = changed
        self._histogram = histogram
        self._labels = labels
        self._bounds: list[float] = histogram._upper_bounds
        self._counts: list[int] = []
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        if not self._counts:
            self._changed.append(self)
            self._counts = [0] * len(self._bounds)
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def flush(self) -> None:
        """Add the counts to the series."""
        counts, self._counts = self._counts, []
        total, self._sum = self._sum, 0.0
        series = self._histogram.labels(*self._labels)
        # ``Histogram.observe`` would take one value at a time.
        for bucket, count in zip(series._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        if total:
            series._sum.inc(total)
