"""Diagonal Gaussians by mu and logvar, the logarithm of the variance. Densities in nats."""

import math

import torch
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


def reparameterise(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """z = mu + σ·eps, a draw from N(mu, σ²) where eps is one from N(0, I).

    Kingma and Welling 2014, section 2.4.
    """
    return mu + torch.exp(0.5 * logvar) * eps


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, σ²) of each element."""
    return -0.5 * ((z - mu).square() * torch.exp(-logvar) + logvar + LOG_2PI)


def log_normal_of_each(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu_k, σ²_k) of each row under each Gaussian k, (rows, dim) to (rows, Gaussians).

    The square is multiplied out, so that a product of matrices does the work and nothing of rows ×
    Gaussians × dim is ever written. Near a narrow Gaussian far from 0 large numbers then cancel: in
    float64 the error is some 10⁻¹⁶ (mu/σ)² nats.
    """
    dtype = z.dtype
    z, mu, logvar = z.double(), mu.double(), logvar.double()
    precision = torch.exp(-logvar)
    squares = torch.cat([z.square(), z], dim=1) @ torch.cat([precision, -2 * mu * precision], 1).T
    rest = (mu.square() * precision + logvar + LOG_2PI).sum(dim=1)
    return (-0.5 * (squares + rest)).to(dtype)


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of each element."""
    return -0.5 * (z.square() + LOG_2PI)


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, σ²) ‖ N(0, 1)) of each element (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def kl_between(mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor) -> Tensor:
    """KL(N(mu, σ²) ‖ N(prior_mu, prior_σ²)) of each element."""
    squared = logvar.exp() + (mu - prior_mu).square()
    return 0.5 * (prior_logvar - logvar + squared * torch.exp(-prior_logvar) - 1)
