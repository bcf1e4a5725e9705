"""The 1,797 handwritten digits, 8×8, that come with scikit-learn: no download.

From "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998): each pixel counts, 0 to
16, how many of the 4×4 pixels under it were black.
"""

import numpy as np
import torch
from sklearn import datasets

from training.data.dataset import Dataset
from vae.manifest import InputSpec


def load_digits() -> Dataset:
    """(1797, 8, 8), uint8, labelled 0 to 9."""
    digits = datasets.load_digits()
    return Dataset(
        torch.from_numpy(digits.images.astype(np.uint8)),
        InputSpec(kind="image", shape=(8, 8), dtype="uint8", range=(0, 16)),
        torch.from_numpy(digits.target.astype(np.int64)),
    )
