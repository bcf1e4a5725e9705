"""p(z): its log-density in nats, and draws of it from N(0, 1) noise that is given."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vae import manifest
from vae.latents.gaussian import log_normal_of_each, log_standard_normal, reparameterise

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Preprocessed rows, (batch, size), to mu and logvar."""

Components = tuple[Tensor, Tensor, Tensor]
"""mu and logvar of the components of a mixture, (components, dim), and their log weights."""


class Prior(nn.Module, ABC):
    """A distribution over z, (batch, dim)."""

    noise_dim: int
    """Numbers of noise that a draw takes."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of each row: (batch, dim) to (batch,)."""

    @abstractmethod
    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        """z ~ p(z) from noise, (batch, noise_dim), with its deviations times temperature, (batch,).

        Temperature 1 is p(z); 0 is the mean, of the component where there are several.
        """

    def settled(self) -> "Prior":
        """The same distribution for weights that no longer change: nothing is left to compute."""
        return self


class StandardNormal(Prior):
    """N(0, I)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.noise_dim = dim

    def log_prob(self, z: Tensor) -> Tensor:
        return log_standard_normal(z).sum(dim=1)

    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return temperature[:, None] * noise


class Mixture(Prior):
    """A mixture of diagonal Gaussians, whose first number of noise chooses the component."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.noise_dim = 1 + dim

    @abstractmethod
    def components(self) -> Components:
        """What is mixed."""

    def log_prob(self, z: Tensor) -> Tensor:
        mu, logvar, log_weights = self.components()
        return torch.logsumexp(log_normal_of_each(z, mu, logvar) + log_weights, dim=1)

    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        (mu, logvar, _), boundaries = self.divided()
        chosen = (noise[:, :1] > boundaries).sum(dim=1)
        return reparameterise(mu[chosen], logvar[chosen], temperature[:, None] * noise[:, 1:])

    def divided(self) -> tuple[Components, Tensor]:
        """What is mixed, and the noise at which one component ends and the next begins.

        That is (components − 1,): quantiles of N(0, 1) at the cumulative weights, without the last,
        which is 1.
        """
        components = self.components()
        steps = torch.cumsum(components[2].double().exp(), dim=0)[:-1]
        return components, torch.special.ndtri(steps.clamp(max=1)).float()

    @torch.no_grad()
    def settled(self) -> Prior:
        return SettledMixture(self.dim, *self.divided())


class GaussianMixture(Mixture):
    """Means, variances and weights are learned; they begin as draws from N(0, I), 1 and equal."""

    def __init__(self, dim: int, components: int) -> None:
        super().__init__(dim)
        self.mu = nn.Parameter(torch.randn(components, dim))
        self.logvar = nn.Parameter(torch.zeros(components, dim))
        self.logits = nn.Parameter(torch.zeros(components))

    def components(self) -> Components:
        return self.mu, self.logvar, torch.log_softmax(self.logits, dim=0)


class VampPrior(Mixture):
    """A mixture of the posteriors of learned pseudo-inputs (Tomczak and Welling 2018, equation 9).

    Pseudo-inputs live in the model's space, that is after preprocessing, and are not bounded.
    They begin as one grey row, and in training near rows of the data. The weights are learned, too:
    one that has strayed from all data, to where nothing pulls it back, would keep its share of
    samples if all were equal, as they are at first.
    """

    def __init__(self, dim: int, components: int, size: int, encode: Encode) -> None:
        super().__init__(dim)
        self.pseudo_inputs = nn.Parameter(0.5 + 0.01 * torch.randn(components, size))
        self.logits = nn.Parameter(torch.zeros(components))
        # A bound method, not a module: the encoder's weights are the VAE's and stand there once.
        self._encode = encode

    def components(self) -> Components:
        mu, logvar = self._encode(self.pseudo_inputs)
        return mu[:, : self.dim], logvar[:, : self.dim], torch.log_softmax(self.logits, dim=0)


class SettledMixture(Mixture):
    """Components that no longer change, and the boundaries between them.

    The noise is compared with constants, so that every engine chooses alike. If one had to compute
    either side, its last bits would choose another component now and then, which is nowhere near.
    """

    mu: Tensor
    logvar: Tensor
    log_weights: Tensor
    between: Tensor

    def __init__(self, dim: int, components: Components, boundaries: Tensor) -> None:
        super().__init__(dim)
        for name, value in zip(("mu", "logvar", "log_weights"), components, strict=True):
            self.register_buffer(name, value.clone())
        self.register_buffer("between", boundaries)

    def components(self) -> Components:
        return self.mu, self.logvar, self.log_weights

    def divided(self) -> tuple[Components, Tensor]:
        return self.components(), self.between

    def settled(self) -> Prior:
        return self


def build(spec: manifest.Prior, dim: int, size: int, encode: Encode) -> Prior:
    """The module for the manifest's prior of ``dim`` latents, of rows x of ``size`` elements."""
    match spec:
        case manifest.StandardNormal():
            return StandardNormal(dim)
        case manifest.GaussianMixture():
            return GaussianMixture(dim, spec.components)
        case manifest.VampPrior():
            return VampPrior(dim, spec.components, size, encode)
