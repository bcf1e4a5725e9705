"""Draws of q(z|x) and p(z) from noise: one interface, by NumPy or by the bundle's graphs."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import numpy as np

from service.arrays import Float32
from service.models.finite import require_finite
from vae.graphs import POSTERIOR, PRIOR
from vae.manifest import Manifest

Run = Callable[..., Awaitable[tuple[Float32, ...]]]
"""Rows of the inputs of a graph, which goes first, to those of its outputs."""


class Latents(Protocol):
    """What lies between the encoder's outputs and z."""

    async def draw(self, mu: Float32, logvar: Float32, eps: Float32) -> tuple[Float32, Float32]:
        """z ~ q(z|x), (rows, latent_dim), and its KL from p(z) in nats, (rows,).

        Raises InvalidInput, naming the row, where either overflows.
        """

    async def centre(self, mu: Float32, logvar: Float32) -> Float32:
        """z at eps = 0, which stands for x: the mean of a diagonal posterior."""

    async def sample(self, noise: Float32, temperature: float) -> Float32:
        """z ~ p(z), (rows, latent_dim), from noise, (rows, noise_dim)."""


class Normal:
    """A diagonal posterior and a standard normal prior, in NumPy."""

    async def draw(self, mu: Float32, logvar: Float32, eps: Float32) -> tuple[Float32, Float32]:
        with np.errstate(over="ignore"):
            # Kingma and Welling 2014, section 2.4 and appendix B
            z: Float32 = mu + np.exp(0.5 * logvar) * eps
            kl: Float32 = 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)
        require_finite("z", z)
        require_finite("kl", kl)
        return z, kl

    async def centre(self, mu: Float32, logvar: Float32) -> Float32:  # noqa: ARG002
        return mu

    async def sample(self, noise: Float32, temperature: float) -> Float32:
        return np.float32(temperature) * noise


class ByGraphs:
    """All other latents, computed by the POSTERIOR and PRIOR graphs."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def draw(self, mu: Float32, logvar: Float32, eps: Float32) -> tuple[Float32, Float32]:
        z, kl = await self._run(POSTERIOR, mu, logvar, eps)
        return z, kl

    async def centre(self, mu: Float32, logvar: Float32) -> Float32:
        z, _ = await self._run(POSTERIOR, mu, logvar, np.zeros_like(mu))
        return z

    async def sample(self, noise: Float32, temperature: float) -> Float32:
        (z,) = await self._run(PRIOR, noise, np.full(len(noise), temperature, np.float32))
        return z


def latents(manifest: Manifest, run: Run) -> Latents:
    """The one for this model."""
    return Normal() if manifest.latents.closed_form else ByGraphs(run)
