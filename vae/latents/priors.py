"""Priors p(z): the log-density in nats, and draws as a function of N(0, 1) noise."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae.latents.diagonal_gaussian import log_normal_pairwise, log_standard_normal
from vae.latents.reparameterisation import reparameterise

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Preprocessed rows, (batch, size), to mu and logvar, each (batch, latent_dim)."""


class Components(NamedTuple):
    """The Gaussians of a mixture and the logarithms of their weights."""

    mu: Tensor  # (components, dim)
    logvar: Tensor  # (components, dim)
    log_weights: Tensor  # (components,)


class Prior(nn.Module, ABC):
    """A distribution p(z) over z, (batch, dim)."""

    noise_dim: int
    """How many N(0, 1) numbers one draw takes."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of each row in nats: (batch, dim) to (batch,)."""

    @abstractmethod
    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        """z ~ p(z), (batch, dim), from ``noise``, (batch, noise_dim).

        Standard deviations are multiplied by ``temperature``, (batch,): 1 gives p(z), 0 the mean
        (in a mixture, the mean of the chosen component).
        """

    def frozen(self) -> "Prior":
        """The same distribution with everything that depends only on weights computed in advance.

        Later changes of the weights do not reach it.
        """
        return self


class StandardNormal(Prior):
    """p(z) = N(0, I) (Kingma and Welling 2014)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.noise_dim = dim

    def log_prob(self, z: Tensor) -> Tensor:
        return log_standard_normal(z).sum(dim=1)

    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        return temperature[:, None] * noise


class MixturePrior(Prior):
    """p(z) = Σ_k w_k N(z; mu_k, diag(σ²_k)). The first noise number chooses the component."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.noise_dim = 1 + dim

    @abstractmethod
    def components(self) -> Components:
        """The Gaussians and their weights."""

    def log_prob(self, z: Tensor) -> Tensor:
        mu, logvar, log_weights = self.components()
        return torch.logsumexp(log_normal_pairwise(z, mu, logvar) + log_weights, dim=1)

    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        (mu, logvar, _), boundaries = self.components_and_boundaries()
        chosen = (noise[:, :1] > boundaries).sum(dim=1)
        return reparameterise(mu[chosen], logvar[chosen], temperature[:, None] * noise[:, 1:])

    def components_and_boundaries(self) -> tuple[Components, Tensor]:
        """The components, and the noise values that separate them, (components − 1,).

        Boundary k is the N(0, 1) quantile of w_1 + … + w_k. Noise below the first boundary chooses
        the first component.
        """
        components = self.components()
        cumulative = torch.cumsum(components.log_weights.double().exp(), dim=0)[:-1]
        return components, torch.special.ndtri(cumulative.clamp(max=1)).float()

    @torch.no_grad()
    def frozen(self) -> Prior:
        return FrozenMixture(self.dim, *self.components_and_boundaries())


class GaussianMixture(MixturePrior):
    """A mixture with learned means, variances and weights.

    Means are initialised with draws from N(0, I), variances with 1, weights equally.
    """

    def __init__(self, dim: int, components: int) -> None:
        super().__init__(dim)
        self.mu = nn.Parameter(torch.randn(components, dim))
        self.logvar = nn.Parameter(torch.zeros(components, dim))
        self.logits = nn.Parameter(torch.zeros(components))

    def components(self) -> Components:
        return Components(self.mu, self.logvar, torch.log_softmax(self.logits, dim=0))


class VampPrior(MixturePrior):
    """A mixture of the posteriors of learned pseudo-inputs (Tomczak and Welling 2018, equation 9).

    Pseudo-inputs are preprocessed rows, (components, size), without bounds. They start near 0.5;
    training moves them to rows of the data before the first step. The paper's weights are all
    1/components. Here they are learned and start equal: a pseudo-input that drifts away from all
    data receives no gradient that would bring it back, and would keep its share of the samples.
    """

    def __init__(self, dim: int, components: int, size: int, encode: Encode) -> None:
        super().__init__(dim)
        self.pseudo_inputs = nn.Parameter(0.5 + 0.01 * torch.randn(components, size))
        self.logits = nn.Parameter(torch.zeros(components))
        # A bound method instead of the module, which would register the encoder's weights twice.
        self._encode = encode

    def components(self) -> Components:
        mu, logvar = self._encode(self.pseudo_inputs)
        log_weights = torch.log_softmax(self.logits, dim=0)
        return Components(mu[:, : self.dim], logvar[:, : self.dim], log_weights)


class FrozenMixture(MixturePrior):
    """A mixture with constant components and constant boundaries between them.

    Because the boundaries are constants of the exported graph, every runtime compares the noise
    with the same numbers. If a runtime computed them, rounding could choose another component.
    """

    mu: Tensor
    logvar: Tensor
    log_weights: Tensor
    boundaries: Tensor

    def __init__(self, dim: int, components: Components, boundaries: Tensor) -> None:
        super().__init__(dim)
        for name, value in components._asdict().items():
            self.register_buffer(name, value.clone())
        self.register_buffer("boundaries", boundaries)

    def components(self) -> Components:
        return Components(self.mu, self.logvar, self.log_weights)

    def components_and_boundaries(self) -> tuple[Components, Tensor]:
        return self.components(), self.boundaries

    def frozen(self) -> Prior:
        return self
