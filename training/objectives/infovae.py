"""Maximum mean discrepancy: holding q(z) rather than every q(z|x) to the prior."""

import torch
from torch import Tensor

from training.objectives.objective import Loss, draw
from training.objectives.schedules import Now
from vae.networks import VAE


def squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    """The unbiased estimate of MMD² (Gretton et al. 2012, equation 3), a scalar; may be below 0.

    a and b are (rows, latent_dim) draws from two distributions. The kernel is a Gaussian whose
    width is the mean squared distance of two draws from N(0, I), which is 2 · latent_dim.
    """
    rows = len(a)
    if rows < 2:
        return a.sum() * 0.0  # one row has no distance to another
    within = (_kernel(a, a).sum() + _kernel(b, b).sum() - 2 * rows) / (rows * (rows - 1))
    return within - 2 * _kernel(a, b).mean()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    """exp(−‖a − b‖² / (2 · latent_dim)) of all pairs, (rows, rows)."""
    squared = a.square().sum(1).unsqueeze(1) + b.square().sum(1) - 2 * a @ b.T
    return torch.exp(-squared.clamp(min=0) / (2 * a.shape[1]))


class InfoVAE:
    """Reconstruction − β · KL − weight · MMD²(q(z), p(z)) (Zhao et al. 2019, equation 6).

    With their α and λ, β is 1 − α and weight α + λ − 1; β = 0 is the MMD-VAE. Half of the noise
    is for the draws from the prior.
    """

    noises = 2
    of_rows = False

    def __init__(self, *, weight: float) -> None:
        self._weight = weight

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, now: Now) -> Loss:
        q = draw(vae, x, eps[:1])
        kl = q.kl.sum(dim=1).mean()
        discrepancy = squared_mmd(q.z[0], eps[1])
        return q.loss(now.beta * kl + self._weight * discrepancy - q.log_px_z.mean())
