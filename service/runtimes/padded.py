"""Batches of any size by way of a few sizes, for engines that want shapes they have seen before.

A CUDA graph is of fixed shapes, and cuDNN looks for an algorithm again for each new one. Knows no
engine.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from threading import Lock
from typing import Final, NamedTuple, Protocol

import numpy as np

from service.arrays import Float32

SIZES: Final = (1, 4, 16, 64, 256)

Rows = tuple[Float32, ...]


class Slot(Protocol):
    """Buffers for batches of a fixed size, used by one thread at a time.

    Rows that are not given hold what was there before: no row of a graph depends on another.
    """

    def start(self, inputs: Rows) -> None:
        """Begin on the first rows of the buffers, whatever became of the batch before."""

    def finish(self) -> Rows:
        """Wait. The outputs of the rows that were given, in arrays of their own."""


class Piece(NamedTuple):
    """Rows from ``start`` to ``stop`` of a batch, to run in a slot of ``size`` rows."""

    start: int
    stop: int
    size: int


def pieces(rows: int, sizes: Sequence[int]) -> Iterator[Piece]:
    """As many of the largest size as are full, and the rest in the smallest that holds it.

    ``sizes`` ascend.
    """
    largest = sizes[-1]
    for start in range(0, rows, largest):
        stop = min(start + largest, rows)
        yield Piece(start, stop, next(size for size in sizes if size >= stop - start))


class Padded:
    """A graph by its slots, in lanes that run side by side: each a slot for every size.

    With two lanes the rows of one piece travel while those of another are computed.
    """

    def __init__(self, lanes: Sequence[Mapping[int, Slot]]) -> None:
        self._lanes = lanes
        self._sizes = sorted(lanes[0])
        self._lock = Lock()

    def run(self, inputs: Rows) -> Rows:
        """The outputs for any number of rows but none, from any thread."""
        with self._lock:
            done = list(self._run(inputs))
        if len(done) == 1:
            return done[0]
        return tuple(np.concatenate(parts) for parts in zip(*done, strict=True))

    def _run(self, inputs: Rows) -> Iterator[Rows]:
        under_way: deque[Slot] = deque()
        lanes = cycle(self._lanes)
        for start, stop, size in pieces(len(inputs[0]), self._sizes):
            if len(under_way) == len(self._lanes):
                yield under_way.popleft().finish()
            slot = next(lanes)[size]
            slot.start(tuple(array[start:stop] for array in inputs))
            under_way.append(slot)
        while under_way:
            yield under_way.popleft().finish()
