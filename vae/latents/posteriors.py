"""Approximate posteriors q(z|x): a draw from mu, logvar and noise, and its log-density."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vae.latents.flows import FlowStep
from vae.latents.reparameterisation import log_prob_of_draw, reparameterise


class Posterior(nn.Module, ABC):
    """A family of distributions q(z|x) over z, (batch, dim)."""

    @abstractmethod
    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """A draw z ~ q(z|x), (batch, dim), and log q(z|x) at that draw in nats, (batch,).

        ``mu`` and ``logvar`` are the encoder's outputs and ``eps`` is a draw from N(0, I), each
        (batch, dim).
        """


class DiagonalGaussian(Posterior):
    """q(z|x) = N(mu, diag(σ²)) (Kingma and Welling 2014, equation 9)."""

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        return reparameterise(mu, logvar, eps), log_prob_of_draw(logvar, eps).sum(dim=1)


class Flow(Posterior):
    """A diagonal Gaussian transformed by invertible steps (Rezende and Mohamed 2015).

    log q(z_T|x) = log q(z_0|x) − Σ_t log |det ∂z_t/∂z_{t−1}|. Each step also receives mu and
    logvar.
    """

    def __init__(self, steps: Iterable[FlowStep]) -> None:
        super().__init__()
        self.base = DiagonalGaussian()
        self.steps = nn.ModuleList(steps)

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        context = torch.cat([mu, logvar], dim=1)
        z, log_qz = self.base(mu, logvar, eps)
        for step in self.steps:
            z, log_det = step(z, context)
            log_qz = log_qz - log_det
        return z, log_qz
