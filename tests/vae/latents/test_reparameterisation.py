"""The reparameterisation trick: the moments and the density of its draws."""

import pytest
import torch
from torch.distributions import Normal

from vae.latents.reparameterisation import log_prob_of_draw, reparameterise


def test_draws_have_the_moments_of_q() -> None:
    eps = torch.randn(200_000, generator=torch.Generator().manual_seed(2))
    z = reparameterise(torch.tensor(3.0), torch.tensor(-2.0), eps)
    assert z.mean().item() == pytest.approx(3, abs=0.01)
    assert z.var().log().item() == pytest.approx(-2, abs=0.02)


def test_the_density_of_a_draw_is_that_of_the_normal() -> None:
    mu, logvar, eps = torch.randn(3, 50, 4, dtype=torch.float64)
    z = reparameterise(mu, logvar, eps)
    expected = Normal(mu, torch.exp(0.5 * logvar)).log_prob(z)
    torch.testing.assert_close(log_prob_of_draw(logvar, eps), expected)


def test_gradients_reach_mu_and_logvar() -> None:
    mu, logvar, eps = torch.randn(3, 4).unbind()
    mu.requires_grad_()
    logvar.requires_grad_()
    reparameterise(mu, logvar, eps).sum().backward()
    assert mu.grad is not None
    assert logvar.grad is not None
    torch.testing.assert_close(mu.grad, torch.ones(4))
    torch.testing.assert_close(logvar.grad, 0.5 * torch.exp(0.5 * logvar.detach()) * eps)
