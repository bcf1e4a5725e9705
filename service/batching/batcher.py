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
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol

from service.batching.call import Call, Part, Rows, join
from service.batching.cost import Cost
from service.batching.pace import QueueEstimator
from service.batching.queue import Queue
from service.errors import InternalError, QueueFull, ServiceError, Unavailable

logger = logging.getLogger(__name__)

RunBatch = Callable[[Rows], Rows]


class Observer(Protocol):
    """Told of every batch that ran; times in seconds."""

    def __call__(self, *, rows: int, queued: Sequence[float], compute: float) -> None: ...


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
        self._max_queue_rows = max_queue_rows
        self._observe = observe
        self._queue = Queue(max_batch_rows)
        self._pace = QueueEstimator(cost, max_batch_rows)
        self._suspects: deque[list[Part]] = deque()
        self._batch: list[Part] = []
        self._awake = False  # a batch runs, or one is to start in this turn of the event loop
        self._at_rest: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a batch."""
        return self._queue.rows

    def submit(self, inputs: Rows) -> Call:
        """Queue these rows; await the call for the outputs. Cancel it to leave the queue.

        Raises QueueFull when the rows do not fit in the queue and Unavailable after ``close``.
        """
        rows = len(inputs[0])
        if self._closed:
            raise Unavailable("the server is shutting down")
        if self._queue.rows + rows > self._max_queue_rows:
            raise QueueFull(
                f"the queue holds {self._queue.rows} of {self._max_queue_rows} rows; "
                f"{rows} more do not fit",
                retry_after=self._pace.seconds(self._queue.rows),
            )
        call = Call(inputs, self._queue.remove)
        if self._awake:
            call.expected += self._pace.seconds(self._queue.rows_until(rows))
        self._queue.append(call)
        if not self._awake:
            self._awake = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._start_batch, loop)
        return call

    async def close(self) -> None:
        """Refuse new calls, fail the queued ones, and wait for the batch that runs."""
        self._closed = True
        for call in self._queue:
            call.fail(Unavailable("the server is shutting down"))
        if self._awake:
            self._at_rest = asyncio.get_running_loop().create_future()
            await self._at_rest

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._batch = self._next_batch()
        if not self._batch:
            self._rest()
            return
        started = time.monotonic()
        rows = sum(part.rows for part in self._batch)
        self._pace.begin(rows, started)
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
        """The parts that run next: half of a batch that failed, else what waits."""
        while self._suspects:
            if again := [part for part in self._suspects.popleft() if not part.call.done]:
                return again
        return self._queue.next_batch()

    def _compute(self, batch: list[Part]) -> Rows | BaseException:
        """The outputs, or what was raised: a CancelledError is no Exception, and counts, too."""
        inputs = batch[0].inputs if len(batch) == 1 else join([part.inputs for part in batch])
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
        self._pace.end(time.monotonic())
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
