"""Calibration of p-values: the scores of held-out rows, with which a server compares a score."""

import numpy as np
from numpy.typing import NDArray

from vae.manifest import Calibration


def calibration(scores: NDArray[np.float32]) -> Calibration:
    """The manifest's summary of ``calibration.npz``."""
    exact = scores.astype(np.float64)
    return Calibration(rows=len(exact), mean=float(exact.mean()), std=float(exact.std()))
