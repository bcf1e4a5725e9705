"""Black and white from gray: x is drawn from Bernoulli(gray), as published results have it.

Salakhutdinov and Murray 2008 draw once; Burda et al. 2016 anew whenever a picture is shown, which
is worth some nats: no two epochs have the same pictures to learn by heart.
"""

from dataclasses import replace

import torch
from torch import Tensor

from training.data.dataset import DataError, Dataset
from training.system.seeds import Purpose, generator

CHUNK_ROWS = 4096


def binarise(x: Tensor, limits: tuple[float, float], uniform: Tensor) -> Tensor:
    """Each value of x becomes the upper limit with the probability of its place between the two,
    else the lower one; shape and type stay. ``uniform`` is noise from 0 to 1, shaped like x.
    """
    low, high = limits
    return torch.where(uniform * (high - low) + low < x, high, low).to(x.dtype)


def binarised(dataset: Dataset, seed: int) -> Dataset:
    """The data set drawn once, as ``seed`` decides. Raises DataError when its values have no limits
    to draw between.
    """
    if dataset.input.range is None:
        raise DataError("binarise: needs values with known bounds, as images have them")
    noise = generator(seed, Purpose.BINARISATION)
    chunks = torch.split(dataset.x, CHUNK_ROWS)
    drawn = [
        binarise(rows, dataset.input.range, torch.rand(rows.shape, generator=noise))
        for rows in chunks
    ]
    return replace(dataset, x=torch.cat(drawn))
