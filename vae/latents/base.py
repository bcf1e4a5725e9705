"""What every model has between the encoder's (mu, logvar) and z: draws of q(z|x) and of p(z).

Objectives, evaluation, export and the service use only this interface, whatever the prior, the
posterior and the hierarchy are.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class PosteriorDraw(NamedTuple):
    """A draw from q(z|x) for each row, with its contributions to KL(q(z|x) ‖ p(z)), in nats."""

    z: Tensor
    """(batch, latent_dim)"""

    kl: Tensor
    """An unbiased estimate of KL(q(z|x) ‖ p(z)) in parts that sum to it, (batch, parts).

    A part is the closed form for one latent, given the draws that its prior depends on, or the
    ``log_ratio`` of latents whose KL has no closed form.
    """

    log_ratio: Tensor
    """log q(z|x) − log p(z) at ``z``, (batch,): the latent term of an importance weight."""


class Latents(nn.Module, ABC):
    """The pair of q(z|x), given the encoder's outputs, and p(z)."""

    noise_dim: int
    """How many N(0, 1) numbers ``sample_prior`` takes for a row."""

    parts: tuple[int, ...]
    """The number of latents in each part of ``PosteriorDraw.kl``, in the order of z."""

    @abstractmethod
    def sample_posterior(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> PosteriorDraw:
        """z ~ q(z|x) with its KL.

        ``mu``, ``logvar`` and the noise ``eps`` ~ N(0, I) are (batch, latent_dim).
        """

    @abstractmethod
    def sample_prior(self, noise: Tensor, temperature: Tensor) -> Tensor:
        """z ~ p(z), (batch, latent_dim), from ``noise`` ~ N(0, I), (batch, noise_dim).

        Standard deviations are multiplied by ``temperature``, (batch,).
        """

    def centre(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """The draw at eps = 0, (batch, latent_dim): the mean of a diagonal Gaussian posterior."""
        return self.sample_posterior(mu, logvar, torch.zeros_like(mu)).z

    @abstractmethod
    def frozen(self) -> "Latents":
        """The same for weights that no longer change; see ``Prior.frozen``."""
