"""The β-TCVAE objective, and the aggregate posterior q(z) = 1/N Σ q(z|x), in nats.

The mean of KL(q(z|x) ‖ p(z)) over x is the sum of the mutual information of x and z, the total
correlation of z, and the KL of each dimension (Chen et al. 2018, equation 2; Hoffman and Johnson
2016). evaluation/kl_decomposition.py estimates the three terms.
"""

import math

import torch
from torch import Tensor

from training.objectives.objective import Loss, sample_posterior
from training.objectives.schedules import ScheduledValues
from vae.latents.diagonal_gaussian import log_normal
from vae.networks import VAE


def log_aggregate_posterior(
    z: Tensor, mu: Tensor, logvar: Tensor, log_count: float
) -> tuple[Tensor, Tensor]:
    """log q(z) and Σ_j log q(z_j) of each row of z, (rows,), from the posteriors mu and logvar.

    z is (rows, latent_dim), mu and logvar are (others, latent_dim). ``log_count`` is log N if they
    are the posteriors of all N rows of the data. It is log(N · others) if they are those of the
    batch that z was drawn from (minibatch-weighted sampling, Chen et al. 2018, equation S4).
    """
    densities = log_normal(z.unsqueeze(1), mu, logvar)
    log_qz = torch.logsumexp(densities.sum(dim=2), dim=1) - log_count
    log_qzj = torch.logsumexp(densities, dim=1) - log_count
    return log_qz, log_qzj.sum(dim=1)


class BetaTC:
    """The ELBO with β on the total correlation only (Chen et al. 2018, equation 4).

    The KL term is the closed form plus β − 1 times the total correlation, which is estimated on the
    batch. With β = 1 this is the ELBO. ``rows`` is the number of training rows.
    """

    noise_samples = 1
    averages_rows = False

    def __init__(self, *, rows: int) -> None:
        self._rows = rows

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, scheduled: ScheduledValues) -> Loss:
        q = sample_posterior(vae, x, eps)
        log_count = math.log(self._rows * len(x))
        log_qz, log_qzj = log_aggregate_posterior(q.z[0], q.mu, q.logvar, log_count)
        correlation = (log_qz - log_qzj).mean()
        kl = q.kl.sum(dim=1).mean()
        return q.to_loss(kl + (scheduled.beta - 1) * correlation - q.log_px_z.mean())
