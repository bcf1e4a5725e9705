"""Binary images of 28×28 with eight pixels in a byte: MNIST as Larochelle and Murray 2011 drew it.

The static binarisation that results are published on is handed about as an ``.npz`` of the parts
``train``, ``valid`` and ``test``, each (rows, 98) of bytes, the first pixel in the highest bit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

PARTS = frozenset(("train", "valid", "test"))
SIDE = 28


def is_packed(stored: Mapping[str, Array], name: str) -> bool:
    """Whether the array ``name`` of a file is one of these parts."""
    if name not in PARTS or not set(stored) <= PARTS:
        return False
    array = stored[name]
    return array.dtype == np.uint8 and array.shape[1:] == (SIDE * SIDE // 8,)


def unpack(array: Array) -> Array:
    """(rows, 98) of bytes to (rows, 28, 28) of 0 and 1."""
    return np.unpackbits(array, axis=1).reshape(-1, SIDE, SIDE)
