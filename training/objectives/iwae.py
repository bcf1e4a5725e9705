"""The importance-weighted bound (IWAE), in nats. It becomes tighter with every draw."""

import math

import torch
from torch import Tensor

from training.objectives.objective import Loss, sample_posterior
from training.objectives.schedules import ScheduledValues
from vae.networks import VAE


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log 1/k Σ w of k draws, (draws, rows) to (rows,) (Burda et al. 2016, equation 8)."""
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


class IWAE:
    """The bound of Burda et al. 2016 with ``draws`` draws. β multiplies log q(z|x) − log p(z)."""

    averages_rows = True

    def __init__(self, *, draws: int) -> None:
        self.noise_samples = draws

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, scheduled: ScheduledValues) -> Loss:
        q = sample_posterior(vae, x, eps)
        bound = importance_weighted_bound(q.log_px_z - scheduled.beta * q.log_ratio)
        return q.to_loss(-bound.mean())
