"""The aggregate posterior q(z) = 1/N Σ q(z|x), and what the KL term is made of, in nats.

KL(q(z|x) ‖ p(z)), on average over x, is the sum of the mutual information of x and z, the total
correlation of z and a KL for each dimension (Chen et al. 2018, equation 2; Hoffman and Johnson 2016
for the first).
"""

import math

import torch
from torch import Tensor

from training.objectives.objective import Loss, draw
from training.objectives.schedules import Now
from vae.latents.gaussian import log_normal
from vae.networks import VAE


def aggregate(z: Tensor, mu: Tensor, logvar: Tensor, log_count: float) -> tuple[Tensor, Tensor]:
    """log q(z) and Σ_j log q(z_j) of each row of z, (rows,), from the posteriors mu and logvar.

    z is (rows, latent_dim), the posteriors (others, latent_dim). ``log_count`` is log N where they
    are those of all N examples, and log(N · others) where they are a batch that holds z's own:
    minibatch-weighted sampling (Chen et al. 2018, equation S4).
    """
    densities = log_normal(z.unsqueeze(1), mu, logvar)
    log_qz = torch.logsumexp(densities.sum(dim=2), dim=1) - log_count
    log_qzj = torch.logsumexp(densities, dim=1) - log_count
    return log_qz, log_qzj.sum(dim=1)


class BetaTC:
    """The ELBO with β on the total correlation alone (Chen et al. 2018, equation 4).

    The KL is that of the closed form, and β − 1 times the total correlation, estimated on the
    batch, is added to it: with β = 1 this is the ELBO. ``rows`` is the size of the data.
    """

    noises = 1
    of_rows = False

    def __init__(self, *, rows: int) -> None:
        self._rows = rows

    def __call__(self, vae: VAE, x: Tensor, eps: Tensor, now: Now) -> Loss:
        q = draw(vae, x, eps)
        log_count = math.log(self._rows * len(x))
        log_qz, log_qzj = aggregate(q.z[0], q.mu, q.logvar, log_count)
        correlation = (log_qz - log_qzj).mean()
        kl = q.kl.sum(dim=1).mean()
        return q.loss(kl + (now.beta - 1) * correlation - q.log_px_z.mean())
