"""q(z|x): from the encoder's mu and logvar and from N(0, 1) noise to a draw and its density."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vae import manifest
from vae.latents.flows import Autoregressive, Coupling, Step
from vae.latents.gaussian import log_standard_normal, reparameterise


class Posterior(nn.Module, ABC):
    """A family of distributions over z, (batch, dim)."""

    @abstractmethod
    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """A draw z ~ q(z|x), (batch, dim), and log q(z|x) there in nats, (batch,).

        mu, logvar and eps are (batch, dim).
        """


class Diagonal(Posterior):
    """N(mu, diag(σ²))."""

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        # By eps, not by (z − mu)/σ, which is the same but for the digits that cancel.
        log_qz = (log_standard_normal(eps) - 0.5 * logvar).sum(dim=1)
        return reparameterise(mu, logvar, eps), log_qz


class Flow(Posterior):
    """A draw from N(mu, diag(σ²)) through invertible steps (Rezende and Mohamed 2015)."""

    def __init__(self, steps: Iterable[Step]) -> None:
        super().__init__()
        self.base = Diagonal()
        self.steps = nn.ModuleList(steps)

    def forward(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        context = torch.cat([mu, logvar], dim=1)
        z, log_qz = self.base(mu, logvar, eps)
        for step in self.steps:
            z, log_volume = step(z, context)
            log_qz = log_qz - log_volume
        return z, log_qz


def build(spec: manifest.Posterior, dim: int) -> Posterior:
    """The module for the manifest's posterior of ``dim`` latents."""
    match spec:
        case manifest.Diagonal():
            return Diagonal()
        case manifest.AutoregressiveFlow(layers=layers, hidden=hidden):
            return Flow(Autoregressive(dim, hidden, reverse=i % 2 == 1) for i in range(layers))
        case manifest.CouplingFlow(layers=layers, hidden=hidden):
            return Flow(Coupling(dim, hidden, odd=i % 2 == 1) for i in range(layers))
