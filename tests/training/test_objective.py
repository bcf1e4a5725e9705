"""The objective by its parts and by finite differences."""

import pytest
import torch

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
    z, kl = vae.posterior(mu, logvar, eps)
    loss = objective.elbo(vae, x, eps)
    torch.testing.assert_close(loss.reconstruction, vae.log_px_z(x, z))
    torch.testing.assert_close(loss.kl, kl)


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
