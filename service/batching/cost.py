"""What a batch will cost, by what batches have cost."""

import time
from collections.abc import Callable
from typing import Final

SIZES: Final = (1, 8, 16, 32, 64, 128, 256, 512, 1024)
REPEATS: Final = 3
PATIENCE_SECONDS: Final = 0.2  # a batch that takes longer is the largest that is tried
AS_GOOD: Final = 1.05  # times the best time for a row
LEARNING_RATE: Final = 0.1
MOST: Final = 10.0  # a batch that took longer than this many times the line was interrupted


class Cost:
    """Seconds of a batch as a line over its rows, with a factor that follows what is seen since.

    ``best_rows`` is the batch at which a row costs least: caches make a convolution's small.
    """

    def __init__(self, fixed: float, per_row: float, best_rows: int) -> None:
        self.best_rows = best_rows
        self._fixed = fixed
        self._per_row = per_row
        self._factor = 1.0

    @classmethod
    def measure(cls, run: Callable[[int], object], max_rows: int) -> "Cost":
        """By running batches of up to ``max_rows`` rows, the fastest of a few runs of each."""
        seconds: dict[int, float] = {}
        for rows in (*(size for size in SIZES if size < max_rows), max_rows):
            seconds[rows] = _fastest(run, rows)
            if seconds[rows] > PATIENCE_SECONDS:
                break
        best = min(taken / rows for rows, taken in seconds.items())
        best_rows = max(rows for rows, taken in seconds.items() if taken / rows <= AS_GOOD * best)
        per_row = max(seconds[best_rows] - seconds[1], 1e-9) / max(best_rows - 1, 1)
        return cls(max(seconds[1] - per_row, 1e-9), per_row, best_rows)

    def predict(self, rows: int) -> float:
        """Seconds that a batch of so many rows will take."""
        return self._factor * (self._fixed + self._per_row * rows)

    def learn(self, rows: int, seconds: float) -> None:
        """A batch of so many rows has taken this long."""
        ratio = seconds / (self._fixed + self._per_row * rows)
        self._factor += LEARNING_RATE * (min(ratio, MOST) - self._factor)


def _fastest(run: Callable[[int], object], rows: int) -> float:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run(rows)
        seconds.append(time.perf_counter() - started)
        if seconds[-1] > PATIENCE_SECONDS:
            break
    return min(seconds)
