"""Batches of rows for training, from memory or streamed from files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from training.data.fingerprint import fingerprint
from training.system.distributed import ProcessGroup
from training.system.seeds import Purpose, generator

CHUNK_ELEMENTS = 1 << 18
"""Size of a piece for statistics: 2 MiB as float64, which fits into a cache."""


class Batch(NamedTuple):
    """This process's slice of a batch, x (slice, *shape), and the ``rows`` of the whole batch.

    c are the conditions of x, (slice, condition_dim), or None.
    """

    x: Tensor
    rows: int
    c: Tensor | None = None

    def local_slice(self, group: ProcessGroup) -> "Batch":
        """This process's slice, if ``self`` is a whole batch."""
        mine = group.local_slice(self.rows)
        return Batch(self.x[mine], self.rows, None if self.c is None else self.c[mine])


class RowSource(Protocol):
    """The interface of training data."""

    def __len__(self) -> int: ...

    def pieces(self) -> Iterator[Tensor]:
        """All rows in the order of the source, in pieces; for statistics."""

    def fingerprint(self) -> str:
        """A SHA-256 that identifies these rows."""

    def draw(self, count: int, noise: torch.Generator) -> Batch:
        """A whole batch of ``count`` rows, drawn at random with replacement."""

    def to(self, device: torch.device) -> Self:
        """The same rows, with batches on ``device``."""

    def batches(self, size: int, seed: int, epoch: int, group: ProcessGroup) -> Iterator[Batch]:
        """All rows once, in an order that depends only on ``seed`` and ``epoch``."""


def in_pieces(x: Tensor) -> Iterator[Tensor]:
    """Views of x, (rows, *shape), of up to CHUNK_ELEMENTS elements but at least one row."""
    return iter(torch.split(x, max(1, CHUNK_ELEMENTS // x[0].numel())))


@dataclass(frozen=True, eq=False)
class InMemoryRows:
    """The rows of one tensor x, (rows, *shape), on the device that trains.

    c are their conditions, (rows, condition_dim), or None.
    """

    x: Tensor
    c: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def pieces(self) -> Iterator[Tensor]:
        """Views of the tensor."""
        return in_pieces(self.x)

    def fingerprint(self) -> str:
        """The SHA-256 of the rows and their conditions, with types and shapes."""
        return fingerprint(self.x, self.c)

    def draw(self, count: int, noise: torch.Generator) -> Batch:
        """Rows at random, with replacement."""
        drawn = torch.randint(len(self), (count,), generator=noise)
        return self._batch(drawn.to(self.x.device), count)

    def to(self, device: torch.device) -> Self:
        """The rows on ``device``."""
        return type(self)(self.x.to(device), None if self.c is None else self.c.to(device))

    def batches(self, size: int, seed: int, epoch: int, group: ProcessGroup) -> Iterator[Batch]:
        """Batches selected by index, in a random order of all rows."""
        order = torch.randperm(len(self), generator=generator(seed, Purpose.ORDER, epoch))
        for rows in torch.split(order.to(self.x.device), size):
            yield self._batch(rows[group.local_slice(len(rows))], len(rows))

    def _batch(self, mine: Tensor, rows: int) -> Batch:
        c = None if self.c is None else self.c.index_select(0, mine)
        return Batch(self.x.index_select(0, mine), rows, c)
