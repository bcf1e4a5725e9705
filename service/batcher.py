"""Dynamic batching: rows in, rows out.

Many callers submit a few rows each; the function runs on the rows of many callers at once. No
timer: a batch is what queued while the last one ran, or what arrived during one turn of the event
loop when nothing ran. Knows neither HTTP nor models.

What holds:
- each caller gets what it would have got alone, whoever else was in the batch;
- a caller that is gone (its call is cancelled) is never run;
- a call with more rows than a batch holds is split, and lets others pass between its parts;
- when a batch fails, it runs again in halves, so that only the guilty call fails;
- the queue is bounded in rows, and nobody is left waiting when the batcher closes.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from contextvars import Context
from math import ceil
from typing import Any, NamedTuple, Protocol

import numpy as np

from service.arrays import Float32
from service.cost import Cost
from service.errors import InternalError, QueueFull, ServiceError, Unavailable

logger = logging.getLogger(__name__)

Rows = tuple[Float32, ...]
RunBatch = Callable[[Rows], Rows]


class Observer(Protocol):
    """Told of every batch that ran; times in seconds."""

    def __call__(self, *, rows: int, queued: Sequence[float], compute: float) -> None: ...


class Call:
    """One caller's arrays, equally many rows in each; awaiting it gives the outputs.

    ``wake`` is called once, as soon as it is done. This is no future, which would cost more than
    all else here; what an asyncio task asks of a future that it awaits, it has.
    """

    _asyncio_future_blocking = False

    def __init__(self, inputs: Rows, leave: Callable[["Call"], None]) -> None:
        self.inputs = inputs
        self.rows = len(inputs[0])
        self.left = self.rows  # in no batch yet
        self.submitted = time.monotonic()
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
            outputs = _join(self._parts)
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
        self._leave(self)
        self.fail(asyncio.CancelledError())
        return True

    def _finish(self) -> None:
        self.done = True
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


class Batcher:
    """Collects calls into batches of at most ``max_batch_rows`` for ``run``, one at a time.

    ``run`` is called with arrays of any number of rows up to the limit; it must be a function of
    each row alone. A batch that by ``cost`` takes at most ``inline_seconds`` runs on the event
    loop, which saves the way to a thread and back; a longer one in ``executor``.
    """

    def __init__(
        self,
        run: RunBatch,
        *,
        cost: Cost,
        executor: Executor,
        inline_seconds: float,
        max_batch_rows: int,
        max_queue_rows: int,
        observe: Observer,
    ) -> None:
        self._run = run
        self._cost = cost
        self._executor = executor
        self._inline_seconds = inline_seconds
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._observe = observe
        self._queue: deque[Call] = deque()
        self._suspects: deque[list[Part]] = deque()
        self._queued_rows = 0
        self._batch: list[Part] = []
        self._awake = False  # a batch runs, or one is to start in this turn of the event loop
        self._at_rest: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a batch."""
        return self._queued_rows

    def submit(self, inputs: Rows) -> Call:
        """Queue these rows; await the call for the outputs. Cancel it to leave the queue.

        Raises QueueFull when the rows do not fit in the queue and Unavailable after ``close``.
        """
        rows = len(inputs[0])
        if self._closed:
            raise Unavailable("the server is shutting down")
        if self._queued_rows + rows > self._max_queue_rows:
            raise QueueFull(
                f"the queue holds {self._queued_rows} of {self._max_queue_rows} rows; "
                f"{rows} more do not fit",
                retry_after=ceil(self._cost.predict(self._queued_rows)),
            )
        call = Call(inputs, self._leave)
        self._queue.append(call)
        self._queued_rows += rows
        if not self._awake:
            self._awake = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._start_batch, loop)
        return call

    async def close(self) -> None:
        """Refuse new calls, fail the queued ones, and wait for the batch that runs."""
        self._closed = True
        while self._queue:
            self._queue.popleft().fail(Unavailable("the server is shutting down"))
        self._queued_rows = 0
        if self._awake:
            self._at_rest = asyncio.get_running_loop().create_future()
            await self._at_rest

    def _leave(self, call: Call) -> None:
        self._queued_rows -= call.left
        call.left = 0

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._batch = self._next_batch()
        if not self._batch:
            self._rest()
            return
        started = time.monotonic()
        rows = sum(part.rows for part in self._batch)
        if self._cost.predict(rows) <= self._inline_seconds:
            result = self._compute(self._batch)
            self._finish_batch(loop, result, started, time.monotonic())
        else:
            running = self._executor.submit(self._compute, self._batch)
            running.add_done_callback(
                lambda done: loop.call_soon_threadsafe(
                    self._finish_batch, loop, done.result(), started, time.monotonic()
                )
            )

    def _next_batch(self) -> list[Part]:
        """The parts that run next: half of a batch that failed, else what fits, fairly.

        A call that does not fit whole gives what fits and goes to the end of the queue.
        """
        while self._suspects:
            if again := [part for part in self._suspects.popleft() if not part.call.done]:
                return again
        batch: list[Part] = []
        room = self._max_batch_rows
        while self._queue and room:
            call = self._queue.popleft()
            if call.done:
                continue
            part = call.take(room)
            room -= part.rows
            self._queued_rows -= part.rows
            batch.append(part)
            if call.left:
                self._queue.append(call)
        return batch

    def _compute(self, batch: list[Part]) -> Rows | BaseException:
        """The outputs, or what was raised: a CancelledError is no Exception, and counts, too."""
        inputs = batch[0].inputs if len(batch) == 1 else _join([part.inputs for part in batch])
        try:
            return self._run(inputs)
        except BaseException as error:
            return error

    def _finish_batch(
        self,
        loop: asyncio.AbstractEventLoop,
        result: Rows | BaseException,
        started: float,
        ended: float,
    ) -> None:
        batch = self._batch
        self._batch = []
        for part in batch:
            part.call.queue_seconds = started - part.call.submitted - part.call.compute_seconds
            part.call.compute_seconds += ended - started
        if isinstance(result, BaseException):
            self._isolate(batch, result)
        else:
            self._deliver(batch, result)
        rows = sum(part.rows for part in batch)
        self._cost.learn(rows, ended - started)
        self._observe(
            rows=rows,
            queued=[started - part.call.submitted for part in batch],
            compute=ended - started,
        )
        if self._queue or self._suspects:
            loop.call_soon(self._start_batch, loop)  # what else is ready goes first
        else:
            self._rest()

    def _rest(self) -> None:
        self._awake = False
        if self._at_rest is not None and not self._at_rest.done():
            self._at_rest.set_result(None)

    def _deliver(self, batch: list[Part], outputs: Rows) -> None:
        if len(batch) == 1:
            batch[0].call.complete(outputs)
            return
        start = 0
        for part in batch:
            stop = start + part.rows
            part.call.complete(tuple(array[start:stop] for array in outputs))
            start = stop

    def _isolate(self, batch: list[Part], error: BaseException) -> None:
        """Run a failed batch again in halves, down to the guilty part, which then was alone."""
        if len(batch) > 1:
            half = len(batch) // 2
            self._suspects.extendleft((batch[half:], batch[:half]))
            return
        if not isinstance(error, ServiceError):
            logger.error("a batch failed", exc_info=error)
            error = InternalError("the model failed on these rows")
        batch[0].call.fail(error)


def _join(parts: Sequence[Rows]) -> Rows:
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
