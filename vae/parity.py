"""How far two engines are apart that should compute the same, measured in each output's own size.

Rounding errors are as large as the numbers that an output is made of, not as the output: a pixel
near 0 on a scale of 255 is a difference of such numbers, and log p(x|z) is a sum that cancels.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae.manifest import ModelSpec


def magnitudes(spec: ModelSpec) -> dict[str, NDArray[np.float64]]:
    """For each output of vae.graphs, the size of the numbers it is made of.

    1 for mu, logvar, z and latents, the number of elements for log_px_z, that of latents for kl,
    and for mean, in units of the data, the larger of shift and scale of each element, shaped to
    broadcast with a batch.
    """
    per_element = np.maximum(np.abs(spec.preprocessing.shift), spec.preprocessing.scale)
    mean = np.broadcast_to(per_element, spec.input.size).reshape(spec.input.shape)
    latents = dict.fromkeys(("mu", "logvar", "z", "latents"), np.array(1.0))
    sums = {
        "log_px_z": np.array(float(spec.input.size)),
        "kl": np.array(float(spec.latent_dim)),
    }
    return {**latents, **sums, "mean": mean}


def difference(found: NDArray[Any], expected: NDArray[Any], magnitude: ArrayLike = 1.0) -> float:
    """The largest |found − expected| / max(magnitude, |expected|): 0 is equal, NaN is neither."""
    scale = np.maximum(magnitude, np.abs(expected))
    return float((np.abs(found.astype(np.float64) - expected) / scale).max(initial=0.0))
