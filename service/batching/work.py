"""The work of one request: a coroutine over batchers, run without a task around it.

A verb awaits nothing but calls of batchers, and a call says itself when it is done. So what a task
of asyncio's would add, a handle in the event loop's queue for every step, is left out; both lanes
run their requests this way.
"""

from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Generic, TypeVar

from service.batching.call import Call
from service.errors import DeadlineExceeded, QueueFull

T = TypeVar("T")


class Work(ABC, Generic[T]):
    """Runs a coroutine up to each call it waits for; ``deadline`` is of the monotonic clock.

    ``queue_seconds`` and ``compute_seconds`` are the sums over its calls.
    """

    deadline: float
    queue_seconds = 0.0
    compute_seconds = 0.0
    _call: Call | None = None
    _coroutine: Coroutine[Call, None, T] | None = None

    @abstractmethod
    def succeed(self, result: T) -> None:
        """What the coroutine returned."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """What the coroutine raised, or that the deadline has passed."""

    @property
    def waited(self) -> bool:
        """Whether any rows went to a batcher."""
        return self._call is not None

    def begin(self, coroutine: Coroutine[Call, None, T]) -> None:
        """Run it; it may be done when this returns."""
        self._coroutine = coroutine
        self._advance()

    def abandon(self) -> None:
        """Nobody wants the result: what waits in a queue leaves it and is never run."""
        if self._call is not None:
            self._call.callback = None
            self._call.cancel()
        if self._coroutine is not None:
            self._coroutine.close()

    def expire(self) -> None:
        """The deadline has passed."""
        self.fail(DeadlineExceeded("the time for this request is over"))

    def _advance(self) -> None:
        if self._call is not None:
            self.queue_seconds += self._call.queue_seconds
            self.compute_seconds += self._call.compute_seconds
        try:
            call = self._coroutine.send(None)  # type: ignore[union-attr]  # begun
        except StopIteration as done:
            result = done.value
        except Exception as error:
            self.fail(error)
            return
        else:
            self._call = call
            call.callback = self._advance
            if call.estimated_completion > self.deadline:
                self.fail(_too_late(call.estimated_completion - self.deadline))
            return
        self.succeed(result)


def _too_late(seconds: float) -> QueueFull:
    """What would be refused after it waited in vain is refused at once."""
    return QueueFull(
        f"the queue is too long for the time that this request has, by {seconds:.3f} s or so",
        retry_after=seconds,
    )
