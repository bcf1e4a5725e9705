"""The preprocessing of the training rows: scaling by range or to mean 0 and deviation 1."""

from collections.abc import Iterator

import torch
from torch import Tensor

from training.config.types import Scaling
from training.data.dataset import DataError, TrainingSet
from vae.manifest import Preprocessing


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
