"""q(z|x): from the encoder's mu and logvar and from N(0, 1) noise to a draw and its density."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from vae import manifest
from vae.latents.gaussian import log_normal, reparameterise


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
        z = reparameterise(mu, logvar, eps)
        return z, log_normal(z, mu, logvar).sum(dim=1)


def build(spec: manifest.Posterior) -> Posterior:
    """The module for the manifest's posterior."""
    match spec:
        case manifest.Diagonal():
            return Diagonal()
