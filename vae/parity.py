"""How far two engines are apart that should compute the same."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def difference(found: NDArray[Any], expected: NDArray[Any], *, terms: int = 1) -> float:
    """The largest |found − expected| / max(terms, |expected|): 0 is equal, NaN is not comparable.

    ``terms`` is how many numbers of size 1 an output is the sum of. log p(x|z) is one of as many as
    a row has elements; they cancel, so that its rounding error can exceed the sum itself.
    """
    scale = np.maximum(terms, np.abs(expected))
    return float((np.abs(found.astype(np.float64) - expected) / scale).max(initial=0.0))
