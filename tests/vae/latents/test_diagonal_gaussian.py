"""Gaussians by mu and logvar, against torch.distributions."""

import torch
from torch import distributions
from torch.distributions import Normal

from vae.latents.diagonal_gaussian import (
    kl_between,
    kl_to_standard_normal,
    log_normal,
    log_normal_pairwise,
    log_standard_normal,
)
from vae.latents.reparameterisation import reparameterise


def test_kl_is_that_of_two_normals() -> None:
    mu, logvar = torch.randn(2, 100, 4, dtype=torch.float64)
    expected = distributions.kl_divergence(Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), expected)


def test_kl_between_two_learned_normals() -> None:
    first, second = torch.randn(2, 2, 100, 4, dtype=torch.float64)
    q, p = (Normal(mu, torch.exp(0.5 * logvar)) for mu, logvar in (first, second))
    expected = distributions.kl_divergence(q, p)
    torch.testing.assert_close(kl_between(*first, *second), expected)


def test_rows_under_each_gaussian_keep_the_digits_of_float32_far_from_narrow_ones() -> None:
    z, mu = 3 * torch.randn(20, 4), 3 * torch.randn(30, 4)
    logvar = 2 * torch.randn(30, 4) - 8
    exact = log_normal(z[:, None].double(), mu.double(), logvar.double()).sum(dim=2)
    assert exact.min() < -1e5
    found = log_normal_pairwise(z, mu, logvar)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=2e-7, atol=1e-5)


def test_kl_agrees_with_its_monte_carlo_estimate() -> None:
    generator = torch.Generator().manual_seed(1)
    mu, logvar = torch.tensor([0.7, -1.2]), torch.tensor([-0.5, 0.4])
    eps = torch.randn(400_000, 2, generator=generator)
    z = reparameterise(mu, logvar, eps)
    q, p = Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0)
    estimate = (q.log_prob(z) - p.log_prob(z)).mean(0)
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), estimate, atol=0.01, rtol=0)


def test_kl_is_zero_only_at_the_prior() -> None:
    zero = torch.zeros(3)
    assert kl_to_standard_normal(zero, zero).abs().max() == 0
    assert (kl_to_standard_normal(zero + 0.1, zero) > 0).all()
    assert (kl_to_standard_normal(zero, zero + 0.1) > 0).all()


def test_densities_are_those_of_the_normal() -> None:
    z, mu, logvar = torch.randn(3, 50, 4, dtype=torch.float64)
    expected = Normal(mu, torch.exp(0.5 * logvar)).log_prob(z)
    torch.testing.assert_close(log_normal(z, mu, logvar), expected)
    torch.testing.assert_close(log_standard_normal(z), Normal(0.0, 1.0).log_prob(z))
