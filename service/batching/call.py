"""One caller's rows, on their way through a batcher."""

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
    """One caller's arrays, equally many rows in each; awaiting it gives the outputs.

    ``wake`` is called once, as soon as it is done; ``leave`` when that is before all of it is in a
    batch. This is no future, which would cost more than all else here; what an asyncio task asks of
    a future that it awaits, it has.
    """

    _asyncio_future_blocking = False

    def __init__(self, inputs: Rows, leave: Callable[["Call"], None]) -> None:
        self.inputs = inputs
        self.rows = len(inputs[0])
        self.left = self.rows  # in no batch yet
        self.submitted = time.monotonic()
        self.expected = self.submitted  # done by then, as it seems
        self.queue_seconds = 0.0  # up to the last batch with a part of it
        self.compute_seconds = 0.0  # of all these batches
        self.wake: Callable[[], object] | None = None
        self.done = False
        self._leave = leave
        self._outputs: Rows | None = None
        self._error: BaseException | None = None
        self._parts: list[Rows] = []

    def __await__(self) -> Generator[Any, None, Rows]:
        if not self.done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def result(self) -> Rows:
        """The outputs, once done. Raises what the call failed with."""
        if self._error is not None:
            raise self._error
        if self._outputs is None:
            raise AssertionError("the call is not done. This is a bug.")
        return self._outputs

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """For a task that awaits this."""
        return asyncio.get_running_loop()

    def add_done_callback(
        self, callback: Callable[["Call"], object], *, context: Context | None = None
    ) -> None:
        """For the one task that awaits this."""
        call_soon = asyncio.get_running_loop().call_soon
        self.wake = lambda: call_soon(callback, self, context=context)

    def take(self, most: int) -> "Part":
        """The next rows, ``most`` at the most."""
        if self.left == self.rows <= most:
            self.left = 0
            return Part(self, self.inputs, self.rows)
        start = self.rows - self.left
        stop = min(start + most, self.rows)
        self.left = self.rows - stop
        return Part(self, tuple(array[start:stop] for array in self.inputs), stop - start)

    def complete(self, outputs: Rows) -> None:
        """Keep one part's outputs, in order; the last part wakes the caller."""
        if self.done:
            return
        if len(outputs[0]) < self.rows:
            self._parts.append(outputs)
            if sum(len(part[0]) for part in self._parts) < self.rows:
                return
            outputs = join(self._parts)
        self._outputs = outputs
        self._finish()

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self._error = error
            self._finish()

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 (a task gives one)
        """The caller is gone: its place in the queue is free at once."""
        if self.done:
            return False
        self.fail(asyncio.CancelledError())
        return True

    def _finish(self) -> None:
        self.done = True
        if self.left:  # a part of it has failed, or its caller is gone
            self._leave(self)
        wake, self.wake = self.wake, None
        try:
            if wake is not None:
                wake()
        except Exception:  # the others of the batch are not to wait for ever
            logger.exception("a caller failed on its outputs. This is a bug.")


class Part(NamedTuple):
    """Rows of one call that go into one batch."""

    call: Call
    inputs: Rows
    rows: int


def join(parts: Sequence[Rows]) -> Rows:
    """One array of all parts, for each of their arrays."""
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
