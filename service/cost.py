"""What a batch will cost, by what batches have cost."""

import time
from collections.abc import Callable
from typing import Final

WARM_UP_ROWS: Final = 32
REPEATS: Final = 3
LEARNING_RATE: Final = 0.1
MOST: Final = 10.0  # a batch that took longer than this many times the line was interrupted


class Cost:
    """Seconds of a batch as a line over its rows, with a factor that follows what is seen since."""

    def __init__(self, fixed: float, per_row: float) -> None:
        self._fixed = fixed
        self._per_row = per_row
        self._factor = 1.0

    @classmethod
    def measure(cls, run: Callable[[int], object]) -> "Cost":
        """The line through ``run(1)`` and ``run(WARM_UP_ROWS)``, the fastest of a few runs each."""
        one, many = _fastest(run, 1), _fastest(run, WARM_UP_ROWS)
        per_row = max((many - one) / (WARM_UP_ROWS - 1), 1e-9)
        return cls(max(one - per_row, 0.0), per_row)

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
    return min(seconds)
