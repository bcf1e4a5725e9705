"""Evaluate a model on held-out rows. All values are in nats per row unless stated otherwise."""

import math
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.conditions import with_conditions
from training.data.dataset import Dataset
from training.errors import RunError
from training.evaluation.batches import RowOutputs, map_batches
from training.evaluation.kl_decomposition import KLDecomposition, kl_decomposition
from training.system.distributed import SINGLE_PROCESS, ProcessGroup
from vae.networks import VAE

ACTIVE_VARIANCE = 0.01
"""A latent is active if E[z|x] varies more than this over x (Burda et al. 2016, section 5.2)."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Means over ``rows`` held-out rows, with ``samples`` draws of z for each.

    ``importance_weighted`` is the bound of Burda et al. 2016, equation 8, with k = ``samples``; it
    lies between the ELBO and log p(x). Both are densities of the preprocessed x.
    ``bits_per_dimension`` is minus the ELBO in bits per element of x in units of the data. It is
    comparable between likelihoods and scalings, which nats are not.

    ``kl_per_latent`` has one value for each of ``parts``; a part is the number of latents that the
    value belongs to, more than 1 if only several latents together have a density. ``scores`` are
    the single-draw ELBOs of the rows in order, which a server returns on /score. ``decomposition``
    exists only for the closed-form latents.
    """

    rows: int
    samples: int
    elbo: float
    reconstruction: float
    kl: float
    bits_per_dimension: float
    importance_weighted: float
    active_units: int
    kl_per_latent: tuple[float, ...]
    parts: tuple[int, ...]
    decomposition: KLDecomposition | None
    scores: NDArray[np.float32]

    def metrics(self) -> dict[str, float]:
        """The values by name, for the manifest or a table."""
        metrics: dict[str, float] = {
            "rows": self.rows,
            "samples": self.samples,
            "elbo": self.elbo,
            "reconstruction": self.reconstruction,
            "kl": self.kl,
            "bits_per_dimension": self.bits_per_dimension,
            "importance_weighted": self.importance_weighted,
            "active_units": self.active_units,
        }
        return metrics | self.terms

    def as_json(self) -> dict[str, Any]:
        """All fields but the scores, for ``evaluation.json``."""
        return {name: value for name, value in asdict(self).items() if name != "scores"}

    @property
    def terms(self) -> dict[str, float]:
        """The terms of the KL by name; empty if there is no decomposition."""
        return asdict(self.decomposition) if self.decomposition else {}

    @property
    def latents(self) -> int:
        """The number of dimensions of z."""
        return sum(self.parts)

    def kl_by_latent(self) -> dict[str, float]:
        """The KL by latent: ``z[3]``, or ``z[0:8]`` if several have only a joint KL."""
        ends = accumulate(self.parts)
        names = (
            f"z[{end - 1}]" if size == 1 else f"z[{end - size}:{end}]"
            for end, size in zip(ends, self.parts, strict=True)
        )
        return dict(zip(names, self.kl_per_latent, strict=True))

    @property
    def finite(self) -> bool:
        """Whether all values are finite."""
        return bool(
            np.isfinite([*self.metrics().values()]).all() and np.isfinite(self.scores).all()
        )


@torch.inference_mode()
def evaluate(
    vae: VAE,
    x: Tensor,
    *,
    samples: int,
    seed: int,
    group: ProcessGroup = SINGLE_PROCESS,
    c: Tensor | None = None,
) -> Evaluation:
    """Evaluate on x, (rows, *shape) in units of the data, with noise from ``seed``.

    c are the conditions of a conditional model. The processes of ``group`` share the batches, and
    each gets the whole result.
    """
    frozen = vae.frozen()

    def work(conditioned: VAE, rows: Tensor, noise: torch.Generator) -> RowOutputs:
        return _evaluate_rows(conditioned, rows, samples, noise)

    shapes = ((vae.spec.latent_dim,), (len(vae.latents.parts),), (), (), (), ())
    outputs = map_batches(frozen, x, work, shapes, seed, group, c)
    z, kl, reconstruction, bound, score, to_units = outputs
    elbo = float((reconstruction - kl.sum(dim=1)).double().mean())
    in_units = elbo + float(to_units.double().mean())
    return Evaluation(
        rows=len(x),
        samples=samples,
        elbo=elbo,
        reconstruction=float(reconstruction.double().mean()),
        kl=float(kl.sum(dim=1).double().mean()),
        bits_per_dimension=-in_units / (vae.spec.input.size * math.log(2)),
        importance_weighted=float(bound.double().mean()),
        active_units=active_units(z),
        kl_per_latent=tuple(kl.double().mean(dim=0).tolist()),
        parts=vae.latents.parts,
        decomposition=kl_decomposition(frozen, x, seed, group, c),
        scores=score.float().cpu().numpy(),
    )


def active_units(z: Tensor) -> int:
    """The number of latents that vary over the rows of z, (rows, latent_dim), at eps = 0."""
    return int((z.var(dim=0, correction=0) > ACTIVE_VARIANCE).sum())


def _evaluate_rows(vae: VAE, x: Tensor, samples: int, noise: torch.Generator) -> RowOutputs:
    """For each row: z at eps = 0, KL by part, mean log p(x|z), importance-weighted bound, ELBO of
    the first draw, and the difference between log p(x|z) in units of the data and of the model.
    """
    mu, logvar = vae.encode(x)
    kl = mu.new_zeros(len(mu), len(vae.latents.parts))
    reconstruction = score = to_units = mu.new_zeros(len(mu))
    log_sum = torch.full_like(reconstruction, -math.inf)
    for sample in range(samples):
        eps = torch.randn(mu.shape, generator=noise, device=mu.device)
        draw = vae.latents.sample_posterior(mu, logvar, eps)
        log_px_z = vae.log_px_z(x, draw.z)
        log_sum = torch.logaddexp(log_sum, log_px_z - draw.log_ratio)
        if sample == 0:
            score = log_px_z - draw.kl.sum(dim=1)
            to_units = vae.log_px_z_in_data_units(x, draw.z) - log_px_z
        kl = kl + draw.kl / samples
        reconstruction = reconstruction + log_px_z / samples
    bound = log_sum - math.log(samples)
    return vae.latents.centre(mu, logvar), kl, reconstruction, bound, score, to_units


def evaluate_dataset(
    vae: VAE,
    rows: Dataset,
    samples: int,
    seed: int,
    device: torch.device,
    group: ProcessGroup,
) -> Evaluation:
    """Evaluate on a data set with its conditions. Raises RunError if a value is not finite."""
    inputs = with_conditions(rows, vae.spec).to(device)
    evaluation = evaluate(vae, inputs.x, samples=samples, seed=seed, group=group, c=inputs.c)
    if not evaluation.finite:
        raise RunError(
            "the model's scores of held-out rows are not finite: either training diverged, or the "
            "data contains rows that differ strongly from all others"
        )
    return evaluation
