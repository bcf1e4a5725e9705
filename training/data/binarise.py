"""Binarise gray values: draw x from Bernoulli(gray), as in published results.

Salakhutdinov and Murray 2008 draw once. Burda et al. 2016 draw anew in every epoch, which improves
results by some nats, because the model cannot memorise the images.
"""

from dataclasses import replace

import torch
from torch import Tensor

from training.data.dataset import DataError, Dataset
from training.system.seeds import Purpose, generator

CHUNK_ROWS = 4096


def binarise(x: Tensor, limits: tuple[float, float], uniform: Tensor) -> Tensor:
    """Set each value of x to the upper or the lower limit, with its relative position between the
    limits as the probability of the upper one. Shape and type do not change.

    ``uniform`` is noise from 0 to 1 with the shape of x.
    """
    low, high = limits
    return torch.where(uniform * (high - low) + low < x, high, low).to(x.dtype)


def binarise_dataset(dataset: Dataset, seed: int) -> Dataset:
    """The data set, binarised once with noise from ``seed``.

    Raises DataError if its values have no known range.
    """
    if dataset.input.range is None:
        raise DataError("binarise: needs values with known bounds, such as images have")
    noise = generator(seed, Purpose.BINARISATION)
    chunks = torch.split(dataset.x, CHUNK_ROWS)
    drawn = [
        binarise(rows, dataset.input.range, torch.rand(rows.shape, generator=noise))
        for rows in chunks
    ]
    return replace(dataset, x=torch.cat(drawn))
