"""The work of one request, up to each call that it waits for."""

from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest

from service.batching.call import Call, Rows
from service.batching.queue import CallQueue
from service.batching.work import Work
from service.errors import QueueFull


class Errand(Work[Rows]):
    """Keeps what became of it."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.outcome: Rows | Exception | None = None

    def succeed(self, result: Rows) -> None:
        self.outcome = result

    def fail(self, error: Exception) -> None:
        self.abandon()
        self.outcome = error


@pytest.fixture
def queue() -> CallQueue:
    return CallQueue(batch_rows=4)


@pytest.fixture
def call(queue: CallQueue) -> Call:
    call = Call((np.zeros((2, 1), np.float32),), queue.remove)
    call.expected = 100.0
    queue.append(call)
    return call


def awaiting(call: Call) -> Coroutine[Any, Any, Rows]:
    async def verb() -> Rows:
        return await call

    return verb()


def test_what_is_expected_in_time_waits(queue: CallQueue, call: Call) -> None:
    errand = Errand(deadline=100.0)
    errand.begin(awaiting(call))
    assert (errand.outcome, queue.rows) == (None, 2)
    call.complete(outputs := (np.ones((2, 1), np.float32),))
    assert errand.outcome is outputs


def test_what_would_be_too_late_is_refused_at_once_and_never_run(
    queue: CallQueue, call: Call
) -> None:
    errand = Errand(deadline=98.5)
    errand.begin(awaiting(call))
    assert isinstance(errand.outcome, QueueFull)
    assert "by 1.500 s" in errand.outcome.detail
    assert errand.outcome.headers == {"Retry-After": "2"}
    assert not queue
