"""How good a model is on rows that it has not seen. All figures are in nats for an example."""

import math
from dataclasses import asdict, dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.conditions import conditioned
from training.data.dataset import Dataset
from training.errors import RunError
from training.evaluation.batches import Parts, in_batches
from training.evaluation.kl_decomposition import Decomposition, decomposition
from training.system.distributed import ALONE, Group
from vae.networks import VAE

ROWS = 256
"""Rows at a time: memory does not grow with the data or with the draws of z, and what a draw takes
stays in a core's cache (1,024 rows of MNIST take twice as long a row).
"""

ACTIVE = 0.01
"""Least variance of E[z|x] over x for a latent to count as active (Burda et al. 2016, sec. 5.2)."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Means over ``rows`` held-out examples, with ``samples`` draws of z for each.

    ``importance_weighted`` is the bound of Burda et al. 2016, equation 8, with k = ``samples``: it
    lies between the ELBO and log p(x). Both belong to the preprocessed x. ``bits_per_dimension`` is
    minus the ELBO in bits for one element of x in units of the data, masses where x are whole
    numbers: other than nats it compares between likelihoods and scalings.
    ``kl_per_latent`` has a number for each of ``parts``, which says of how many latents it is: more
    than one where only those together have a density. ``scores`` are the single-draw ELBOs of the
    rows in order, what a server answers on /score. ``decomposition`` is of the standard latents.
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
    decomposition: Decomposition | None
    scores: NDArray[np.float32]

    def figures(self) -> dict[str, float]:
        """The numbers by name, for a manifest or a table."""
        figures: dict[str, float] = {
            "rows": self.rows,
            "samples": self.samples,
            "elbo": self.elbo,
            "reconstruction": self.reconstruction,
            "kl": self.kl,
            "bits_per_dimension": self.bits_per_dimension,
            "importance_weighted": self.importance_weighted,
            "active_units": self.active_units,
        }
        return figures | self.terms

    @property
    def terms(self) -> dict[str, float]:
        """The terms of the KL by name; none where it has no decomposition."""
        return asdict(self.decomposition) if self.decomposition else {}

    @property
    def latents(self) -> int:
        """The dimensions of z."""
        return sum(self.parts)

    def kl_by_place(self) -> dict[str, float]:
        """The KL of each part by its place in z: ``z[3]``, or ``z[0:8]`` for several together."""
        ends = accumulate(self.parts)
        places = (
            f"z[{end - 1}]" if size == 1 else f"z[{end - size}:{end}]"
            for end, size in zip(ends, self.parts, strict=True)
        )
        return dict(zip(places, self.kl_per_latent, strict=True))

    @property
    def finite(self) -> bool:
        """Whether every number is one."""
        return bool(
            np.isfinite([*self.figures().values()]).all() and np.isfinite(self.scores).all()
        )


@torch.inference_mode()
def evaluate(
    vae: VAE,
    x: Tensor,
    *,
    samples: int,
    seed: int,
    group: Group = ALONE,
    c: Tensor | None = None,
) -> Evaluation:
    """Evaluate on x, (rows, *shape) in units of the data, with noise that ``seed`` decides.

    c are the conditions of a conditional model. The processes of ``group`` share the batches out;
    each gets the whole result.
    """
    settled = vae.settled()

    def work(given: VAE, rows: Tensor, noise: torch.Generator) -> Parts:
        return _evaluate_rows(given, rows, samples, noise)

    shapes = ((vae.spec.latent_dim,), (len(vae.latents.parts),), (), (), (), ())
    found = in_batches(settled, x, work, shapes, seed, group, c)
    z, kl, reconstruction, bound, score, units = found
    elbo = float((reconstruction - kl.sum(dim=1)).double().mean())
    in_units = elbo + float(units.double().mean())
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
        decomposition=decomposition(settled, x, seed, group, c),
        scores=score.float().cpu().numpy(),
    )


def active_units(z: Tensor) -> int:
    """How many latents of each row's central z, (rows, latent_dim), vary over the rows."""
    return int((z.var(dim=0, correction=0) > ACTIVE).sum())


def _evaluate_rows(vae: VAE, x: Tensor, samples: int, noise: torch.Generator) -> Parts:
    """By row: z at the centre, KL by part, mean log p(x|z), importance-weighted bound, single-draw
    ELBO, and what is added to log p(x|z) to have it in units of the data.
    """
    mu, logvar = vae.encode(x)
    kl = mu.new_zeros(len(mu), len(vae.latents.parts))
    reconstruction = score = units = mu.new_zeros(len(mu))
    log_sum = torch.full_like(reconstruction, -math.inf)
    for sample in range(samples):
        eps = torch.randn(mu.shape, generator=noise, device=mu.device)
        draw = vae.latents.draw(mu, logvar, eps)
        log_px_z = vae.log_px_z(x, draw.z)
        log_sum = torch.logaddexp(log_sum, log_px_z - draw.log_ratio)
        if sample == 0:
            score = log_px_z - draw.kl.sum(dim=1)
            units = vae.log_px_z_in_units(x, draw.z) - log_px_z
        kl = kl + draw.kl / samples
        reconstruction = reconstruction + log_px_z / samples
    bound = log_sum - math.log(samples)
    return vae.latents.centre(mu, logvar), kl, reconstruction, bound, score, units


def evaluated(
    vae: VAE,
    rows: Dataset,
    samples: int,
    seed: int,
    device: torch.device,
    group: Group,
) -> Evaluation:
    """The figures on ``rows``. Raises RunError when they are not finite."""
    told = conditioned(rows, vae.spec).to(device)
    evaluation = evaluate(vae, told.x, samples=samples, seed=seed, group=group, c=told.c)
    if not evaluation.finite:
        raise RunError(
            "the model's scores of rows that it was not trained on are not finite; its training "
            "diverged, or the data holds rows unlike all others"
        )
    return evaluation
