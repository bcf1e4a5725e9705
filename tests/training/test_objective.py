"""The objective against torch.distributions and by finite differences."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from training import objective
from vae.manifest import MLP, Gaussian, InputSpec, ModelSpec
from vae.networks import VAE


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(
        ModelSpec(
            input=InputSpec(kind="vector", shape=(5,), dtype="float32"),
            latent_dim=3,
            likelihood=Gaussian(variance="learned"),
            network=MLP(hidden=(7,)),
        )
    )


def test_kl_is_that_of_two_normals() -> None:
    mu, logvar = torch.randn(2, 100, 4, dtype=torch.float64)
    expected = kl_divergence(Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0))
    torch.testing.assert_close(objective.kl_divergence(mu, logvar), expected)


def test_kl_agrees_with_its_monte_carlo_estimate() -> None:
    generator = torch.Generator().manual_seed(1)
    mu, logvar = torch.tensor([0.7, -1.2]), torch.tensor([-0.5, 0.4])
    eps = torch.randn(400_000, 2, generator=generator)
    z = objective.reparameterise(mu, logvar, eps)
    q, p = Normal(mu, torch.exp(0.5 * logvar)), Normal(0.0, 1.0)
    estimate = (q.log_prob(z) - p.log_prob(z)).mean(0)
    torch.testing.assert_close(objective.kl_divergence(mu, logvar), estimate, atol=0.01, rtol=0)


def test_kl_is_zero_only_at_the_prior() -> None:
    zero = torch.zeros(3)
    assert objective.kl_divergence(zero, zero).abs().max() == 0
    assert (objective.kl_divergence(zero + 0.1, zero) > 0).all()
    assert (objective.kl_divergence(zero, zero + 0.1) > 0).all()


def test_reparameterised_draws_have_the_moments_of_q() -> None:
    eps = torch.randn(200_000, generator=torch.Generator().manual_seed(2))
    z = objective.reparameterise(torch.tensor(3.0), torch.tensor(-2.0), eps)
    assert z.mean().item() == pytest.approx(3, abs=0.01)
    assert z.var().log().item() == pytest.approx(-2, abs=0.02)


def test_the_parts_add_up(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.randn(6, 3)
    loss = objective.elbo(vae, x, eps, beta=0.25)
    assert loss.kl_per_latent.shape == (6, 3)
    torch.testing.assert_close(loss.kl, loss.kl_per_latent.sum(1))
    torch.testing.assert_close(loss.elbo, loss.reconstruction - loss.kl)
    torch.testing.assert_close(loss.loss, (0.25 * loss.kl - loss.reconstruction).mean())


def test_the_parts_are_those_of_the_bundle_graphs(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.randn(6, 3)
    mu, logvar = vae.encode(x)
    z = objective.reparameterise(mu, logvar, eps)
    loss = objective.elbo(vae, x, eps)
    torch.testing.assert_close(loss.reconstruction, vae.log_px_z(x, z))
    torch.testing.assert_close(loss.kl, objective.kl_divergence(mu, logvar).sum(1))


def test_gradients_are_those_of_the_loss(vae: VAE) -> None:
    vae.double()
    x, eps = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    weights = list(vae.parameters())

    def loss(*values: torch.Tensor) -> torch.Tensor:
        named = dict(zip([name for name, _ in vae.named_parameters()], values, strict=True))
        return torch.func.functional_call(
            _Loss(vae), {f"vae.{k}": v for k, v in named.items()}, (x, eps)
        )

    assert torch.autograd.gradcheck(loss, weights)


class _Loss(torch.nn.Module):
    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        return objective.elbo(self.vae, x, eps, 0.5).loss


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (1, 0.2), (5, 1.0), (10, 2.0), (11, 2.0), (10**6, 2.0)]
)
def test_beta_rises_in_a_straight_line_and_stays(step: int, expected: float) -> None:
    assert objective.annealed_beta(2.0, step, anneal_steps=10) == pytest.approx(expected)


def test_without_annealing_beta_is_whole_from_the_first_step() -> None:
    assert objective.annealed_beta(0.7, 0, anneal_steps=0) == 0.7
