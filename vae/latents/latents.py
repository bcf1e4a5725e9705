"""Everything between the encoder's (mu, logvar) and z: one pair of draws, of q(z|x) and of p(z).

No hierarchy, flow or learned prior shows more of itself to the rest of the model than this pair, so
that objectives, evaluation, export and service are written once.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae.latents.gaussian import kl_divergence, reparameterise
from vae.latents.posteriors import Posterior
from vae.latents.priors import Prior


class Draw(NamedTuple):
    """A draw from q(z|x) of each row, and what it says of the distance to p(z) in nats.

    ``kl`` is an unbiased estimate of KL(q(z|x) ‖ p(z)) in parts that add up to it: the closed form
    of each latent where there is one, given the draws that it depends on, else ``log_ratio`` of the
    latents that only have a density together. ``log_ratio`` is log q(z|x) − log p(z) at ``z``,
    which importance weights are made of.
    """

    z: Tensor  # (batch, latent_dim)
    kl: Tensor  # (batch, parts)
    log_ratio: Tensor  # (batch,)


class Latents(nn.Module, ABC):
    """q(z|x) given the encoder's outputs, and p(z)."""

    noise_dim: int
    """Numbers of noise that a row of ``sample`` takes."""

    parts: tuple[int, ...]
    """How many latents each part of ``Draw.kl`` is of, in the order of z."""

    @abstractmethod
    def draw(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> Draw:
        """z ~ q(z|x); mu, logvar and the noise eps are (batch, latent_dim)."""

    @abstractmethod
    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        """z ~ p(z) from noise, (batch, noise_dim), with deviations times temperature, (batch,)."""

    def centre(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """z at eps = 0, the one that stands for x: of a diagonal posterior its mean."""
        return self.draw(mu, logvar, torch.zeros_like(mu)).z

    @abstractmethod
    def settled(self) -> "Latents":
        """The same for weights that no longer change; see Prior.settled."""


class Normal(Latents):
    """A diagonal posterior and a standard normal prior (Kingma and Welling 2014)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.noise_dim = dim
        self.parts = (1,) * dim

    def draw(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> Draw:
        z = reparameterise(mu, logvar, eps)
        log_ratio = 0.5 * (z.square() - eps.square() - logvar).sum(dim=1)
        return Draw(z, kl_divergence(mu, logvar), log_ratio)

    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return temperature[:, None] * noise

    def settled(self) -> Latents:
        return self


class Joint(Latents):
    """Any posterior with any prior: the KL is known only at a draw, of all latents together."""

    def __init__(self, dim: int, posterior: Posterior, prior: Prior) -> None:
        super().__init__()
        self.noise_dim = prior.noise_dim
        self.parts = (dim,)
        self.posterior, self.prior = posterior, prior

    def draw(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> Draw:
        z, log_qz = self.posterior(mu, logvar, eps)
        log_ratio = log_qz - self.prior.log_prob(z)
        return Draw(z, log_ratio[:, None], log_ratio)

    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return self.prior.sample(noise, temperature)

    def settled(self) -> Latents:
        return Joint(self.parts[0], self.posterior, self.prior.settled())
