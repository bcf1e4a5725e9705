"""Batches of any size in fixed batches of a few sizes, which here compute with NumPy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.runtimes.padded import SIZES, PaddedGraph, Rows, chunks

STALE = 1e9


class FakeBatch:
    """Doubles its rows; ``log`` lists the calls of its methods, with its replica and size."""

    def __init__(self, replica: int, size: int, log: list[tuple[str, int, int]]) -> None:
        self._name = (replica, size)
        self._log = log
        self._buffer = np.full((size, 2), STALE, np.float32)
        self._rows = 0

    def start(self, inputs: Rows) -> None:
        self._log.append(("start", *self._name))
        self._rows = len(inputs[0])
        self._buffer[: self._rows] = inputs[0]

    def finish(self) -> Rows:
        self._log.append(("finish", *self._name))
        return (2 * self._buffer[: self._rows], self._buffer[: self._rows].sum(axis=1))


def padded(sizes: Sequence[int], count: int) -> tuple[PaddedGraph, list[tuple[str, int, int]]]:
    log: list[tuple[str, int, int]] = []
    replicas = [{size: FakeBatch(replica, size, log) for size in sizes} for replica in range(count)]
    return PaddedGraph(replicas), log


def batch(rows: int) -> Any:
    return np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (1, [(0, 1, 1)]),
        (2, [(0, 2, 4)]),
        (4, [(0, 4, 4)]),
        (9, [(0, 4, 4), (4, 8, 4), (8, 9, 1)]),
        (0, []),
    ],
)
def test_the_rest_takes_the_smallest_size_that_holds_it(
    rows: int, expected: list[tuple[int, int, int]]
) -> None:
    assert list(chunks(rows, (1, 4))) == expected


@given(rows=st.integers(1, 2000), sizes=st.sets(st.integers(1, 300), min_size=1).map(sorted))
def test_chunks_cover_every_row_once(rows: int, sizes: list[int]) -> None:
    found = list(chunks(rows, sizes))
    assert [row for each in found for row in range(each.start, each.stop)] == list(range(rows))
    for each in found:
        assert each.size in sizes
        assert not [size for size in sizes if each.stop - each.start <= size < each.size]


@given(rows=st.integers(1, 40), replicas=st.integers(1, 3))
def test_every_row_gets_its_own_answer(rows: int, replicas: int) -> None:
    run, _ = padded((1, 3, 8), replicas)
    x = batch(rows)
    doubled, sums = run.run((x,))
    assert np.array_equal(doubled, 2 * x)
    assert np.array_equal(sums, x.sum(axis=1))


def test_replicas_take_turns_and_are_finished_before_they_start_again() -> None:
    run, log = padded((1, 4), 2)
    run.run((batch(13),))
    assert log == [
        ("start", 0, 4),
        ("start", 1, 4),
        ("finish", 0, 4),
        ("start", 0, 4),
        ("finish", 1, 4),
        ("start", 1, 1),
        ("finish", 0, 4),
        ("finish", 1, 1),
    ]


def test_the_sizes_ascend_and_begin_with_one() -> None:
    assert SIZES[0] == 1
    assert list(SIZES) == sorted(set(SIZES))
