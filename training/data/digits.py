"""The 1,797 handwritten 8×8 digits that scikit-learn contains; no download is needed.

From "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998): each pixel counts, 0 to
16, how many of 4×4 binary pixels were black.
"""

import numpy as np
import torch
from sklearn import datasets

from training.data.dataset import Dataset
from vae.manifest import InputSpec


def load_digits() -> Dataset:
    """The digits, (1797, 8, 8) uint8, with labels 0 to 9."""
    digits = datasets.load_digits()
    return Dataset(
        torch.from_numpy(digits.images.astype(np.uint8)),
        InputSpec(kind="image", shape=(8, 8), dtype="uint8", range=(0, 16)),
        torch.from_numpy(digits.target.astype(np.int64)),
    )
