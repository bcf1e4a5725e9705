"""The outputs of a model that the report shows: a few passes over a few held-out rows."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.conditions import condition_tensor
from training.data.dataset import Dataset
from training.evaluation.evaluate import ACTIVE_VARIANCE, Evaluation, evaluate
from training.evaluation.generate import reconstruct, sample_prior
from training.system.seeds import Purpose, generator
from vae.manifest import ModelSpec
from vae.networks import VAE

ROWS = 600
"""Held-out rows in the report: enough for a projection, few enough not to delay training."""

SAMPLES = 64
MIN_TRAVERSED, MAX_TRAVERSED = 3, 12
"""Number of traversed latents: the active ones within these bounds, largest variance first."""

STEPS = tuple(np.linspace(-3.0, 3.0, 9).tolist())
"""Values of a traversed latent: ±3 σ of the prior."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LatentKL:
    """The KL in nats of a latent, or of several that have only a joint KL.

    ``name`` is the position in z, for example ``z[3]``. ``active`` says whether any is active.
    """

    name: str
    kl: float
    active: bool


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """Arrays over ``rows`` held-out rows and ``latent_dim`` latents; x in units of the data.

    The z of a row is the one at eps = 0, which is mu if the posterior is diagonal. ``projection``
    are its first two principal components and ``explained`` their shares of the variance.
    ``traversals`` are decoded from z of the first row, with one latent of ``traversed`` at a time
    set to each of STEPS.
    """

    spec: ModelSpec
    x: Floats  # (rows, *shape)
    reconstructions: Floats  # (rows, *shape)
    samples: Floats  # (SAMPLES, *shape), or (ROWS, D) of vectors
    scores: Floats  # (rows,) single-draw ELBO in nats
    parts: tuple[LatentKL, ...]
    spread: Floats  # (latent_dim,) variance of z over x
    projection: Floats  # (rows, 2)
    explained: tuple[float, float]
    traversed: tuple[int, ...]
    traversals: Floats  # (len(traversed), len(STEPS), *shape)
    labels: NDArray[np.int64] | None  # (rows,)

    @property
    def active_units(self) -> int:
        """The number of active latents, as in ``Evaluation``."""
        return int((self.spread > ACTIVE_VARIANCE).sum())


@torch.inference_mode()
def collect_outputs(vae: VAE, held_out: Dataset, seed: int) -> ModelOutputs | None:
    """Run ``vae``, on any device, on the first held-out rows. torch's random state is unchanged.

    None if an output is not finite.
    """
    device = next(vae.parameters()).device
    x = held_out.x[:ROWS].to(device).float()
    c = condition_tensor(held_out, vae.spec)
    conditioned = vae.conditioned_on(None if c is None else c[:ROWS].to(device))
    evaluation = evaluate(
        vae, x, samples=1, seed=seed, c=None if c is None else c[:ROWS].to(device)
    )
    if not evaluation.finite:
        return None
    z = vae.latents.centre(*conditioned.encode(x))
    spread = _array(z.var(dim=0, correction=0))
    count = min(max(int((spread > ACTIVE_VARIANCE).sum()), MIN_TRAVERSED), MAX_TRAVERSED)
    traversed = np.argsort(-spread, kind="stable")[:count].tolist()
    projection, explained = project(_array(z))
    rows = SAMPLES if vae.spec.input.kind == "image" else ROWS
    return ModelOutputs(
        spec=vae.spec,
        x=_array(x),
        reconstructions=_array(reconstruct(conditioned, x)),
        samples=_array(sample_prior(vae, rows, generator(seed, Purpose.IMAGES), c)),
        scores=evaluation.scores,
        parts=_parts(evaluation, spread),
        spread=spread,
        projection=projection,
        explained=explained,
        traversed=tuple(traversed),
        traversals=_traverse(
            vae.conditioned_on(None if c is None else c[:1].to(device)), z[0], traversed
        ),
        labels=None if held_out.labels is None else held_out.labels[:ROWS].numpy(),
    )


def _parts(evaluation: Evaluation, spread: Floats) -> tuple[LatentKL, ...]:
    active = np.split(spread > ACTIVE_VARIANCE, np.cumsum(evaluation.parts)[:-1])
    return tuple(
        LatentKL(name, kl, bool(any_of.any()))
        for (name, kl), any_of in zip(evaluation.kl_by_latent().items(), active, strict=True)
    )


def project(z: Floats) -> tuple[Floats, tuple[float, float]]:
    """The first two principal components of z, (rows, latent_dim), and their shares of variance.

    The arbitrary sign of a component is chosen so that its largest weight is positive. Therefore a
    report does not flip between checkpoints.
    """
    centred = z - z.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
    axes = np.where(largest < 0, -axes, axes)
    shares = singular**2 / max(float((singular**2).sum()), 1e-30)
    missing = 2 - len(axes)
    projection = np.pad(centred @ axes.T, ((0, 0), (0, missing)))
    first, second = np.pad(shares[:2], (0, missing)).tolist()
    return projection, (first, second)


def _traverse(vae: VAE, first: Tensor, latents: list[int]) -> Floats:
    """Decode one row with one latent varied at a time: (latents, steps, *shape)."""
    z = first.repeat(len(latents), len(STEPS), 1)
    steps = torch.tensor(STEPS, device=z.device, dtype=z.dtype)
    for row, latent in enumerate(latents):
        z[row, :, latent] = steps
    decoded = vae.decode(z.flatten(0, 1))
    return _array(decoded).reshape(len(latents), len(STEPS), *vae.spec.input.shape)


def _array(values: Tensor) -> Floats:
    return values.float().cpu().numpy()
