"""Calls that wait: their order, and how much runs before whom."""

import numpy as np
import pytest

from service.batching.call import Call
from service.batching.queue import Queue


@pytest.fixture
def queue() -> Queue:
    return Queue(batch_rows=4)


def join(queue: Queue, rows: int) -> Call:
    call = Call((np.zeros((rows, 1), np.float32),), queue.remove)
    queue.append(call)
    return call


def batches(queue: Queue) -> list[list[tuple[Call, int]]]:
    found = []
    while queue:
        found.append([(part.call, part.rows) for part in queue.next_batch()])
    return found


def test_who_does_not_fit_gives_what_fits_and_waits_again(queue: Queue) -> None:
    first, long, last = join(queue, 1), join(queue, 9), join(queue, 2)
    assert batches(queue) == [[(first, 1), (long, 3)], [(last, 2), (long, 2)], [(long, 4)]]
    assert queue.rows == 0


def test_who_leaves_is_in_no_batch_and_takes_no_room(queue: Queue) -> None:
    gone, stays = join(queue, 7), join(queue, 2)
    gone.cancel()
    assert queue.rows == 2
    assert queue.rows_until(1) == 3
    assert batches(queue) == [[(stays, 2)]]


def test_a_call_that_failed_in_part_leaves_with_the_rest(queue: Queue) -> None:
    call = join(queue, 9)
    queue.next_batch()[0].call.fail(ValueError())
    assert (list(queue), queue.rows, queue.rows_until(1)) == ([], 0, 1)
    assert call.done


def test_a_few_rows_wait_for_one_turn_of_a_long_call_and_many_for_all_of_it(queue: Queue) -> None:
    join(queue, 100)
    join(queue, 3)
    assert queue.rows_until(1) == 4 + 3 + 1
    assert queue.rows_until(50) == 100 + 3 + 50
    queue.next_batch()
    assert queue.rows_until(1) == 3 + 4 + 1
