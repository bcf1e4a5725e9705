"""The objective by its parts and by finite differences."""

import pytest
import torch

from tests.training.models import mixture_vae, now
from training.objectives.elbo import ELBO
from vae.manifest import GaussianSpec, InputSpec, MLPSpec, ModelSpec
from vae.networks import VAE


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(
        ModelSpec(
            input=InputSpec(kind="vector", shape=(5,), dtype="float32"),
            latent_dim=3,
            likelihood=GaussianSpec(variance="learned"),
            network=MLPSpec(hidden=(7,)),
        )
    )


def test_the_parts_add_up(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.randn(1, 6, 3)
    loss = ELBO()(vae, x, eps, now(beta=0.25))
    assert loss.kl_per_latent.shape == (6, 3)
    torch.testing.assert_close(loss.kl, loss.kl_per_latent.sum(1))
    torch.testing.assert_close(loss.elbo, loss.reconstruction - loss.kl)
    torch.testing.assert_close(loss.loss, (0.25 * loss.kl - loss.reconstruction).mean())


def test_the_parts_are_those_of_the_bundle_graphs(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.randn(1, 6, 3)
    mu, logvar = vae.encode(x)
    z, kl = vae.posterior(mu, logvar, eps[0])
    loss = ELBO()(vae, x, eps, now())
    torch.testing.assert_close(loss.reconstruction, vae.log_px_z(x, z))
    torch.testing.assert_close(loss.kl, kl)


def test_gradients_are_those_of_the_loss(vae: VAE) -> None:
    vae.double()
    x, eps = torch.randn(4, 5, dtype=torch.float64), torch.randn(1, 4, 3, dtype=torch.float64)
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
        return ELBO()(self.vae, x, eps, now(0.5)).loss


def test_draws_are_averaged(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.randn(3, 6, 3)
    several = ELBO(draws=3)(vae, x, eps, now())
    one_by_one = [ELBO()(vae, x, each[None], now()) for each in eps]
    for part in ("loss", "reconstruction", "elbo"):
        mean = torch.stack([getattr(one, part) for one in one_by_one]).mean(0)
        torch.testing.assert_close(getattr(several, part), mean)


def test_free_bits_charge_a_latent_no_less_than_its_own(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.randn(1, 6, 3)
    plain = ELBO()(vae, x, eps, now())
    means = plain.kl_per_latent.mean(0).detach()
    free = float(means.sort().values[1])  # above the least of the three
    expected = means.clamp(min=free).sum() - plain.reconstruction.mean()
    found = ELBO(free_bits=free)(vae, x, eps, now())
    torch.testing.assert_close(found.loss, expected)
    assert found.loss > plain.loss
    torch.testing.assert_close(found.elbo, plain.elbo)


def test_below_its_free_bits_a_latent_feels_no_pull_to_the_prior(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.zeros(1, 6, 3)
    vae.decoder.requires_grad_(False)
    for parameter in vae.decoder.parameters():
        parameter.zero_()  # so that the reconstruction does not depend on z
    ELBO(free_bits=1e3)(vae, x, eps, now()).loss.backward()
    assert all(not p.grad.any() for p in vae.encoder.parameters() if p.grad is not None)


def test_the_capacity_pulls_the_mean_kl_from_both_sides(vae: VAE) -> None:
    x, eps = torch.randn(6, 5), torch.randn(1, 6, 3)
    kl = float(ELBO()(vae, x, eps, now()).kl.mean().detach())
    for capacity in (0.5 * kl, 1.5 * kl):
        found = ELBO(capacity=True)(vae, x, eps, now(beta=7, capacity=capacity))
        expected = 7 * abs(kl - capacity) - found.reconstruction.mean()
        torch.testing.assert_close(found.loss, expected)


def test_only_means_over_rows_add_up_over_parts_of_a_batch() -> None:
    assert ELBO().averages_rows
    assert not ELBO(free_bits=0.1).averages_rows
    assert not ELBO(capacity=True).averages_rows


def test_the_free_bits_of_latents_with_one_density_are_those_of_all() -> None:
    vae, x, eps = mixture_vae(), torch.randn(6, 5), torch.randn(1, 6, 3)
    plain = ELBO()(vae, x, eps, now())
    found = ELBO(free_bits=10.0)(vae, x, eps, now())
    torch.testing.assert_close(found.loss, 30.0 - plain.reconstruction.mean())
