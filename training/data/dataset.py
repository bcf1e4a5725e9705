"""A data set in memory, its split, and the preprocessing that its values call for."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vae.manifest import InputSpec, Preprocessing

Scaling = Literal["range", "standardise", "none"]

CHUNK_ELEMENTS = 1 << 22
"""Statistics go through the rows in float64 pieces of this size, 32 MiB, not all at once."""


class DataError(Exception):
    """Data cannot be used; the message names the file, and the column and row where there are."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of x, (rows, *input.shape), uint8 or float32, contiguous; and what one row is.

    ``labels``, (rows,) whole numbers, where the source has them: colours of the report.
    """

    x: Tensor
    input: InputSpec
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


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


def preprocessing(train: Dataset, scaling: Scaling) -> Preprocessing:
    """The affine map that brings the training rows to the scale that a network learns well on.

    - ``range``: [low, high] of the input to [0, 1], as a Bernoulli likelihood needs it;
    - ``standardise``: mean 0 and standard deviation 1, of each element of a vector, or of all
      pixels of all images together; a constant element is only shifted;
    - ``none``: x as it is.

    Raises DataError when ``range`` is asked for and the input has none.
    """
    if scaling == "none":
        return Preprocessing()
    if scaling == "standardise":
        return _standardise(train)
    if train.input.range is None:
        raise DataError("scaling by range needs data with known bounds; standardise these instead")
    low, high = train.input.range
    return Preprocessing(shift=(low,), scale=(high - low,))


def _select(dataset: Dataset, rows: Tensor) -> Dataset:
    labels = None if dataset.labels is None else dataset.labels.index_select(0, rows)
    return Dataset(dataset.x.index_select(0, rows), dataset.input, labels)


def _standardise(train: Dataset) -> Preprocessing:
    values = train.x.reshape(-1, 1) if train.input.kind == "image" else train.x
    mean, std = _moments(values)
    constant = std < torch.finfo(torch.float32).tiny
    return Preprocessing(shift=_floats(mean), scale=_floats(std.masked_fill(constant, 1.0)))


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of (rows, columns), float64, in two passes.

    Equal values sum without rounding: a float32 has 24 bits, a float64 has 53. So the deviation of
    a constant column is exactly 0.
    """
    rows, columns = values.shape
    chunks = torch.split(values, max(1, CHUNK_ELEMENTS // columns))
    total = torch.zeros(columns, dtype=torch.float64)
    for chunk in chunks:
        total += chunk.double().sum(0)
    mean = total / rows
    squares = torch.zeros_like(mean)
    for chunk in chunks:
        squares += (chunk.double() - mean).square().sum(0)
    return mean, (squares / rows).sqrt()


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())
