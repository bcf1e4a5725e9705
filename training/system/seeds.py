"""Random generators that depend on the run's seed and their purpose, not on earlier draws.

Every epoch has its own generators, made from the run's seed and the epoch's number. A resumed run
draws the same numbers as an uninterrupted one, and no generator state has to be stored.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """The use of a stream of random numbers. Changing a value changes the results of all runs."""

    WEIGHTS = 0
    ORDER = 1
    NOISE = 2
    EVALUATION = 3
    EXPORT = 4
    IMAGES = 5
    BINARISATION = 6
    DECOMPOSITION = 7
    SPLIT = 8
    BLOCKS = 9
    RANDOM_BATCHES = 10


def generator(
    seed: int, purpose: Purpose, number: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """The ``number``-th generator for ``purpose``, for example that of an epoch."""
    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, number))


def derive_seed(seed: int, purpose: Purpose, number: int = 0) -> int:
    """A 63-bit seed that is a hash of all three numbers."""
    mixed = np.random.SeedSequence([seed, purpose, number]).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
