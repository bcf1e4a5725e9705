"""The KL term as mutual information, total correlation and dimension-wise KL, in nats."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.evaluation.batches import Parts, in_batches
from training.objectives.beta_tc import aggregate
from training.system.distributed import ALONE, Group
from training.system.seeds import Purpose, generator
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


@torch.inference_mode()
def decomposition(
    vae: VAE, x: Tensor, seed: int, group: Group = ALONE, c: Tensor | None = None
) -> Decomposition | None:
    """What the KL on x is made of; None where the latents are not the standard ones."""
    if not vae.spec.latents.closed_form:
        return None

    def work(given: VAE, rows: Tensor, noise: torch.Generator) -> Parts:  # noqa: ARG001
        return given.encode(rows)

    shape = (vae.spec.latent_dim,)
    mu, logvar = in_batches(vae, x, work, (shape, shape), seed, group, c)
    return decompose(mu, logvar, generator(seed, Purpose.DECOMPOSITION, device=x.device))
