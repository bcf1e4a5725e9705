"""The closed form, and that training reaches it: a proof of objective, noise and optimiser."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.distributions import MultivariateNormal

from training.config.train_config import TrainConfig
from training.data.dataset import split_dataset
from training.data.load import load_dataset
from training.errors import ConfigError
from training.evaluation.ppca import PPCA, fit_ppca
from training.evaluation.ppca_comparison import LinearModelMetrics, compare_with_ppca
from training.loggers.console import PlainReporter
from training.loop.checkpoint import Progress
from training.loop.run_directory import RunDirectory
from training.loop.train import train
from training.model.build import build_vae
from training.model.resolve import resolve
from training.model.spec import model_spec


def digits() -> tuple[Tensor, Tensor]:
    """1,500 rows and 297 others, from 0 to 1."""
    x = load_dataset("digits").x.flatten(1).float() / 16
    order = np.random.RandomState(0).permutation(len(x))
    return x[order[:1500]], x[order[1500:]]


def test_the_density_is_that_of_the_whole_covariance() -> None:
    rows, others = digits()
    model = fit_ppca(rows, 10)
    covariance = model.weight @ model.weight.T + model.variance * torch.eye(64).double()
    expected = MultivariateNormal(model.mean, covariance).log_prob(others.double())
    torch.testing.assert_close(model.log_prob(others), expected)


def test_the_optimum_of_the_digits() -> None:
    rows, _ = digits()
    learned, unit = fit_ppca(rows, 10), fit_ppca(rows, 10, variance=1.0)
    assert learned.variance == pytest.approx(0.02266, abs=1e-5)
    assert learned.log_prob(rows).mean().item() == pytest.approx(17.56, abs=0.01)
    assert (learned.active_units, unit.active_units) == (10, 0)


@pytest.mark.parametrize("variance", [None, 0.05])
def test_it_is_an_optimum(variance: float | None) -> None:
    rows, _ = digits()
    best = fit_ppca(rows, 10, variance)
    height = best.log_prob(rows).mean()
    torch.manual_seed(0)
    for _ in range(5):
        weight = best.weight + 0.01 * torch.randn(best.weight.shape)
        other = PPCA(best.mean, weight, best.variance)
        assert other.log_prob(rows).mean() < height
    if variance is None:
        for factor in (0.95, 1.05):
            other = PPCA(best.mean, best.weight, factor * best.variance)
            assert other.log_prob(rows).mean() < height


def trained(run: Path, **options: object) -> tuple[LinearModelMetrics, LinearModelMetrics]:
    config = TrainConfig.model_validate(
        {
            "data": "digits",
            "run": run,
            "hidden": (),
            "likelihood": "gaussian",
            "latent_dim": 10,
            "batch_size": 512,
            "learning_rate": 0.02,
            "learning_rate_schedule": "cosine",
            "keep": "last",
            "checkpoint_seconds": 1000,
            **options,
        }
    )
    data, held_out = split_dataset(load_dataset("digits"), config.held_out, config.seed)
    config = resolve(config, data)
    spec = model_spec(config, data)
    vae = build_vae(spec, config.seed)
    quiet = PlainReporter(Console(quiet=True), epochs=1)
    train(
        vae,
        data.rows,
        held_out.rows,
        config,
        RunDirectory(run),
        Progress(spec=spec, data=""),
        quiet,
    )
    return compare_with_ppca(vae, data.x, held_out.x, config.seed)


def test_training_reaches_the_optimum(tmp_path: Path) -> None:
    best, reached = trained(tmp_path, epochs=300)
    assert reached.active_units == best.active_units == 10
    assert reached.variance == pytest.approx(best.variance, rel=0.02)
    assert best.held_out_log_px - 0.5 < reached.held_out_log_px < best.held_out_log_px + 0.1
    assert reached.held_out_elbo > best.held_out_elbo - 0.5
    assert reached.held_out_elbo < reached.held_out_log_px + 0.1


def test_with_the_noise_of_a_unit_variance_nothing_is_worth_a_latent(tmp_path: Path) -> None:
    best, reached = trained(tmp_path, epochs=60, variance="unit")
    assert reached.active_units == best.active_units == 0
    assert reached.held_out_log_px == pytest.approx(best.held_out_log_px, abs=0.1)


@pytest.mark.parametrize("options", [{"hidden": (4,)}, {"variance": "decoder"}])
def test_what_is_not_linear_has_no_closed_form(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="exact needs a linear model"):
        trained(tmp_path, epochs=1, **options)
