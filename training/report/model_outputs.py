"""What the report asks a model: a few passes over a few held-out rows, as NumPy arrays."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.conditions import conditions
from training.data.dataset import Dataset
from training.evaluation.evaluate import ACTIVE, Evaluation, evaluate
from training.evaluation.generate import draw, reconstruct
from training.system.seeds import Purpose, generator
from vae.manifest import ModelSpec
from vae.networks import VAE

ROWS = 600
"""Held-out rows that are looked at: enough for a projection, and quick while training waits."""

SAMPLES = 64
LEAST, MOST = 3, 12
"""Latents that are traversed: the active ones within these bounds, widest spread first."""

STEPS = tuple(np.linspace(-3.0, 3.0, 9).tolist())
"""Values that a traversed latent takes: the prior's ±3 σ."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """A latent, or several that only together have a KL: its place in z, its KL in nats, and
    whether any of it is active.
    """

    place: str
    kl: float
    active: bool


@dataclass(frozen=True, eq=False)
class Findings:
    """Arrays over ``rows`` held-out rows and ``latent_dim`` latents; x as in the data.

    z is the one that stands for a row, at the centre of q(z|x): mu where the posterior is diagonal.
    ``projection`` holds its first two principal components and ``explained`` their shares of its
    variance. ``traversals`` are decoded from z of the first row with one latent at a time,
    ``traversed``, set to each of STEPS.
    """

    spec: ModelSpec
    x: Floats  # (rows, *shape)
    reconstructions: Floats  # (rows, *shape)
    samples: Floats  # (SAMPLES, *shape), or (ROWS, D) of vectors
    scores: Floats  # (rows,) ELBO in nats, of a single draw
    parts: tuple[Part, ...]
    spread: Floats  # (latent_dim,) variance of z over x
    projection: Floats  # (rows, 2)
    explained: tuple[float, float]
    traversed: tuple[int, ...]
    traversals: Floats  # (len(traversed), len(STEPS), *shape)
    labels: NDArray[np.int64] | None  # (rows,)

    @property
    def active_units(self) -> int:
        """Latents that are active, as ``Evaluation`` counts them."""
        return int((self.spread > ACTIVE).sum())


@torch.inference_mode()
def look(vae: VAE, held_out: Dataset, seed: int) -> Findings | None:
    """Ask ``vae``, on any device, about the first held-out rows; torch's random state stays.

    None when its answers are not finite: there is nothing to be seen.
    """
    device = next(vae.parameters()).device
    x = held_out.x[:ROWS].to(device).float()
    c = conditions(held_out, vae.spec)
    given = None if c is None else c[:ROWS].to(device)
    evaluation = evaluate(vae, x, samples=1, seed=seed, c=given)
    if not evaluation.finite:
        return None
    z = vae.latents.centre(*vae.given(given).encode(x))
    spread = _array(z.var(dim=0, correction=0))
    count = min(max(int((spread > ACTIVE).sum()), LEAST), MOST)
    traversed = np.argsort(-spread, kind="stable")[:count].tolist()
    projection, explained = project(_array(z))
    rows = SAMPLES if vae.spec.input.kind == "image" else ROWS
    return Findings(
        spec=vae.spec,
        x=_array(x),
        reconstructions=_array(reconstruct(vae.given(given), x)),
        samples=_array(draw(vae, rows, generator(seed, Purpose.PICTURES), c)),
        scores=evaluation.scores,
        parts=_parts(evaluation, spread),
        spread=spread,
        projection=projection,
        explained=explained,
        traversed=tuple(traversed),
        traversals=_traverse(vae.given(given if given is None else given[:1]), z[0], traversed),
        labels=None if held_out.labels is None else held_out.labels[:ROWS].numpy(),
    )


def _parts(evaluation: Evaluation, spread: Floats) -> tuple[Part, ...]:
    active = np.split(spread > ACTIVE, np.cumsum(evaluation.parts)[:-1])
    return tuple(
        Part(place, kl, bool(any_of.any()))
        for (place, kl), any_of in zip(evaluation.kl_by_place().items(), active, strict=True)
    )


def project(z: Floats) -> tuple[Floats, tuple[float, float]]:
    """The first two principal components of z, (rows, latent_dim), and their shares of variance.

    The sign of a component, which is arbitrary, makes its largest weight positive, so that a report
    does not flip over from one checkpoint to the next.
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
    """(latents, steps, *shape): what becomes of one row when one of its latents moves."""
    z = first.repeat(len(latents), len(STEPS), 1)
    steps = torch.tensor(STEPS, device=z.device, dtype=z.dtype)
    for row, latent in enumerate(latents):
        z[row, :, latent] = steps
    decoded = vae.decode(z.flatten(0, 1))
    return _array(decoded).reshape(len(latents), len(STEPS), *vae.spec.input.shape)


def _array(values: Tensor) -> Floats:
    return values.float().cpu().numpy()
