"""A data set in memory and its split into training and held-out rows."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from training.data.row_source import InMemoryRows, RowSource
from vae.manifest import InputSpec


class DataError(Exception):
    """Data cannot be used. The message names the file and, if known, the column and the row."""


class TrainingSet(Protocol):
    """Training rows, in memory or streamed."""

    @property
    def input(self) -> InputSpec:
        """The shape and type of one row."""

    @property
    def rows(self) -> RowSource:
        """The rows."""

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows x, (rows, *input.shape), uint8 or float32, contiguous.

    ``labels``, (rows,) integers or None, are colours in the report and classes of a conditional
    model. ``classes`` are their names in order, if the source has names. ``c``, (rows,
    len(c_names)) float32 or None, are condition values that a conditional model receives instead.
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
    def rows(self) -> InMemoryRows:
        """The rows as a row source."""
        return InMemoryRows(self.x)


def split_dataset(dataset: Dataset, held_out: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split at random into training rows and held-out rows; ``seed`` decides the permutation.

    ``held_out`` is a fraction of the rows, 0 to 1. Raises DataError if a part would be empty.
    """
    rows = len(dataset)
    count = round(rows * held_out) if 0 < held_out < 1 else 0
    if not 0 < count < rows:
        raise DataError(
            f"a held-out fraction of {held_out} leaves {count} of {rows} rows for evaluation; "
            "both parts need at least one"
        )
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    return _select(dataset, order[count:]), _select(dataset, order[:count])


def _select(dataset: Dataset, rows: Tensor) -> Dataset:
    def chosen(part: Tensor | None) -> Tensor | None:
        return None if part is None else part.index_select(0, rows)

    x = dataset.x.index_select(0, rows)
    return replace(dataset, x=x, labels=chosen(dataset.labels), c=chosen(dataset.c))
