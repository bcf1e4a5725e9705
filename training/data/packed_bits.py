"""Binary 28×28 images with eight pixels per byte: MNIST as binarised by Larochelle and Murray 2011.

The static binarisation of published results is distributed as an ``.npz`` file with the arrays
``train``, ``valid`` and ``test``, each (rows, 98) of uint8, with the first pixel in the highest
bit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

PARTS = frozenset(("train", "valid", "test"))
SIDE = 28


def is_packed(stored: Mapping[str, Array], name: str) -> bool:
    """Whether the array ``name`` of an ``.npz`` file is one of these arrays."""
    if name not in PARTS or not set(stored) <= PARTS:
        return False
    array = stored[name]
    return array.dtype == np.uint8 and array.shape[1:] == (SIDE * SIDE // 8,)


def unpack(array: Array) -> Array:
    """Convert (rows, 98) of uint8 to (rows, 28, 28) of 0 and 1."""
    return np.unpackbits(array, axis=1).reshape(-1, SIDE, SIDE)
