"""Choose the preprocessing: scale by range, or to mean 0 and standard deviation 1."""

from collections.abc import Iterator

import torch
from torch import Tensor

from training.config.types import Scaling
from training.data.dataset import DataError, TrainingSet
from vae.manifest import Preprocessing


def preprocessing_section(train: TrainingSet, scaling: Scaling) -> Preprocessing:
    """The affine map of the training rows to the scale of the networks.

    - ``range``: from [low, high] of the input to [0, 1], which a Bernoulli likelihood requires;
    - ``standardise``: to mean 0 and standard deviation 1, for each element of a vector, or for all
      pixels of all images together. A constant element is only shifted;
    - ``none``: x unchanged.

    Raises DataError for ``range`` if the input has no range.
    """
    if scaling == "none":
        return Preprocessing()
    if scaling == "standardise":
        return _standardise(train)
    if train.input.range is None:
        raise DataError("scaling by range needs data with known bounds; use standardise")
    low, high = train.input.range
    return Preprocessing(shift=(low,), scale=(high - low,))


def _standardise(train: TrainingSet) -> Preprocessing:
    columns = 1 if train.input.kind == "image" else train.input.size
    return standardisation_section(piece.reshape(-1, columns) for piece in train.rows.pieces())


def standardisation_section(pieces: Iterator[Tensor]) -> Preprocessing:
    """Scale each column of the pieces, (rows, columns), to mean 0 and standard deviation 1.

    A constant column is only shifted.
    """
    mean, std = _moments(pieces)
    constant = std < torch.finfo(torch.float32).tiny
    return Preprocessing(shift=_floats(mean), scale=_floats(std.masked_fill(constant, 1.0)))


def _moments(pieces: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of pieces (rows, columns), float64, in one pass.

    The moments of the pieces are combined as in Chan, Golub and LeVeque 1983. A float64 sum of
    equal float32 values has no rounding error, so the deviation of a constant column is exactly 0.
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
