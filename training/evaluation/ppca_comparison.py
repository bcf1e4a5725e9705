"""A trained linear VAE beside the exact optimum of its likelihood."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor

from training.errors import ConfigError
from training.evaluation import ppca
from training.evaluation.evaluate import active_units, evaluate
from training.evaluation.ppca import PPCA
from vae.manifest import MLP, Gaussian, ModelSpec
from vae.networks import VAE


@dataclass(frozen=True)
class Figures:
    """What a model has reached; the last three in nats for a row of the preprocessed x."""

    variance: float
    active_units: int
    log_px: float
    held_out_log_px: float
    held_out_elbo: float


@torch.no_grad()
def compare(vae: VAE, x: Tensor, held_out: Tensor, seed: int) -> tuple[Figures, Figures]:
    """The best linear model of the rows x, (rows, *shape), and ``vae``, which is trained on them.

    A σ² that is not learned is the same in both. Raises ConfigError when ``vae`` is not linear.
    """
    _check_linear(vae.spec)
    given = vae.spec.likelihood
    free = isinstance(given, Gaussian) and given.variance in ("learned", "optimal")
    found = ppca.of(vae)
    rows, unseen = vae.preprocess(x.float()), vae.preprocess(held_out.float())
    best = ppca.fit(rows, vae.spec.latent_dim, None if free else found.variance)
    unseen_log_px = _mean(best, unseen)
    return (
        Figures(
            variance=best.variance,
            active_units=best.active_units,
            log_px=_mean(best, rows),
            held_out_log_px=unseen_log_px,
            held_out_elbo=unseen_log_px,  # of the exact posterior, which is linear in x
        ),
        Figures(
            variance=found.variance,
            active_units=active_units(vae.infer(rows)[0]),
            log_px=_mean(found, rows),
            held_out_log_px=_mean(found, unseen),
            held_out_elbo=evaluate(vae, held_out, samples=10, seed=seed).elbo,
        ),
    )


def table(best: Figures, reached: Figures) -> Table:
    """Both, for a terminal."""
    shown = Table(title="a linear VAE is probabilistic PCA")
    for heading in ("", "closed form", "trained"):
        shown.add_column(heading, justify="right" if heading else "left")
    rows: Sequence[tuple[str, str, str]] = (
        ("variance", "variance", ".5f"),
        ("active units", "active_units", "d"),
        ("log p(x), training rows", "log_px", ".3f"),
        ("log p(x), held-out rows", "held_out_log_px", ".3f"),
        ("ELBO, held-out rows", "held_out_elbo", ".3f"),
    )
    for label, name, style in rows:
        shown.add_row(label, *(format(getattr(both, name), style) for both in (best, reached)))
    return shown


def _mean(model: PPCA, rows: Tensor) -> float:
    return float(model.log_prob(rows).mean())


def _check_linear(spec: ModelSpec) -> None:
    """One σ² for all elements, no hidden layer, N(0, I) and a diagonal posterior."""
    one = isinstance(spec.likelihood, Gaussian) and spec.likelihood.variance not in (
        "per-element",
        "decoder",
    )
    alone = spec.autoregression is None and spec.condition is None
    plain = alone and spec.latents.closed_form
    linear = isinstance(spec.network, MLP) and not spec.network.hidden
    if not (one and linear and plain):
        raise ConfigError(
            "only a linear model has a closed form: an mlp without hidden layers, a gaussian "
            "likelihood with one variance, a normal prior, a diagonal posterior and no condition"
        )
