"""The KL term as mutual information, total correlation and dimension-wise KL, in nats."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.evaluation.batches import RowOutputs, map_batches
from training.objectives.beta_tc import log_aggregate_posterior
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from training.system.seeds import Purpose, generator
from vae.latents.diagonal_gaussian import log_normal, log_standard_normal
from vae.latents.reparameterisation import reparameterise
from vae.networks import VAE

CHUNK_ELEMENTS = 1 << 22
"""Densities per chunk, 16 MiB: memory does not grow with the rows."""


DRAWS = 1024
"""Number of draws of z that the terms are averages over."""


@dataclass(frozen=True)
class KLDecomposition:
    """The three terms of the mean KL, in nats. Each is at least 0, up to the noise of the draws.

    ``mutual_information`` of x and z under q is at most log N. ``total_correlation`` is 0 if the
    latents are independent. ``dimension_wise_kl`` is 0 if each is N(0, 1) over the data.
    """

    mutual_information: float
    total_correlation: float
    dimension_wise_kl: float


@torch.inference_mode()
def decompose_kl(mu: Tensor, logvar: Tensor, noise: torch.Generator) -> KLDecomposition:
    """The three terms for diagonal posteriors with mu and logvar, (rows, latent_dim).

    q(z) is the mixture of all posteriors. The terms are averages over one draw from each of the
    first DRAWS posteriors (Chen et al. 2018, equation 2).
    """
    eps = torch.randn(mu[:DRAWS].shape, generator=noise, device=mu.device)
    z = reparameterise(mu[:DRAWS], logvar[:DRAWS], eps)
    step = max(1, CHUNK_ELEMENTS // mu.numel())
    parts = [
        log_aggregate_posterior(rows, mu, logvar, math.log(len(mu)))
        for rows in torch.split(z, step)
    ]
    log_qz, log_qzj = (torch.cat(part).double() for part in zip(*parts, strict=True))
    log_qz_x = log_normal(z, mu[:DRAWS], logvar[:DRAWS]).double().sum(dim=1)
    log_pz = log_standard_normal(z).double().sum(dim=1)
    return KLDecomposition(
        mutual_information=float((log_qz_x - log_qz).mean()),
        total_correlation=float((log_qz - log_qzj).mean()),
        dimension_wise_kl=float((log_qzj - log_pz).mean()),
    )


@torch.inference_mode()
def kl_decomposition(
    vae: VAE, x: Tensor, seed: int, group: ProcessGroup = SINGLE_PROCESS, c: Tensor | None = None
) -> KLDecomposition | None:
    """The terms of the KL on x, (rows, *shape), or None if the latents are not the closed form."""
    if not vae.spec.latents.closed_form:
        return None

    def work(conditioned: VAE, rows: Tensor, noise: torch.Generator) -> RowOutputs:  # noqa: ARG001
        return conditioned.encode(rows)

    shape = (vae.spec.latent_dim,)
    mu, logvar = map_batches(vae, x, work, (shape, shape), seed, group, c)
    return decompose_kl(mu, logvar, generator(seed, Purpose.DECOMPOSITION, device=x.device))
