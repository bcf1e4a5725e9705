"""Dynamic batching: rows in, rows out.

Many callers submit a few rows each; the function runs on the rows of many callers at once. There
is no timer: a batch holds the calls that arrived while the last batch ran, or during one turn of
the event loop if none ran. The batcher knows neither HTTP nor models.

Guarantees:
- a caller gets the outputs that it would get alone, whatever else is in the batch;
- a call that is cancelled before its batch starts is not run;
- a call with more rows than a batch is split, and other calls run between its parts;
- if a batch fails, it runs again in halves, so that only the call at fault fails, and an error
  that names a row names the caller's row;
- the queue is bounded in rows;
- every call ends, also when memory or threads run out, and ``close`` returns in bounded time.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from service.batching.call import Call, Part, Rows, join
from service.batching.latency import LatencyEstimator
from service.batching.queue import CallQueue
from service.batching.stopwatch import run_queue_seconds
from service.errors import InternalError, InvalidInput, QueueFull, ServiceError, Unavailable

logger = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 10.0
MEMORY_RETRY_SECONDS: Final = 0.01

RunBatch = Callable[[Rows], Rows]


class Observer(Protocol):
    """Called after every batch; times in seconds."""

    def __call__(self, *, rows: int, queued: Sequence[float], compute: float) -> None: ...


class Executor(Protocol):
    """Runs batches outside the event loop; ``BatchThread`` is one."""

    def start(self) -> None:
        """Acquire the thread. Raises RuntimeError if the system refuses."""

    def submit(self, job: Callable[[], object]) -> None:
        """Run a job. Raises RuntimeError or MemoryError if it will not run."""

    def stop(self) -> None:
        """Release the thread."""


class Result(NamedTuple):
    """The outputs of a batch or what it raised; times of the monotonic clock.

    ``waited`` is how long the thread waited for a CPU in between.
    """

    outputs: Rows | BaseException
    started: float
    ended: float
    waited: float


class Batcher:
    """Collects calls into batches for ``run`` and runs one batch at a time.

    ``run`` is called with arrays of any number of rows up to the largest batch size; it must
    compute each row from that row alone. A batch that ``estimator`` expects to take at most
    ``inline_seconds`` runs on the event loop, which saves the way to a thread and back; a longer
    one runs in ``executor``, which is started here if full batches need it.
    """

    def __init__(
        self,
        run: RunBatch,
        *,
        name: str,
        estimator: LatencyEstimator,
        executor: Executor,
        inline_seconds: float,
        max_queue_rows: int,
        observe: Observer,
    ) -> None:
        self._run = run
        self._name = name
        self._estimator = estimator
        self._batch_size = estimator.batch_size
        self._executor = executor
        self._inline_seconds = inline_seconds
        self._max_queue_rows = max_queue_rows
        self._observe = observe
        self._queue = CallQueue(self.batch_rows)
        self._retries: deque[list[Part]] = deque()  # halves of batches that failed
        self._batch: list[Part] = []
        self._batch_started: float | None = None
        self._timed = False  # whether the batch size is compared by this batch
        self._busy = False  # a batch runs or is scheduled
        self._idle: asyncio.Future[None] | None = None  # what ``close`` waits for
        self._closed = False
        if estimator.batch_seconds(self.batch_rows) > inline_seconds:
            executor.start()
        logger.info("%s: batches of up to %d rows", name, self.batch_rows)

    @property
    def queued_rows(self) -> int:
        """Rows that are in no batch yet."""
        return self._queue.rows

    @property
    def batch_rows(self) -> int:
        """Rows of a full batch; the batcher adapts it to what batches cost."""
        return self._batch_size.rows

    @property
    def running_since(self) -> float | None:
        """When the batch that runs started, by the monotonic clock; None if none runs."""
        return self._batch_started

    def submit(self, inputs: Rows) -> Call:
        """Queue these rows. Await the call for the outputs; cancel it to leave the queue.

        Raises QueueFull if the rows do not fit in the queue and Unavailable after ``close``.
        """
        rows = len(inputs[0])
        queue = self._queue
        if self._closed:
            raise Unavailable("the server is shutting down")
        if queue.rows + rows > self._max_queue_rows:
            raise QueueFull(
                f"the queue holds {queue.rows} of {self._max_queue_rows} rows; "
                f"{rows} more do not fit",
                retry_after=self._estimator.queue_seconds(queue.rows),
            )
        call = Call(inputs, queue.remove)
        if self._busy:
            call.expected += self._estimator.queue_seconds(queue.rows_until(rows))
        else:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._start_batch, loop)
            self._busy = True
        queue.append(call)
        return call

    async def close(self, timeout: float = CLOSE_SECONDS) -> None:  # noqa: ASYNC109
        """Refuse new calls, fail the queued ones, and wait for the batch that runs.

        After ``timeout`` seconds the calls of that batch fail, too.
        """
        self._closed = True
        for call in self._queue:
            call.fail(Unavailable("the server is shutting down"))
        if self._busy:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._idle,), timeout=timeout)
        if self._busy:
            logger.error("%s: a batch has not ended after %.0f s; given up", self._name, timeout)
            self._fail_all(Unavailable("the server is shutting down"))
        self._executor.stop()

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._form_batch()
            if self._batch:
                self._run_batch(loop, self._batch)
            else:
                self._become_idle()
        except BaseException as error:
            self._recover(error)

    def _form_batch(self) -> None:
        """Fill the batch from a half of a batch that failed, or else from the queue."""
        self._timed = False
        while self._retries:
            self._batch = [part for part in self._retries.popleft() if not part.call.done]
            if self._batch:
                return
        self._batch = []
        self._queue.fill(self._batch, self._batch_size.next_limit(self._queue.rows))
        self._timed = self._batch_size.timed

    def _run_batch(self, loop: asyncio.AbstractEventLoop, batch: list[Part]) -> None:
        rows = sum(part.rows for part in batch)
        self._batch_started = time.monotonic()
        self._estimator.batch_started(rows, self._batch_started)
        if self._estimator.batch_seconds(rows) <= self._inline_seconds:
            self._end_batch(loop, batch, self._compute(batch))
            return
        try:
            self._executor.submit(partial(self._compute_in_thread, loop, batch))
        except (RuntimeError, MemoryError):
            logger.exception("%s: a batch could not be started", self._name)
            for part in batch:
                part.call.fail(InternalError("the server has no thread for this batch"))
            self._schedule_next(loop)

    def _compute_in_thread(self, loop: asyncio.AbstractEventLoop, batch: list[Part]) -> None:
        result = self._compute(batch)
        while True:
            try:
                loop.call_soon_threadsafe(self._end_batch, loop, batch, result)
            except MemoryError:
                time.sleep(MEMORY_RETRY_SECONDS)
                continue
            except RuntimeError:  # the loop is closed, and nobody waits any more
                pass
            return

    def _compute(self, batch: list[Part]) -> Result:
        """Run a batch. CancelledError and the like are results, too: they must not end the loop."""
        timed = self._timed
        started = time.monotonic()
        waited = run_queue_seconds() if timed else 0.0  # 15 µs
        try:
            if len(batch) == 1:
                outputs: Rows | BaseException = self._run(batch[0].inputs)
            else:
                outputs = self._run(join([part.inputs for part in batch]))
        except BaseException as error:
            outputs = error
        waited = run_queue_seconds() - waited if timed else 0.0
        return Result(outputs, started, time.monotonic(), waited)

    def _end_batch(
        self, loop: asyncio.AbstractEventLoop, batch: list[Part], result: Result
    ) -> None:
        if batch is not self._batch:  # it was given up
            return
        try:
            seconds = result.ended - result.started
            for part in batch:
                call = part.call
                call.queue_seconds = result.started - call.submitted - call.compute_seconds
                call.compute_seconds += seconds
            if isinstance(result.outputs, BaseException):
                self._isolate(batch, result.outputs)
            else:
                _deliver(batch, result.outputs)
            self._record(batch, result)
            self._schedule_next(loop)
        except BaseException as error:
            self._recover(error)

    def _record(self, batch: list[Part], result: Result) -> None:
        """Learn from the times of a batch, and pass them on."""
        rows = sum(part.rows for part in batch)
        seconds = result.ended - result.started
        self._estimator.batch_ended(rows, seconds)
        if self._timed and not isinstance(result.outputs, BaseException):
            self._adapt_batch_size(rows, seconds - result.waited)
        try:
            self._observe(
                rows=rows,
                queued=[result.started - part.call.submitted for part in batch],
                compute=seconds,
            )
        except Exception:
            logger.exception("%s: the observer of batches failed", self._name)

    def _adapt_batch_size(self, rows: int, seconds: float) -> None:
        if self._batch_size.record(rows, seconds):
            self._queue.set_batch_rows(self.batch_rows)
            logger.info("%s: batches of up to %d rows from now on", self._name, self.batch_rows)

    def _isolate(self, batch: list[Part], error: BaseException) -> None:
        """Run a batch that failed again in halves. A part that fails alone is at fault."""
        if len(batch) > 1:
            half = len(batch) // 2
            self._retries.extendleft((batch[half:], batch[:half]))
            return
        (part,) = batch
        if isinstance(error, InvalidInput) and error.row is not None:
            error = error.at_row(part.start + error.row)
        elif not isinstance(error, ServiceError):
            logger.error("%s: a batch failed", self._name, exc_info=error)
            error = InternalError("the model failed on these rows")
        part.call.fail(error)

    def _schedule_next(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._queue or self._retries:
            loop.call_soon(self._start_batch, loop)  # after what else is ready in this turn
            self._batch, self._batch_started = [], None
        else:
            self._become_idle()

    def _become_idle(self) -> None:
        self._busy = False
        self._batch, self._batch_started = [], None
        self._estimator.became_idle(time.monotonic())
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _recover(self, error: BaseException) -> None:
        """Memory ran out, or there is a bug: end all calls, so that the next ones can run."""
        logger.error("%s: the batcher failed; its calls end", self._name, exc_info=error)
        self._fail_all(InternalError("the model failed on these rows"))

    def _fail_all(self, error: ServiceError) -> None:
        calls = [part.call for batch in (self._batch, *self._retries) for part in batch]
        calls += self._queue
        self._retries.clear()
        self._become_idle()  # first, since a caller may submit its next call when this one fails
        for call in calls:
            call.fail(error)


def _deliver(batch: list[Part], outputs: Rows) -> None:
    """Give each call its rows of the outputs."""
    start = 0
    for part in batch:
        stop = start + part.rows
        try:
            part.call.complete(
                outputs if len(batch) == 1 else tuple(array[start:stop] for array in outputs)
            )
        except MemoryError:
            logger.exception("a caller's outputs could not be put together")
            part.call.fail(InternalError("the server is out of memory"))
        start = stop
