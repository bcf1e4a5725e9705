"""Random numbers that depend on what they are for, not on what was drawn before.

Every epoch has its own generators, made from the run's seed and the epoch's number: a resumed run
draws what an unbroken one would, and no generator's state is ever stored.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a stream of random numbers is for. The values are part of a run's reproducibility."""

    WEIGHTS = 0
    ORDER = 1
    NOISE = 2
    EVALUATION = 3
    EXPORT = 4
    PICTURES = 5
    BINARISATION = 6
    DECOMPOSITION = 7
    SPLIT = 8
    BLOCKS = 9
    CHANCE = 10


def generator(
    seed: int, purpose: Purpose, number: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """The generator for ``purpose``, the ``number``-th of its kind."""
    return torch.Generator(device).manual_seed(derive(seed, purpose, number))


def derive(seed: int, purpose: Purpose, number: int = 0) -> int:
    """A 63-bit seed, well mixed from all three."""
    mixed = np.random.SeedSequence([seed, purpose, number]).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
