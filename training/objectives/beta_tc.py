"""The aggregate posterior q(z) = 1/N Σ q(z|x), and what the KL term is made of, in nats.

KL(q(z|x) ‖ p(z)), on average over x, is the sum of the mutual information of x and z, the total
correlation of z and a KL for each dimension (Chen et al. 2018, equation 2; Hoffman and Johnson 2016
for the first).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.objectives.objective import Loss, draw
from training.objectives.schedules import Now
from vae.latents.gaussian import log_normal, log_standard_normal, reparameterise
from vae.networks import VAE

CHUNK_ELEMENTS = 1 << 22
"""Densities at a time, 16 MiB of them: memory does not grow with the rows."""

ROWS = 1024
"""Draws that the terms are averaged over."""


@dataclass(frozen=True)
class Decomposition:
    """The three terms of the mean KL, in nats; each is at least 0 but for the noise of the draws.

    ``mutual_information`` of x and z under q is at most log N. ``total_correlation`` is 0 where
    the latents are independent. ``dimension_wise_kl`` is 0 where each is N(0, 1) over the data.
    """

    mutual_information: float
    total_correlation: float
    dimension_wise_kl: float


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


@torch.inference_mode()
def decompose(mu: Tensor, logvar: Tensor, noise: torch.Generator) -> Decomposition:
    """The terms over the posteriors of a data set, (rows, latent_dim) each, as its q(z).

    Averages over one draw from each of the first ROWS posteriors.
    """
    eps = torch.randn(mu[:ROWS].shape, generator=noise, device=mu.device)
    z = reparameterise(mu[:ROWS], logvar[:ROWS], eps)
    step = max(1, CHUNK_ELEMENTS // mu.numel())
    parts = [aggregate(rows, mu, logvar, math.log(len(mu))) for rows in torch.split(z, step)]
    log_qz, log_qzj = (torch.cat(part).double() for part in zip(*parts, strict=True))
    log_qz_x = log_normal(z, mu[:ROWS], logvar[:ROWS]).double().sum(dim=1)
    log_pz = log_standard_normal(z).double().sum(dim=1)
    return Decomposition(
        mutual_information=float((log_qz_x - log_qz).mean()),
        total_correlation=float((log_qz - log_qzj).mean()),
        dimension_wise_kl=float((log_qzj - log_pz).mean()),
    )


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
