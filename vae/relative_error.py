"""How far the outputs of two runtimes differ, relative to the numbers each output is made of.

Rounding errors are proportional to the operands and not to the result: a pixel near 0 on a scale of
255 is a difference of large numbers, and log p(x|z) is a sum in which terms cancel.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae.manifest import ModelSpec


def output_magnitudes(spec: ModelSpec) -> dict[str, NDArray[np.float64]]:
    """The magnitude of the numbers that each output of ``vae.graphs`` is made of, by its name.

    It is 1 for mu, logvar, z and latents, the number of elements of x for log_px_z, and the number
    of latents for kl. For mean it is, in the units of the data, the larger of |shift| and scale of
    each element, in the shape of a row.
    """
    per_element = np.maximum(np.abs(spec.preprocessing.shift), spec.preprocessing.scale)
    mean = np.broadcast_to(per_element, spec.input.size).reshape(spec.input.shape)
    latents = dict.fromkeys(("mu", "logvar", "z", "latents"), np.array(1.0))
    sums = {
        "log_px_z": np.array(float(spec.input.size)),
        "kl": np.array(float(spec.latent_dim)),
    }
    return {**latents, **sums, "mean": mean}


def relative_error(
    found: NDArray[Any], expected: NDArray[Any], magnitude: ArrayLike = 1.0
) -> float:
    """The maximum of |found − expected| / max(magnitude, |expected|) over all elements.

    ``found`` and ``expected`` have the same shape, (rows, …); ``magnitude`` broadcasts with them.
    The result is 0 if both are equal and NaN if either holds a NaN.
    """
    scale = np.maximum(magnitude, np.abs(expected))
    return float((np.abs(found.astype(np.float64) - expected) / scale).max(initial=0.0))
