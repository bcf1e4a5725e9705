"""The rows of one caller, from the queue to the outputs."""

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextvars import Context
from typing import Any, NamedTuple

import numpy as np

from service.arrays import Float32

logger = logging.getLogger(__name__)

Rows = tuple[Float32, ...]


class Call:
    """The arrays of one caller, with the same number of rows in each. Await it for the outputs.

    ``wake`` is called once, when the call ends; ``leave_queue`` is called if the call ends before
    all its rows are in batches. The class implements what an asyncio task needs of a future that
    it awaits; an asyncio.Future would cost more than everything else here.
    """

    _asyncio_future_blocking = False

    def __init__(self, inputs: Rows, leave_queue: Callable[["Call"], None]) -> None:
        self.inputs = inputs
        self.rows = len(inputs[0])
        self.queued_rows = self.rows  # in no batch yet
        self.submitted = time.monotonic()
        self.expected = self.submitted  # the estimated time of completion
        self.queue_seconds = 0.0  # until the last batch with rows of this call started
        self.compute_seconds = 0.0  # of all these batches
        self.wake: Callable[[], object] | None = None
        self.done = False
        self._leave_queue = leave_queue
        self._outputs: Rows | None = None
        self._error: BaseException | None = None
        self._parts: list[Rows] = []

    def __await__(self) -> Generator[Any, None, Rows]:
        if not self.done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def result(self) -> Rows:
        """The outputs of a call that is done. Raises the error with which the call failed."""
        if self._error is not None:
            raise self._error
        if self._outputs is None:
            raise AssertionError("the call is not done. This is a bug.")
        return self._outputs

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop; an asyncio task that awaits a call asks for it."""
        return asyncio.get_running_loop()

    def add_done_callback(
        self, callback: Callable[["Call"], object], *, context: Context | None = None
    ) -> None:
        """Schedule ``callback`` when the call ends; for the one asyncio task that awaits it."""
        call_soon = asyncio.get_running_loop().call_soon
        self.wake = lambda: call_soon(callback, self, context=context)

    def next_part(self, max_rows: int) -> "Part":
        """The next rows, at most ``max_rows`` of them. The queue counts them, not this method."""
        if self.queued_rows == self.rows <= max_rows:
            return Part(self, self.inputs, 0, self.rows)
        start = self.rows - self.queued_rows
        stop = min(start + max_rows, self.rows)
        return Part(self, tuple(array[start:stop] for array in self.inputs), start, stop - start)

    def complete(self, outputs: Rows) -> None:
        """Take in the outputs of one part; parts come in order. The last one ends the call."""
        if self.done:
            return
        if len(outputs[0]) < self.rows:
            self._parts.append(outputs)
            if sum(len(part[0]) for part in self._parts) < self.rows:
                return
            outputs = join(self._parts)
        self._outputs = outputs
        self._end()

    def fail(self, error: BaseException) -> None:
        """End the call with an error, unless it is done."""
        if not self.done:
            self._error = error
            self._end()

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 (asyncio passes a message)
        """End the call because its caller is gone. Its rows leave the queue at once."""
        if self.done:
            return False
        self.fail(asyncio.CancelledError())
        return True

    def _end(self) -> None:
        self.done = True
        if self.queued_rows:
            self._leave_queue(self)
        wake, self.wake = self.wake, None
        try:
            if wake is not None:
                wake()
        except Exception:  # other calls of the batch still have to be ended
            logger.exception("a caller failed on its outputs. This is a bug.")


class Part(NamedTuple):
    """Rows of one call that are in one batch; ``start`` is the first of them in the call."""

    call: Call
    inputs: Rows
    start: int
    rows: int


def join(parts: Sequence[Rows]) -> Rows:
    """Concatenate the arrays of all parts, each array with those in its place."""
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
