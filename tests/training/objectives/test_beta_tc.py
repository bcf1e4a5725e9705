"""The aggregate posterior, where its terms are known."""

import math

import pytest
import torch

from tests.training.models import gaussian_vae, now
from training.evaluation.kl_decomposition import decompose_kl
from training.objectives.beta_tc import BetaTC, log_aggregate_posterior
from training.objectives.elbo import ELBO
from vae.latents.diagonal_gaussian import kl_to_standard_normal

GENERATOR = torch.Generator


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR().manual_seed(seed), dtype=torch.float64)


def test_the_terms_add_up_to_the_mean_kl() -> None:
    mu, logvar = 2 * normal(800, 3), normal(800, 3, seed=1)
    found = decompose_kl(mu, logvar, GENERATOR().manual_seed(2))
    total = found.mutual_information + found.total_correlation + found.dimension_wise_kl
    assert total == pytest.approx(kl_to_standard_normal(mu, logvar).sum(1).mean().item(), abs=0.5)
    assert min(found.mutual_information, found.dimension_wise_kl) > 0


def test_a_posterior_that_ignores_x_has_no_term() -> None:
    mu = torch.zeros(500, 4)
    found = decompose_kl(mu, mu, GENERATOR().manual_seed(0))
    for term in (found.mutual_information, found.total_correlation, found.dimension_wise_kl):
        assert term == pytest.approx(0, abs=1e-5)


def test_sharp_posteriors_know_which_example_it_was() -> None:
    mu = 100 * normal(300, 2)
    found = decompose_kl(mu, torch.full_like(mu, -8.0), GENERATOR().manual_seed(0))
    assert found.mutual_information == pytest.approx(math.log(300), abs=0.01)


def test_the_total_correlation_is_that_of_a_correlated_normal() -> None:
    """Of N(0, Σ) with correlation ρ it is −½ log(1 − ρ²) (here Σ by means, and noise of σ²)."""
    a, b = normal(2, 4000)
    mu = torch.stack([a, 0.8 * a + 0.6 * b], dim=1)
    variance = 0.1
    rho = 0.8 / (1 + variance)
    found = decompose_kl(mu, torch.full_like(mu, math.log(variance)), GENERATOR().manual_seed(0))
    assert found.total_correlation == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.06)
    independent = torch.stack([a, b], dim=1)
    found = decompose_kl(independent, torch.full_like(mu, -2.0), GENERATOR().manual_seed(0))
    assert found.total_correlation == pytest.approx(0, abs=0.03)


def test_the_aggregate_of_one_posterior_is_its_density() -> None:
    z, mu, logvar = normal(5, 2), normal(1, 2, seed=1), normal(1, 2, seed=2)
    density = torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).log_prob(z).sum(1)
    for found in log_aggregate_posterior(z, mu, logvar, 0.0):
        torch.testing.assert_close(found, density)


def test_beta_one_is_the_elbo_and_a_larger_one_charges_the_correlation() -> None:
    vae, x = gaussian_vae(), normal(64, 5).float()
    eps = normal(1, 64, 3, seed=1).float()
    objective = BetaTC(rows=1000)
    plain = ELBO()(vae, x, eps, now()).loss
    torch.testing.assert_close(objective(vae, x, eps, now()).loss, plain)
    twice, thrice = (objective(vae, x, eps, now(beta=b)).loss - plain for b in (2.0, 3.0))
    torch.testing.assert_close(thrice, 2 * twice, atol=1e-3, rtol=1e-4)
    mu, logvar = vae.encode(x)
    z = mu + eps[0] * torch.exp(0.5 * logvar)
    log_qz, log_qzj = log_aggregate_posterior(z, mu, logvar, math.log(1000 * 64))
    torch.testing.assert_close(twice, (log_qz - log_qzj).mean(), atol=1e-3, rtol=1e-4)
    assert not objective.averages_rows


def test_a_batch_of_one_row_has_a_finite_loss() -> None:
    vae = gaussian_vae()
    loss = BetaTC(rows=10)(vae, torch.randn(1, 5), torch.randn(1, 1, 3), now(beta=4.0)).loss
    assert torch.isfinite(loss)
