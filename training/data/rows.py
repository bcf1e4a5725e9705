"""Rows of x as training goes through them, whether they lie in memory or not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from training.fingerprint import fingerprint
from training.group import Group
from training.seeds import Purpose, generator

CHUNK_ELEMENTS = 1 << 18
"""Statistics go through the rows in pieces of this size: 2 MiB as float64, which a cache holds."""


class Batch(NamedTuple):
    """This process's slice of a batch, (slice, *shape), and the ``rows`` of the whole batch."""

    x: Tensor
    rows: int


class Rows(Protocol):
    """What training asks of its data."""

    def __len__(self) -> int: ...

    def pieces(self) -> Iterator[Tensor]:
        """All rows in their own order, some at a time; for statistics."""

    def fingerprint(self) -> str:
        """What tells these rows from others: a SHA-256."""

    def draw(self, count: int, noise: torch.Generator) -> Tensor:
        """``count`` rows by chance, with replacement."""

    def to(self, device: torch.device) -> Self:
        """The same rows, in batches on ``device``."""

    def batches(self, size: int, seed: int, epoch: int, group: Group) -> Iterator[Batch]:
        """All rows once, in an order that depends on ``seed`` and ``epoch`` alone."""


def in_pieces(x: Tensor) -> Iterator[Tensor]:
    """The rows of x, (rows, *shape), as views of CHUNK_ELEMENTS, and of one row at least."""
    return iter(torch.split(x, max(1, CHUNK_ELEMENTS // x[0].numel())))


@dataclass(frozen=True, eq=False)
class InMemory:
    """Rows of one tensor, (rows, *shape), on the device that trains."""

    x: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def pieces(self) -> Iterator[Tensor]:
        """Views of the tensor."""
        return in_pieces(self.x)

    def fingerprint(self) -> str:
        """SHA-256 of the rows, their type and their shape."""
        return fingerprint(self.x)

    def draw(self, count: int, noise: torch.Generator) -> Tensor:
        """Rows by chance, with replacement."""
        return self.x[torch.randint(len(self), (count,), generator=noise)]

    def to(self, device: torch.device) -> Self:
        """The rows on ``device``."""
        return type(self)(self.x.to(device))

    def batches(self, size: int, seed: int, epoch: int, group: Group) -> Iterator[Batch]:
        """Batches by index, in an order of the whole."""
        order = torch.randperm(len(self), generator=generator(seed, Purpose.ORDER, epoch))
        for rows in torch.split(order.to(self.x.device), size):
            yield Batch(self.x.index_select(0, rows[group.part(len(rows))]), len(rows))
