"""The size of a batch follows the cost of a row while the model serves."""

import random
from collections.abc import Callable

import pytest

from service.batching.batch_size import BatchSize, best_size, candidates

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def serve(
    size: BatchSize, seconds: Callable[[int], float], batches: int, queued: int = 1000
) -> list[int]:
    """Run batches; returns their rows."""
    rows = []
    for _ in range(batches):
        rows.append(min(size.next_limit(queued), queued))
        if size.timed:
            size.record(rows[-1], seconds(rows[-1]))
    return rows


def test_candidates_are_powers_of_two_and_the_limit() -> None:
    assert candidates(256) == SIZES
    assert candidates(200) == (1, 2, 4, 8, 16, 32, 64, 128, 200)
    assert candidates(1) == (1,)


def test_the_largest_of_equally_good_sizes_is_chosen() -> None:
    assert best_size({1: 1.0, 8: 1.0, 64: 8.3, 256: 40.0}) == 64


@pytest.mark.parametrize("first", SIZES)
def test_any_first_choice_moves_to_the_best_size(first: int) -> None:
    noise = random.Random(first)

    def seconds(rows: int) -> float:
        exact = 0.010 + 0.001 * rows if rows <= 32 else 0.0013 * rows * (rows / 32) ** 0.3
        return exact * noise.paretovariate(3)

    size = BatchSize(first, SIZES)
    serve(size, seconds, 3000)
    assert size.rows in (16, 32, 64)


def test_noise_alone_moves_nothing_far() -> None:
    noise = random.Random(0)
    size = BatchSize(16, SIZES)
    serve(size, lambda rows: 0.001 * rows * noise.uniform(0.9, 1.1), 10_000)
    assert size.rows >= 8


def test_trials_become_rare() -> None:
    size = BatchSize(32, SIZES)
    rows = serve(size, lambda rows: 0.032 * max(rows / 32, 1) ** 1.5, 5000)
    assert size.rows == 32
    assert sum(each != 32 for each in rows[:100]) > 10
    assert sum(each != 32 for each in rows[-1000:]) < 10


def test_a_short_queue_is_no_trial() -> None:
    size = BatchSize(32, SIZES)
    assert set(serve(size, lambda rows: 1.0, 500, queued=31)) == {31}
    assert set(serve(size, lambda rows: 1.0, 500, queued=32)) == {16, 32}


def test_a_single_size_is_never_timed() -> None:
    size = BatchSize(8, (8,))
    assert set(serve(size, lambda rows: 1 / 0, 100)) == {8}
