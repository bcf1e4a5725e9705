"""Calls that wait: their order, and how many rows run before a new one."""

import numpy as np
import pytest

from service.batching.call import Call, Part
from service.batching.queue import CallQueue


@pytest.fixture
def queue() -> CallQueue:
    return CallQueue(batch_rows=4)


def add(queue: CallQueue, rows: int) -> Call:
    call = Call((np.zeros((rows, 1), np.float32),), queue.remove)
    queue.append(call)
    return call


def next_batch(queue: CallQueue, max_rows: int = 4) -> list[Part]:
    batch: list[Part] = []
    queue.fill(batch, max_rows)
    return batch


def batches(queue: CallQueue) -> list[list[tuple[Call, int, int]]]:
    found = []
    while queue:
        found.append([(part.call, part.start, part.rows) for part in next_batch(queue)])
    return found


def test_a_call_that_does_not_fit_gives_the_rows_that_fit_and_waits_again(queue: CallQueue) -> None:
    first, long, last = add(queue, 1), add(queue, 9), add(queue, 2)
    assert batches(queue) == [
        [(first, 0, 1), (long, 0, 3)],
        [(last, 0, 2), (long, 3, 2)],
        [(long, 5, 4)],
    ]
    assert queue.rows == 0


def test_a_cancelled_call_is_in_no_batch_and_takes_no_room(queue: CallQueue) -> None:
    gone, stays = add(queue, 7), add(queue, 2)
    gone.cancel()
    assert queue.rows == 2
    assert queue.rows_until(1) == 3
    assert batches(queue) == [[(stays, 0, 2)]]


def test_a_call_that_failed_in_part_leaves_with_the_rest(queue: CallQueue) -> None:
    call = add(queue, 9)
    next_batch(queue)[0].call.fail(ValueError())
    assert (list(queue), queue.rows, queue.rows_until(1)) == ([], 0, 1)
    assert call.done


def test_few_rows_wait_for_one_part_of_a_long_call_and_many_rows_for_all_of_it(
    queue: CallQueue,
) -> None:
    add(queue, 100)
    add(queue, 3)
    assert queue.rows_until(1) == 4 + 3 + 1
    assert queue.rows_until(50) == 100 + 3 + 50
    next_batch(queue)
    assert queue.rows_until(1) == 3 + 4 + 1


def test_the_size_of_a_batch_may_change_while_calls_wait(queue: CallQueue) -> None:
    long, short = add(queue, 100), add(queue, 3)
    queue.set_batch_rows(8)
    assert queue.rows_until(1) == 8 + 3 + 1
    assert next_batch(queue, 16)[0].rows == 16
    assert queue.rows_until(1) == 3 + 8 + 1
    long.cancel()
    short.cancel()
    assert (queue.rows, queue.rows_until(1)) == (0, 1)
