"""Importance-weighted bounds: tighter than the ELBO with every draw more, in nats."""

import math

import torch
from torch import Tensor

from training.objectives.objective import Loss, draw
from training.objectives.schedules import Now
from vae.networks import VAE


def importance_weighted(log_weights: Tensor) -> Tensor:
    """log 1/k Σ w of k draws, (draws, rows) to (rows,) (Burda et al. 2016, equation 8)."""
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


class IWAE:
    """The bound of Burda et al. 2016 with ``draws`` draws; β weighs log q(z|x) − log p(z)."""

    of_rows = True

    def __init__(self, *, draws: int) -> None:
        self.noises = draws

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, now: Now) -> Loss:
        q = draw(vae, x, eps)
        bound = importance_weighted(q.log_px_z - now.beta * q.log_ratio)
        return q.loss(-bound.mean())
