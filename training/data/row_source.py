"""Rows of x as training goes through them, whether they lie in memory or not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from training.data.fingerprint import fingerprint
from training.system.distributed import Group
from training.system.seeds import Purpose, generator

CHUNK_ELEMENTS = 1 << 18
"""Statistics go through the rows in pieces of this size: 2 MiB as float64, which a cache holds."""


class Batch(NamedTuple):
    """This process's slice of a batch, (slice, *shape), and the ``rows`` of the whole batch.

    c are the conditions of x, (slice, condition_dim), where they have some.
    """

    x: Tensor
    rows: int
    c: Tensor | None = None

    def part(self, group: Group) -> "Batch":
        """A process's slice of a batch that is whole."""
        mine = group.part(self.rows)
        return Batch(self.x[mine], self.rows, None if self.c is None else self.c[mine])


class Rows(Protocol):
    """What training asks of its data."""

    def __len__(self) -> int: ...

    def pieces(self) -> Iterator[Tensor]:
        """All rows in their own order, some at a time; for statistics."""

    def fingerprint(self) -> str:
        """What tells these rows from others: a SHA-256."""

    def draw(self, count: int, noise: torch.Generator) -> Batch:
        """``count`` rows by chance, with replacement: a whole batch."""

    def to(self, device: torch.device) -> Self:
        """The same rows, in batches on ``device``."""

    def batches(self, size: int, seed: int, epoch: int, group: Group) -> Iterator[Batch]:
        """All rows once, in an order that depends on ``seed`` and ``epoch`` alone."""


def in_pieces(x: Tensor) -> Iterator[Tensor]:
    """The rows of x, (rows, *shape), as views of CHUNK_ELEMENTS, and of one row at least."""
    return iter(torch.split(x, max(1, CHUNK_ELEMENTS // x[0].numel())))


@dataclass(frozen=True, eq=False)
class InMemory:
    """Rows of one tensor, (rows, *shape), on the device that trains.

    c are their conditions, (rows, condition_dim), where a conditional model is told them.
    """

    x: Tensor
    c: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def pieces(self) -> Iterator[Tensor]:
        """Views of the tensor."""
        return in_pieces(self.x)

    def fingerprint(self) -> str:
        """SHA-256 of the rows and their conditions, with their types and their shapes."""
        return fingerprint(self.x, self.c)

    def draw(self, count: int, noise: torch.Generator) -> Batch:
        """Rows by chance, with replacement."""
        drawn = torch.randint(len(self), (count,), generator=noise)
        return self._batch(drawn.to(self.x.device), count)

    def to(self, device: torch.device) -> Self:
        """The rows on ``device``."""
        return type(self)(self.x.to(device), None if self.c is None else self.c.to(device))

    def batches(self, size: int, seed: int, epoch: int, group: Group) -> Iterator[Batch]:
        """Batches by index, in an order of the whole."""
        order = torch.randperm(len(self), generator=generator(seed, Purpose.ORDER, epoch))
        for rows in torch.split(order.to(self.x.device), size):
            yield self._batch(rows[group.part(len(rows))], len(rows))

    def _batch(self, mine: Tensor, rows: int) -> Batch:
        c = None if self.c is None else self.c.index_select(0, mine)
        return Batch(self.x.index_select(0, mine), rows, c)
