"""The InfoVAE objective: a maximum mean discrepancy (MMD) between q(z) and the prior."""

import torch
from torch import Tensor

from training.objectives.objective import Loss, sample_posterior
from training.objectives.schedules import ScheduledValues
from vae.networks import VAE


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    """The unbiased estimate of MMD² (Gretton et al. 2012, equation 3), a scalar, maybe negative.

    a and b are draws from two distributions, (rows, latent_dim). The kernel is a Gaussian
    whose width is the mean squared distance of two draws from N(0, I), 2 · latent_dim.
    """
    rows = len(a)
    if rows < 2:
        return a.sum() * 0.0  # a single row has no pairs
    within = (_kernel(a, a).sum() + _kernel(b, b).sum() - 2 * rows) / (rows * (rows - 1))
    return within - 2 * _kernel(a, b).mean()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """exp(−‖a − b‖² / (2 · latent_dim)) of all pairs of rows, (rows, rows)."""
    squared = a.square().sum(1).unsqueeze(1) + b.square().sum(1) - 2 * a @ b.T
    return torch.exp(-squared.clamp(min=0) / (2 * a.shape[1]))


class InfoVAE:
    """Reconstruction − β · KL − weight · MMD²(q(z), p(z)) (Zhao et al. 2019, equation 6).

    In terms of the paper's α and λ, β = 1 − α and weight = α + λ − 1. β = 0 is the MMD-VAE. The
    second noise sample of a row is its draw from the prior.
    """

    noise_samples = 2
    averages_rows = False

    def __init__(self, *, weight: float) -> None:
        self._weight = weight

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, scheduled: ScheduledValues) -> Loss:
        q = sample_posterior(vae, x, eps[:1])
        kl = q.kl.sum(dim=1).mean()
        discrepancy = squared_mmd(q.z[0], eps[1])
        return q.to_loss(scheduled.beta * kl + self._weight * discrepancy - q.log_px_z.mean())
