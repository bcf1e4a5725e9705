"""Hierarchical latents: each layer has a prior given the layers above it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae.latents.base import Latents, PosteriorDraw
from vae.latents.diagonal_gaussian import kl_between, log_normal
from vae.latents.reparameterisation import log_prob_of_draw, reparameterise
from vae.layers import init_near_zero
from vae.likelihoods.special_functions import log_sigmoid


class LadderLatents(Latents):
    """The latents of a ladder VAE (Sønderby et al. 2016).

    z is the concatenation of its layers, the top layer first. p(z) = p(z_1) Π_i p(z_i | z_<i); in
    the paper each layer depends only on the one directly above it. The encoder puts out mu and
    logvar of all layers at once, and the posterior of a lower layer combines them with the prior of
    that layer, given the draws above. The top layer can be any ``Latents``.
    """

    layers: Sequence["LadderLayer"]

    def __init__(self, top: Latents, layers: Sequence["LadderLayer"]) -> None:
        super().__init__()
        self.top = top
        self.layers = nn.ModuleList(layers)  # type: ignore[assignment] # it iterates over Modules
        lower = [layer.dim for layer in layers]
        self._dims = [sum(top.parts), *lower]
        self._noise_dims = [top.noise_dim, *lower]
        self.parts = (*top.parts, *(1,) * sum(lower))
        self.noise_dim = sum(self._noise_dims)

    def sample_posterior(self, mu: Tensor, logvar: Tensor, eps: Tensor) -> PosteriorDraw:
        split = (torch.split(values, self._dims, dim=1) for values in (mu, logvar, eps))
        inputs = zip(*split, strict=True)
        draw = self.top.sample_posterior(*next(inputs))
        for layer, (mu_i, logvar_i, eps_i) in zip(self.layers, inputs, strict=True):
            lower = layer.sample_posterior(draw.z, mu_i, logvar_i, eps_i)
            draw = PosteriorDraw(
                z=torch.cat([draw.z, lower.z], dim=1),
                kl=torch.cat([draw.kl, lower.kl], dim=1),
                log_ratio=draw.log_ratio + lower.log_ratio,
            )
        return draw

    def sample_prior(self, noise: Tensor, temperature: Tensor) -> Tensor:
        top, *lower = torch.split(noise, self._noise_dims, dim=1)
        z = self.top.sample_prior(top, temperature)
        for layer, eps in zip(self.layers, lower, strict=True):
            z = torch.cat([z, layer.sample_prior(z, eps, temperature)], dim=1)
        return z

    def frozen(self) -> Latents:
        return LadderLatents(self.top.frozen(), self.layers)


class LadderLayer(nn.Module):
    """A layer below the top, whose prior p(z_i|z_<i) is a diagonal Gaussian from a small network.

    ``above`` is the number of latents above the layer, ``dim`` that of the layer itself, ``hidden``
    the width of the network.
    """

    def __init__(self, above: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.dim = dim
        last = nn.Linear(hidden, 2 * dim)
        init_near_zero(last)  # so that the prior starts close to N(0, I)
        self.prior = nn.Sequential(nn.Linear(above, hidden), nn.ELU(), last)

    def sample_posterior(
        self, above: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor
    ) -> PosteriorDraw:
        """z_i ~ q(z_i|x, z_<i) from the encoder's ``mu`` and ``logvar`` and noise, (batch, dim).

        ``above`` is z_<i, (batch, above). ``kl`` of the result is (batch, dim).
        """
        prior = self.prior(above).chunk(2, dim=1)
        q_mu, q_logvar = precision_weighted(mu, logvar, *prior)
        z = reparameterise(q_mu, q_logvar, eps)
        log_ratio = (log_prob_of_draw(q_logvar, eps) - log_normal(z, *prior)).sum(dim=1)
        return PosteriorDraw(z, kl_between(q_mu, q_logvar, *prior), log_ratio)

    def sample_prior(self, above: Tensor, noise: Tensor, temperature: Tensor) -> Tensor:
        """z_i ~ p(z_i|z_<i), (batch, dim); ``temperature``, (batch,), scales the deviations."""
        mu, logvar = self.prior(above).chunk(2, dim=1)
        return reparameterise(mu, logvar, temperature[:, None] * noise)


def precision_weighted(
    mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor
) -> tuple[Tensor, Tensor]:
    """mu and logvar of the normalised product of two Gaussians, elementwise.

    The precision-weighted combination of Sønderby et al. 2016: precisions 1/σ² add, and the mean is
    the average weighted by them. It is computed from the first Gaussian's share of the total
    precision, a sigmoid, so that no variance overflows.
    """
    share = torch.sigmoid(prior_logvar - logvar)
    return share * mu + (1 - share) * prior_mu, logvar + log_sigmoid(prior_logvar - logvar)
