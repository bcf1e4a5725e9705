"""Probabilistic PCA (Tipping and Bishop 1999): the optimum of a linear VAE in closed form.

A linear VAE with a Gaussian likelihood of one variance is this model (Lucas et al. 2019), and at
its optimum the ELBO is log p(x). Therefore training can be compared with an exact solution. All
values are float64, in nats per row of the preprocessed x.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae.networks import VAE


@dataclass(frozen=True, eq=False)
class PPCA:
    """p(x) = N(mean, W Wᵀ + σ² I)."""

    mean: Tensor  # (size,)
    weight: Tensor  # (size, latent_dim), W
    variance: float  # σ²

    @property
    def active_units(self) -> int:
        """The number of directions that the model uses: the rank of W."""
        return int(torch.linalg.matrix_rank(self.weight))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) of each row, (rows,), from the latent_dim × latent_dim matrix M = WᵀW + σ² I."""
        size, latent_dim = self.weight.shape
        centred = x.double() - self.mean
        m = self.weight.T @ self.weight
        m += self.variance * torch.eye(latent_dim, dtype=m.dtype)
        factor = torch.linalg.cholesky(m)
        inside = torch.linalg.solve_triangular(factor, (centred @ self.weight).T, upper=False)
        squared = (centred.square().sum(dim=1) - inside.square().sum(dim=0)) / self.variance
        log_det = 2 * factor.diagonal().log().sum() + (size - latent_dim) * math.log(self.variance)
        log_px: Tensor = -0.5 * (squared + log_det + size * math.log(2 * math.pi))
        return log_px


def fit_ppca(x: Tensor, latent_dim: int, variance: float | None = None) -> PPCA:
    """The maximum likelihood model of the rows x, (rows, size), for a given σ² or the best one.

    W spans the ``latent_dim`` directions of largest variance λ, as far as λ is above σ², with
    length √(λ − σ²). The best σ² is the mean λ of the other directions (equations 7 and 8). If
    fewer directions qualify, the remaining columns of W are 0.
    """
    rows = x.double()
    mean = rows.mean(dim=0)
    spread, directions = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    spread, directions = spread.flip(0), directions.flip(1)
    if variance is None:
        variance = float(spread[latent_dim:].mean())
    length = (spread[:latent_dim] - variance).clamp(min=0).sqrt()
    return PPCA(mean, directions[:, :latent_dim] * length, variance)


def ppca_of_vae(vae: VAE) -> PPCA:
    """The p(x) of a linear VAE with one σ², which does not depend on its encoder."""
    (decoder,) = (module for module in vae.decoder.modules() if isinstance(module, nn.Linear))
    log_variance = vae.likelihood.get_parameter("log_variance")
    return PPCA(
        decoder.bias.detach().double().cpu(),
        decoder.weight.detach().double().cpu(),
        math.exp(log_variance.item()),
    )
