"""A data set in memory, its split, and the preprocessing that its values call for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from training.data.row_source import InMemory, Rows
from vae.manifest import InputSpec, Preprocessing

Scaling = Literal["range", "standardise", "none"]


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


def preprocessing(train: TrainingSet, scaling: Scaling) -> Preprocessing:
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
    def chosen(part: Tensor | None) -> Tensor | None:
        return None if part is None else part.index_select(0, rows)

    x = dataset.x.index_select(0, rows)
    return replace(dataset, x=x, labels=chosen(dataset.labels), c=chosen(dataset.c))


def _standardise(train: TrainingSet) -> Preprocessing:
    columns = 1 if train.input.kind == "image" else train.input.size
    return standardising(piece.reshape(-1, columns) for piece in train.rows.pieces())


def standardising(pieces: Iterator[Tensor]) -> Preprocessing:
    """To mean 0 and standard deviation 1 in each column of pieces (rows, columns); a constant one
    is only shifted.
    """
    mean, std = _moments(pieces)
    constant = std < torch.finfo(torch.float32).tiny
    return Preprocessing(shift=_floats(mean), scale=_floats(std.masked_fill(constant, 1.0)))


def _moments(pieces: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of pieces (rows, columns), float64, in one pass.

    The pieces' own moments are put together as in Chan, Golub and LeVeque 1983. Equal values sum
    without rounding: a float32 has 24 bits, a float64 has 53. So the deviation of a constant column
    is exactly 0.
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for piece in pieces:
        values = piece.double()
        rows, own = len(values), values.mean(0)
        away, before, count = own - mean, count, count + rows
        mean = mean + away * rows / count
        squares = squares + (values - own).square().sum(0) + away.square() * (before * rows / count)
    return mean, (squares / count).sqrt()


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(values.tolist())
