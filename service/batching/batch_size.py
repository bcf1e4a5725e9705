"""How many rows a batch has: chosen by what a row costs in batches of several sizes."""

from collections.abc import Mapping
from statistics import median
from typing import Final

TOLERANCE: Final = 1.05
"""A larger batch may cost this many times as much per row as the best one."""

TRIALS: Final = 9
GROW_BELOW: Final = 0.98
SHRINK_BELOW: Final = 0.90
FIRST_INTERVAL: Final = 4
LAST_INTERVAL: Final = 256


def candidates(max_rows: int) -> tuple[int, ...]:
    """The sizes to choose from: powers of two below ``max_rows``, and ``max_rows``."""
    powers = (2**power for power in range(max_rows.bit_length()))
    return (*(size for size in powers if size < max_rows), max_rows)


def best_size(seconds: Mapping[int, float]) -> int:
    """The largest size whose cost per row is within TOLERANCE of the lowest.

    ``seconds`` is what a batch takes, by its rows.
    """
    lowest = min(taken / rows for rows, taken in seconds.items())
    return max(rows for rows, taken in seconds.items() if taken / rows <= TOLERANCE * lowest)


class BatchSize:
    """The rows of a full batch, ``rows``, one of ``sizes``; adapts while the model serves.

    While enough rows wait, some full batches are trials of the next smaller or the next larger
    size. A trial is compared with the full batch before it, by seconds per row. After TRIALS
    trials of a size the median ratio decides. Each decision to stay doubles the number of batches
    between trials. ``timed`` says whether the batch of the last ``next_limit`` is one of the two
    and is to be recorded.
    """

    def __init__(self, rows: int, sizes: tuple[int, ...]) -> None:
        self.rows = rows
        self.timed = False
        self._sizes = sizes
        self._ratios: dict[int, list[float]] = {}
        self._seconds_per_row = 0.0  # of the last timed batch that was no trial
        self._interval = FIRST_INTERVAL
        self._full_batches = 0
        self._trials = 0
        self._move_to(rows)

    def next_limit(self, queued_rows: int) -> int:
        """The largest number of rows that the next batch may have."""
        self.timed = False
        if queued_rows < self.rows or not self._ratios:
            return self.rows
        self._full_batches += 1
        if self._full_batches < self._interval - 1:
            return self.rows
        self.timed = True
        if self._full_batches < self._interval:
            return self.rows
        self._full_batches = 0
        self._trials += 1
        sizes = tuple(self._ratios)
        size = sizes[self._trials % len(sizes)]
        return size if size <= queued_rows else self.rows

    def record(self, rows: int, seconds: float) -> bool:
        """Take in that a timed batch took ``seconds``; returns whether ``rows`` has changed."""
        seconds_per_row = seconds / rows
        if rows == self.rows:
            self._seconds_per_row = seconds_per_row
        if rows not in self._ratios or self._seconds_per_row <= 0:
            return False
        ratios = self._ratios[rows]
        ratios.append(seconds_per_row / self._seconds_per_row)
        if len(ratios) < TRIALS:
            return False
        if median(ratios) < (GROW_BELOW if rows > self.rows else SHRINK_BELOW):
            self._move_to(rows)
            return True
        ratios.clear()
        self._interval = min(2 * self._interval, LAST_INTERVAL)
        return False

    def _move_to(self, rows: int) -> None:
        at = self._sizes.index(rows)
        self.rows = rows
        self._ratios = {
            size: [] for size in (*self._sizes[max(at - 1, 0) : at], *self._sizes[at + 1 : at + 2])
        }
        self._seconds_per_row = 0.0
        self._interval = FIRST_INTERVAL
        self._full_batches = 0
        self._trials = 0
