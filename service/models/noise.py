"""Standard normal noise that depends on the seed and the row alone.

Philox is counter-based (Salmon et al. 2011): a generator costs a few microseconds to make, so each
request has its own and no state is shared. Rows are drawn in order, so that row *i* of seed *s* has
the same bits for any number of rows, in any batch, on any worker and after a restart.
"""

import secrets
from typing import Final

import numpy as np

from service.arrays import Float32

MAX_SEED: Final = 2**63 - 1


def standard_normal(seed: int | None, shape: tuple[int, ...]) -> Float32:
    """ε ~ N(0, 1) of ``shape``, rows first; ``seed`` None draws a fresh seed from the system."""
    key = secrets.randbits(63) if seed is None else seed
    return np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, dtype=np.float32)
