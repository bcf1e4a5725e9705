"""Compare a trained linear VAE with the exact optimum of its likelihood."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table
from torch import Tensor

from training.errors import ConfigError
from training.evaluation.evaluate import active_units, evaluate
from training.evaluation.ppca import PPCA, fit_ppca, ppca_of_vae
from vae.manifest import GaussianSpec, MLPSpec, ModelSpec
from vae.networks import VAE


@dataclass(frozen=True)
class LinearModelMetrics:
    """The metrics of a linear model; the last three in nats per row of the preprocessed x."""

    variance: float
    active_units: int
    log_px: float
    held_out_log_px: float
    held_out_elbo: float


@torch.no_grad()
def compare_with_ppca(
    vae: VAE, x: Tensor, held_out: Tensor, seed: int
) -> tuple[LinearModelMetrics, LinearModelMetrics]:
    """The metrics of the optimum for the rows x, (rows, *shape), and of ``vae``, trained on them.

    If σ² is not learned, the optimum has that of ``vae``. Raises ConfigError if ``vae`` is not
    linear.
    """
    _check_linear(vae.spec)
    likelihood = vae.spec.likelihood
    free = isinstance(likelihood, GaussianSpec) and likelihood.variance in ("learned", "optimal")
    trained = ppca_of_vae(vae)
    rows, unseen = vae.preprocess(x.float()), vae.preprocess(held_out.float())
    best = fit_ppca(rows, vae.spec.latent_dim, None if free else trained.variance)
    unseen_log_px = _mean(best, unseen)
    return (
        LinearModelMetrics(
            variance=best.variance,
            active_units=best.active_units,
            log_px=_mean(best, rows),
            held_out_log_px=unseen_log_px,
            held_out_elbo=unseen_log_px,  # with the exact posterior, which is linear in x
        ),
        LinearModelMetrics(
            variance=trained.variance,
            active_units=active_units(vae.infer(rows)[0]),
            log_px=_mean(trained, rows),
            held_out_log_px=_mean(trained, unseen),
            held_out_elbo=evaluate(vae, held_out, samples=10, seed=seed).elbo,
        ),
    )


def comparison_table(best: LinearModelMetrics, trained: LinearModelMetrics) -> Table:
    """A table for the terminal."""
    table = Table(title="a linear VAE is probabilistic PCA")
    for heading in ("", "closed form", "trained"):
        table.add_column(heading, justify="right" if heading else "left")
    rows: Sequence[tuple[str, str, str]] = (
        ("variance", "variance", ".5f"),
        ("active units", "active_units", "d"),
        ("log p(x), training rows", "log_px", ".3f"),
        ("log p(x), held-out rows", "held_out_log_px", ".3f"),
        ("ELBO, held-out rows", "held_out_elbo", ".3f"),
    )
    for label, name, style in rows:
        table.add_row(label, *(format(getattr(both, name), style) for both in (best, trained)))
    return table


def _mean(model: PPCA, rows: Tensor) -> float:
    return float(model.log_prob(rows).mean())


def _check_linear(spec: ModelSpec) -> None:
    """Raise ConfigError unless the VAE is linear with one σ², N(0, I) and a diagonal posterior."""
    one = isinstance(spec.likelihood, GaussianSpec) and spec.likelihood.variance not in (
        "per-element",
        "decoder",
    )
    alone = spec.autoregression is None and spec.condition is None
    plain = alone and spec.latents.closed_form
    linear = isinstance(spec.network, MLPSpec) and not spec.network.hidden
    if not (one and linear and plain):
        raise ConfigError(
            "exact needs a linear model: an mlp without hidden layers, a gaussian likelihood with "
            "one variance, a normal prior, a diagonal posterior and no condition"
        )
