"""How long a batch takes, and when queued rows are done."""

import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from service.batching.batch_size import BatchSize, best_size, candidates
from service.batching.stopwatch import busy_seconds

FIRST_ROUND_SECONDS: Final = 4.0
"""How long a model may be measured, all sizes once."""

ALL_ROUNDS_SECONDS: Final = 1.0
"""As long as no more than this has passed, all sizes are measured again."""

ROUNDS: Final = 15
LEARNING_RATE: Final = 0.1
MAX_RATIO: Final = 10.0
"""A batch that took longer than this many times the estimate was interrupted."""

SAFETY_FACTOR: Final = 1.5
"""Estimates err, and a reply that comes too late was computed for nothing."""


class LatencyEstimator:
    """Estimates the seconds of a batch and of a queue from those that were measured.

    A batch of n rows is expected to take ``load · (fixed + per_row · n)`` seconds. ``load`` is an
    exponential moving average of measured over expected time. From the start of one batch to the
    start of the next, ``overhead`` times as long passes: an event loop that is busy with requests
    starts batches late.
    """

    def __init__(self, fixed: float, per_row: float, batch_size: BatchSize) -> None:
        self.batch_size = batch_size
        self._fixed = fixed
        self._per_row = per_row
        self._load = 1.0
        self._overhead = 1.0
        self._running_rows = 0
        self._running_since = 0.0
        self._update()

    @classmethod
    def measure(cls, run: Callable[[int], object], max_rows: int) -> Self:
        """Measure batches of up to ``max_rows`` rows; ``run`` runs one with that many rows."""
        sizes = candidates(max_rows)
        seconds = measure_batches(run, sizes)
        rows = best_size(seconds)
        per_row = max(seconds[rows] - seconds[1], 1e-9) / max(rows - 1, 1)
        return cls(max(seconds[1] - per_row, 1e-9), per_row, BatchSize(rows, sizes))

    def batch_seconds(self, rows: int) -> float:
        """Seconds that a batch of ``rows`` rows will take."""
        return self._load * (self._fixed + self._per_row * rows)

    def queue_seconds(self, rows: int) -> float:
        """Seconds until the batch that runs and then ``rows`` more rows are done."""
        return self._queue_fixed + self._queue_per_row * rows

    def batch_started(self, rows: int, now: float) -> None:
        """A batch starts; if another ran before, its time ends here."""
        self._learn_overhead(now)
        self._running_rows, self._running_since = rows, now
        self._update()

    def batch_ended(self, rows: int, seconds: float) -> None:
        """A batch of ``rows`` rows took ``seconds``."""
        ratio = seconds / (self._fixed + self._per_row * rows)
        self._load += LEARNING_RATE * (min(ratio, MAX_RATIO) - self._load)

    def became_idle(self, now: float) -> None:
        """No batch follows the last one for now."""
        self._learn_overhead(now)
        self._running_rows = 0
        self._update()

    def _learn_overhead(self, now: float) -> None:
        if self._running_rows:
            ratio = (now - self._running_since) / self.batch_seconds(self._running_rows)
            self._overhead += LEARNING_RATE * (min(ratio, MAX_RATIO) - self._overhead)

    def _update(self) -> None:
        """Fit a line once a batch, since ``queue_seconds`` is asked once a call.

        All batches but the last one are full.
        """
        factor, full = SAFETY_FACTOR * self._overhead, self.batch_size.rows
        running = self.batch_seconds(self._running_rows) if self._running_rows else 0.0
        self._queue_fixed = factor * (running + self.batch_seconds(0))
        self._queue_per_row = factor * self.batch_seconds(full) / full


def measure_batches(run: Callable[[int], object], sizes: Sequence[int]) -> dict[int, float]:
    """Seconds of a batch by its rows: the least of up to ROUNDS rounds over all sizes.

    Rounds are interleaved, so that a disturbance meets all sizes. The first round takes every
    second size first and ends before a size that would by the last two exceed the time limit.
    """
    started = time.perf_counter()
    seconds: dict[int, float] = {}
    last, growth = 0, 0.0  # of the first pass: its last size, and the seconds of a further row
    for rows in sizes[::2]:
        elapsed = time.perf_counter() - started
        if last and elapsed + seconds[last] + growth * (rows - last) > FIRST_ROUND_SECONDS:
            break
        seconds[rows] = busy_seconds(lambda: run(rows))  # noqa: B023 (called at once)
        if last:
            growth = max(seconds[rows] - seconds[last], 0.0) / (rows - last)
        last = rows
    for rows in [size for _ in range(ROUNDS) for size in sizes if size <= last][len(seconds) :]:
        if time.perf_counter() - started > ALL_ROUNDS_SECONDS:
            break
        taken = busy_seconds(lambda: run(rows))  # noqa: B023
        seconds[rows] = min(taken, seconds.get(rows, taken))
    return seconds
