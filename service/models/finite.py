"""What a model makes of rows is finite, or an error that names the row."""

import numpy as np

from service.arrays import Float32, all_finite
from service.errors import InvalidInput


def require_finite(name: str, array: Float32) -> None:
    """Raises InvalidInput where ``array`` is not finite.

    Inputs far outside the training data can overflow, so the caller gets an error.
    """
    if not all_finite(array):
        row = int(np.argmax(~np.isfinite(array).reshape(len(array), -1).all(axis=1)))
        raise InvalidInput(
            f"the model's {name} is not finite; "
            "the values of this row are too far from what the model was trained on",
            row=row,
        )
