"""Calibration of p-values: the scores of held-out rows, with which a server compares a score."""

import numpy as np
from numpy.typing import NDArray

from vae.bundle import to_npz
from vae.manifest import Calibration


def calibration_file(scores: NDArray[np.float32]) -> bytes:
    """``calibration.npz``: the sorted single-draw ELBOs of the held-out rows, in nats."""
    return to_npz({"elbo": np.sort(scores)})


def calibration_section(scores: NDArray[np.float32]) -> Calibration:
    """The manifest's summary of ``calibration.npz``."""
    exact = scores.astype(np.float64)
    return Calibration(rows=len(exact), mean=float(exact.mean()), std=float(exact.std()))
