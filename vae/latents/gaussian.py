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
