"""How fast a queue moves, by what batches cost and by what passes between them."""

from typing import Final

from service.batching.cost import LEARNING_RATE, MOST, Cost

CAUTION: Final = 1.5  # estimates err, and what is late by a little was computed for nothing


class QueueEstimator:
    """Seconds until rows are done that wait behind others.

    A busy event loop, or one that answers more refusals than requests, takes its time between two
    batches, which ``cost`` does not know: here a batch lasts until the next one begins.
    """

    def __init__(self, cost: Cost, batch_rows: int) -> None:
        self._cost = cost
        self._batch_rows = batch_rows
        self._drag = 1.0  # what a batch lasts, in terms of its cost
        self._rows = 0  # of the batch that runs
        self._began = 0.0
        self._estimate()

    def begin(self, rows: int, now: float) -> None:
        """A batch of so many rows begins, and with that the one before has ended."""
        self._learn(now)
        self._rows, self._began = rows, now
        self._estimate()

    def end(self, now: float) -> None:
        """No batch follows for now."""
        self._learn(now)
        self._rows = 0
        self._estimate()

    def seconds(self, rows: int) -> float:
        """Until the batch that runs and so many rows after it are done."""
        return self._fixed + self._per_row * rows

    def _learn(self, now: float) -> None:
        if self._rows:
            ratio = (now - self._began) / self._cost.predict(self._rows)
            self._drag += LEARNING_RATE * (min(ratio, MOST) - self._drag)

    def _estimate(self) -> None:
        """A line, since ``seconds`` is asked for every call: all batches but the last are full."""
        cost, scale = self._cost, CAUTION * self._drag
        running = cost.predict(self._rows) if self._rows else 0.0
        self._fixed = scale * (running + cost.predict(0))
        self._per_row = scale * cost.predict(self._batch_rows) / self._batch_rows
