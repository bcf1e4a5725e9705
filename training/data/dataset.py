"""A data set in memory, its split, and the preprocessing that its values call for."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from training.data.row_source import InMemory, Rows
from vae.manifest import InputSpec


class DataError(Exception):
    """Data cannot be used; the message names the file, and the column and row where there are."""


class TrainingSet(Protocol):
    """Rows to train on, wherever they lie."""

    @property
    def input(self) -> InputSpec:
        """What one row is."""

    @property
    def rows(self) -> Rows:
        """The rows."""

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of x, (rows, *input.shape), uint8 or float32, contiguous; and what one row is.

    ``labels``, (rows,) whole numbers, where the source has them: colours of the report and classes
    of a conditional model. ``classes`` names them in their order where the source does.
    ``c``, (rows, len(c_names)) float32, are numbers that a conditional model is told instead.
    """

    x: Tensor
    input: InputSpec
    labels: Tensor | None = None
    classes: tuple[str, ...] | None = None
    c: Tensor | None = None
    c_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def rows(self) -> InMemory:
        """As training goes through them."""
        return InMemory(self.x)


def split(dataset: Dataset, held_out: float, seed: int) -> tuple[Dataset, Dataset]:
    """The training rows and the held-out rows, by a permutation that ``seed`` decides.

    ``held_out`` is a fraction of the rows, 0 to 1. Raises DataError when either part would be
    empty.
    """
    rows = len(dataset)
    count = round(rows * held_out) if 0 < held_out < 1 else 0
    if not 0 < count < rows:
        raise DataError(
            f"a held-out fraction of {held_out} leaves {count} of {rows} rows for evaluation; "
            "both parts need one or more"
        )
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return _select(dataset, order[count:]), _select(dataset, order[:count])


def _select(dataset: Dataset, rows: Tensor) -> Dataset:
    def chosen(part: Tensor | None) -> Tensor | None:
        return None if part is None else part.index_select(0, rows)

    x = dataset.x.index_select(0, rows)
    return replace(dataset, x=x, labels=chosen(dataset.labels), c=chosen(dataset.c))
