"""Batches of any size through a few fixed sizes, for engines that want shapes they have seen.

A CUDA graph has fixed shapes, and cuDNN chooses an algorithm again for each new shape. This module
knows no engine.
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


class FixedBatch(Protocol):
    """A graph for batches of one size, with its buffers; used by one thread at a time.

    Rows of the buffers that are not filled keep old values: no row of a graph depends on another.
    """

    def start(self, inputs: Rows) -> None:
        """Copy the rows in and start the computation, whatever became of the batch before."""

    def finish(self) -> Rows:
        """Wait; returns the outputs of the rows that were copied in, in new arrays."""


class Chunk(NamedTuple):
    """Rows ``start`` to ``stop`` of a batch, to run in a fixed batch of ``size`` rows."""

    start: int
    stop: int
    size: int


def chunks(rows: int, sizes: Sequence[int]) -> Iterator[Chunk]:
    """Split ``rows`` into full chunks of the largest size and the smallest one for the rest.

    ``sizes`` ascend.
    """
    largest = sizes[-1]
    for start in range(0, rows, largest):
        stop = min(start + largest, rows)
        yield Chunk(start, stop, next(size for size in sizes if size >= stop - start))


class PaddedGraph:
    """A graph in fixed batches of a few sizes; ``replicas`` each have one of every size.

    With two replicas the rows of one chunk are copied while those of another are computed.
    """

    def __init__(self, replicas: Sequence[Mapping[int, FixedBatch]]) -> None:
        self._replicas = replicas
        self._sizes = sorted(replicas[0])
        self._lock = Lock()

    def run(self, inputs: Rows) -> Rows:
        """The outputs for one row or more, from any thread."""
        with self._lock:
            outputs = list(self._run(inputs))
        if len(outputs) == 1:
            return outputs[0]
        return tuple(np.concatenate(arrays) for arrays in zip(*outputs, strict=True))

    def _run(self, inputs: Rows) -> Iterator[Rows]:
        running: deque[FixedBatch] = deque()
        replicas = cycle(self._replicas)
        for start, stop, size in chunks(len(inputs[0]), self._sizes):
            if len(running) == len(self._replicas):
                yield running.popleft().finish()
            batch = next(replicas)[size]
            batch.start(tuple(array[start:stop] for array in inputs))
            running.append(batch)
        while running:
            yield running.popleft().finish()
