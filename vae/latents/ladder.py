"""Latents in layers: each has a prior given those above it, which its posterior starts from."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae.latents.gaussian import (
    kl_between,
    log_normal,
    log_standard_normal,
    reparameterise,
)
from vae.latents.latents import Draw, Latents
from vae.latents.start import start_small
from vae.likelihoods.special import log_sigmoid


class Ladder(Latents):
    """A ladder VAE (Sønderby et al. 2016): z is its layers side by side, the top one first.

    p(z) = p(z_1) Π p(z_i | z_1 … z_{i−1}). The encoder says of every layer what x makes likely, and
    the posterior of a layer weighs this against its prior, given the draws above. The top layer is
    any latents of its own.
    """

    rungs: Sequence["Rung"]

    def __init__(self, top: Latents, rungs: Sequence["Rung"]) -> None:
        super().__init__()
        self.top = top
        self.rungs = nn.ModuleList(rungs)  # type: ignore[assignment] # it iterates over Modules
        below = [rung.dim for rung in rungs]
        self._dims = [sum(top.parts), *below]
        self._noise_dims = [top.noise_dim, *below]
        self.parts = (*top.parts, *(1,) * sum(below))
        self.noise_dim = sum(self._noise_dims)

    def draw(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> Draw:
        each = (torch.split(all_of, self._dims, dim=1) for all_of in (mu, logvar, eps))
        layers = zip(*each, strict=True)
        whole = self.top.draw(*next(layers))
        for rung, layer in zip(self.rungs, layers, strict=True):
            new = rung.draw(whole.z, *layer)
            whole = Draw(
                z=torch.cat([whole.z, new.z], dim=1),
                kl=torch.cat([whole.kl, new.kl], dim=1),
                log_ratio=whole.log_ratio + new.log_ratio,
            )
        return whole

    def sample(self, noise: Tensor, temperature: Tensor) -> Tensor:
        top, *below = torch.split(noise, self._noise_dims, dim=1)
        z = self.top.sample(top, temperature)
        for rung, eps in zip(self.rungs, below, strict=True):
            z = torch.cat([z, rung.sample(z, eps, temperature)], dim=1)
        return z

    def settled(self) -> Latents:
        return Ladder(self.top.settled(), self.rungs)


class Rung(nn.Module):
    """A layer below the top: p(z|above) is a diagonal Gaussian from a network."""

    def __init__(self, above: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.dim = dim
        last = nn.Linear(hidden, 2 * dim)
        start_small(last)  # p(z|above) begins as nearly N(0, I)
        self.prior = nn.Sequential(nn.Linear(above, hidden), nn.ELU(), last)

    def draw(self, above: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor) -> Draw:
        """z ~ q(z|x, above), from what x alone makes likely: mu, logvar, (batch, dim)."""
        prior = self.prior(above).chunk(2, dim=1)
        q = precision_weighted(mu, logvar, *prior)
        z = reparameterise(*q, eps)
        log_qz = log_standard_normal(eps) - 0.5 * q[1]
        return Draw(z, kl_between(*q, *prior), (log_qz - log_normal(z, *prior)).sum(dim=1))

    def sample(self, above: Tensor, noise: Tensor, temperature: Tensor) -> Tensor:
        """z ~ p(z|above), with deviations times temperature, (batch,)."""
        mu, logvar = self.prior(above).chunk(2, dim=1)
        return reparameterise(mu, logvar, temperature[:, None] * noise)


def precision_weighted(
    mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor
) -> tuple[Tensor, Tensor]:
    """mu and logvar of the normalised product of two Gaussians (Sønderby et al. 2016, eq. 17, 18).

    Written by the first one's share of the precision, which no variance can overflow.
    """
    share = torch.sigmoid(prior_logvar - logvar)
    return share * mu + (1 - share) * prior_mu, logvar + log_sigmoid(prior_logvar - logvar)
