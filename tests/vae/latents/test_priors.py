"""Priors: densities that integrate to one, and draws that have them."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vae.latents.priors import GaussianMixture, Prior, StandardNormal, VampPrior


def encode(x: Tensor) -> tuple[Tensor, Tensor]:
    """An encoder whose answers are known."""
    return x[:, :2], x[:, 2:4]


def mixture() -> GaussianMixture:
    torch.manual_seed(0)
    prior = GaussianMixture(2, 3)
    with torch.no_grad():
        prior.mu.copy_(torch.tensor([[-2.0, 0.0], [1.0, 2.0], [2.0, -2.0]]))
        prior.logvar.copy_(torch.randn(3, 2))
        prior.logits.copy_(torch.tensor([0.2, 1.0, -0.5]))
    return prior


def vamp() -> VampPrior:
    torch.manual_seed(1)
    prior = VampPrior(2, 4, 5, encode)
    with torch.no_grad():
        prior.pseudo_inputs.copy_(torch.randn(4, 5))
        prior.logits.copy_(torch.tensor([0.3, -0.4, 1.0, 0.0]))
    return prior


PRIORS = [StandardNormal(2), mixture(), vamp()]


def grid(step: float = 0.05, end: float = 9.0) -> Tensor:
    axis = torch.arange(-end, end, step)
    return torch.cartesian_prod(axis, axis)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_density_integrates_to_one(prior: Prior) -> None:
    total = prior.log_prob(grid()).exp().sum().item() * 0.05**2
    assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("prior", PRIORS)
def test_draws_have_the_density(prior: Prior) -> None:
    noise = torch.randn(200_000, prior.noise_dim, generator=torch.Generator().manual_seed(2))
    z = prior.sample(noise, torch.ones(len(noise)))
    points = grid()
    weights = prior.log_prob(points).exp()[:, None] * 0.05**2
    mean = (weights * points).sum(0)
    torch.testing.assert_close(z.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(
        z.var(0), (weights * (points - mean).square()).sum(0), rtol=0.03, atol=0
    )
    inside = (z > 0).all(dim=1).float().mean().item()
    expected = weights[(points > 0).all(dim=1)].sum().item()
    assert inside == pytest.approx(expected, abs=0.02)


def test_the_mixture_is_that_of_torch() -> None:
    prior, z = mixture(), torch.randn(20, 2)
    expected = MixtureSameFamily(
        Categorical(logits=prior.logits),
        Independent(Normal(prior.mu, torch.exp(0.5 * prior.logvar)), 1),
    )
    torch.testing.assert_close(prior.log_prob(z), expected.log_prob(z))


def test_the_vamp_prior_mixes_the_posteriors_of_its_pseudo_inputs() -> None:
    prior, z = vamp(), torch.randn(20, 2)
    densities = torch.stack(
        [
            Normal(mu, torch.exp(0.5 * logvar)).log_prob(z).sum(1).exp()
            for mu, logvar in zip(*encode(prior.pseudo_inputs), strict=True)
        ]
    )
    weights = torch.softmax(prior.logits, dim=0)
    torch.testing.assert_close(prior.log_prob(z), (weights @ densities).log())


def test_pseudo_inputs_weigh_the_same_at_first() -> None:
    _, _, log_weights = VampPrior(2, 4, 5, encode).components()
    torch.testing.assert_close(log_weights.exp(), torch.full((4,), 0.25))


def test_a_pseudo_input_that_strays_from_all_data_loses_its_samples() -> None:
    prior = vamp()
    with torch.no_grad():
        prior.pseudo_inputs[1] = 100.0
    steps = torch.optim.Adam(prior.parameters(), lr=0.1)
    z = torch.randn(500, 2, generator=torch.Generator().manual_seed(4))
    for _ in range(200):
        steps.zero_grad()
        (-prior.log_prob(z).mean()).backward()
        steps.step()
    assert prior.pseudo_inputs[1].min() > 50
    assert torch.softmax(prior.logits, dim=0)[1] < 0.001


def test_settled_it_no_longer_asks_the_encoder() -> None:
    prior = vamp()
    frozen = prior.frozen()
    z, noise = torch.randn(20, 2), torch.randn(20, 3)
    before = prior.log_prob(z), prior.sample(noise, torch.ones(20))
    with torch.no_grad():
        prior.pseudo_inputs.zero_()
    torch.testing.assert_close(frozen.log_prob(z), before[0])
    torch.testing.assert_close(frozen.sample(noise, torch.ones(20)), before[1])


def test_settled_mixtures_choose_as_their_originals_and_stay_as_they_are() -> None:
    prior = mixture()
    frozen = prior.frozen()
    noise = torch.randn(500, 3)
    expected = prior.sample(noise, torch.ones(500))
    with torch.no_grad():
        prior.mu.zero_()
        prior.logits.zero_()
    assert torch.equal(frozen.sample(noise, torch.ones(500)), expected)
    assert frozen.frozen() is frozen


def test_a_component_begins_where_the_weights_before_it_end() -> None:
    prior = mixture()
    first, *_ = torch.softmax(prior.logits.detach(), dim=0).double()
    edge = Normal(0.0, 1.0).icdf(first).item()
    noise = torch.tensor([[edge - 1e-4, 0, 0], [edge + 1e-4, 0, 0]])
    torch.testing.assert_close(prior.sample(noise, torch.ones(2)), prior.mu[:2])


def test_temperature_scales_the_deviations_and_chooses_no_component() -> None:
    prior = mixture()
    noise = torch.randn(500, 3, generator=torch.Generator().manual_seed(3))
    cold, half, whole = (prior.sample(noise, torch.full((500,), t)) for t in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half, (cold + whole) / 2)
    assert {tuple(row) for row in cold.tolist()} == {tuple(row) for row in prior.mu.tolist()}
    shares = torch.softmax(prior.logits, dim=0)
    first = (cold == prior.mu[0]).all(dim=1).float().mean()
    assert first.item() == pytest.approx(shares[0].item(), abs=0.07)


def test_the_ends_of_the_noise_choose_the_first_and_the_last_component() -> None:
    prior = mixture()
    noise = torch.tensor([[-math.inf, 0.0, 0.0], [math.inf, 0.0, 0.0]])
    z = prior.sample(noise, torch.ones(2))
    torch.testing.assert_close(z, prior.mu[[0, -1]])
