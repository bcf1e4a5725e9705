"""Importance-weighted bounds and their gradients."""

import math

import pytest
import torch

from tests.training.models import gaussian_vae, gradients, now
from training.objectives.dreg import DReG
from training.objectives.elbo import ELBO
from training.objectives.iwae import IWAE, importance_weighted_bound

X = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))


def noise(draws: int, rows: int = 4, seed: int = 2) -> torch.Tensor:
    return torch.randn(draws, rows, 3, generator=torch.Generator().manual_seed(seed))


def test_the_bound_is_the_log_of_the_mean_weight() -> None:
    weights = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    torch.testing.assert_close(
        importance_weighted_bound(weights.log()), torch.tensor([2.0, 4.0]).log()
    )


def test_with_one_draw_the_bound_is_the_elbo_on_average() -> None:
    vae, x = gaussian_vae(), X.repeat(5000, 1)
    eps = noise(1, len(x))
    elbo = ELBO()(vae, x, eps, now()).loss.item()
    assert IWAE(draws=1)(vae, x, eps, now()).loss.item() == pytest.approx(elbo, abs=0.05)


def test_more_draws_make_a_tighter_bound() -> None:
    vae, x = gaussian_vae(), X.repeat(500, 1)
    losses = [IWAE(draws=k)(vae, x, noise(k, len(x)), now()).loss.item() for k in (1, 5, 50)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[2] + 0.1


def test_the_parts_beside_the_bound_are_those_of_the_elbo() -> None:
    vae, eps = gaussian_vae(), noise(6)
    expected = ELBO(draws=6)(vae, X, eps, now())
    for objective in (IWAE(draws=6), DReG(draws=6)):
        found = objective(vae, X, eps, now())
        torch.testing.assert_close(found.elbo, expected.elbo)
        assert found.loss < expected.loss


def test_beta_weighs_the_ratio_of_posterior_and_prior() -> None:
    vae, eps = gaussian_vae(), noise(6)
    found = IWAE(draws=6)(vae, X, eps, now(beta=0.0)).loss
    mu, logvar = vae.encode(X)
    log_px_z = torch.stack([vae.log_px_z(X, mu + e * torch.exp(0.5 * logvar)) for e in eps])
    torch.testing.assert_close(found, -(torch.logsumexp(log_px_z, 0) - math.log(6)).mean())


WEIGHTS = pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])


@WEIGHTS
def test_dreg_has_the_bound_of_iwae_and_the_decoder_s_very_gradient(beta: float) -> None:
    vae, eps = gaussian_vae(), noise(8)
    iwae, dreg = (objective(draws=8)(vae, X, eps, now(beta=beta)) for objective in (IWAE, DReG))
    torch.testing.assert_close(dreg.loss, iwae.loss)
    expected, found = gradients(vae, iwae.loss)[1], gradients(vae, dreg.loss)[1]
    torch.testing.assert_close(found, expected)


@WEIGHTS
def test_dreg_is_iwae_s_encoder_gradient_on_average(beta: float) -> None:
    vae, rows = gaussian_vae(), 20_000
    x, eps = X[:1].repeat(rows, 1), noise(4, rows)
    iwae, dreg = (
        gradients(vae, objective(draws=4)(vae, x, eps, now(beta=beta)).loss)[0]
        for objective in (IWAE, DReG)
    )
    assert (iwae - dreg).norm() < 0.05 * iwae.norm()


def test_dreg_s_encoder_gradient_has_less_noise() -> None:
    vae = gaussian_vae()
    spread = {
        objective: torch.stack(
            [
                gradients(vae, objective(draws=16)(vae, X, noise(16, 4, seed), now()).loss)[0]
                for seed in range(50)
            ]
        )
        .var(dim=0)
        .sum()
        for objective in (IWAE, DReG)
    }
    assert spread[DReG] < 0.8 * spread[IWAE]
