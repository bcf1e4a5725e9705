"""Discretised logistics: the published formula, and colours that know of each other."""

import itertools

import pytest
import torch
from torch import Tensor

from vae.likelihoods.logistic_mixture import LogisticMixture

LEVELS = 5


def colours(components: int = 3) -> LogisticMixture:
    return LogisticMixture(LEVELS, components, colour=True)


def all_colours() -> Tensor:
    """Every pixel that there is, (125, 3)."""
    return torch.tensor([*itertools.product(range(LEVELS), repeat=3)]) / (LEVELS - 1)


def some_params(likelihood: LogisticMixture, pixels: int = 1) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(1, 3 * pixels * likelihood.params_per_element)


@pytest.mark.parametrize("components", [1, 3])
def test_the_colours_of_a_pixel_sum_to_one_together(components: int) -> None:
    likelihood, pixels = colours(components), all_colours()
    log_p = likelihood.log_prob(some_params(likelihood).expand(len(pixels), -1), pixels)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_one_component_is_the_difference_of_sigmoids() -> None:
    likelihood = LogisticMixture(256, 1, colour=False)
    mean, log_scale = 0.1, -3.0
    x = torch.arange(256) / 255
    u = (2 * x - 1).double()
    edge = [
        torch.sigmoid((u + side / 255 - mean) / torch.tensor(log_scale).exp()) for side in (1, -1)
    ]
    p = edge[0] - edge[1]
    p[0], p[-1] = edge[0][0], 1 - edge[1][-1]
    params = torch.tensor([[7.0, mean, log_scale]]).expand(256, -1)
    found = likelihood.log_prob(params, x.unsqueeze(1)).double()
    torch.testing.assert_close(found, p.log(), rtol=1e-4, atol=1e-4)


def test_the_tails_do_not_underflow() -> None:
    likelihood = LogisticMixture(256, 1, colour=False)
    params = torch.tensor([[0.0, -1.0, -7.0]])
    far = likelihood.log_prob(params, torch.tensor([[0.9]])).item()
    farther = likelihood.log_prob(params, torch.tensor([[0.95]])).item()
    assert -5000 < farther < far < -1000


@pytest.mark.parametrize(("given", "follows"), [(0, 1), (0, 2), (1, 2)])
def test_a_colour_follows_those_before_it(given: int, follows: int) -> None:
    """Of one narrow component the coupled colour is where the one before it is."""
    likelihood = colours(1)
    pair = follows * (follows - 1) // 2 + given
    parts = torch.zeros(1, 3, 4)
    parts[..., 2] = -3
    parts[0, pair, 3] = 20  # tanh is 1
    params = parts.reshape(1, -1)
    high, low = torch.full((1, 3), 0.5), torch.full((1, 3), 0.5)
    high[0, given] = high[0, follows] = 1.0
    low[0, given], low[0, follows] = 1.0, 0.5
    assert likelihood.log_prob(params, high) > likelihood.log_prob(params, low) + 3


def test_the_mean_of_colours() -> None:
    likelihood, pixels = colours(), all_colours()
    for seed in range(5):
        torch.manual_seed(seed)
        params = 0.5 * torch.randn(1, 3 * likelihood.params_per_element)
        p = likelihood.log_prob(params.expand(len(pixels), -1), pixels).exp()
        torch.testing.assert_close(likelihood.mean(params)[0], p @ pixels, rtol=0, atol=0.05)


def test_samples_of_colours_have_their_probabilities() -> None:
    likelihood, pixels = colours(), all_colours()
    params = some_params(likelihood)
    p = likelihood.log_prob(params.expand(len(pixels), -1), pixels).exp()
    noise = torch.Generator().manual_seed(0)
    drawn = (likelihood.sample(params.expand(50_000, -1), noise) * (LEVELS - 1)).round().long()
    counts = torch.bincount(drawn @ torch.tensor([25, 5, 1]), minlength=125)
    assert (counts / 50_000 - p).abs().max().item() < 0.01


def test_pixels_do_not_know_of_each_other() -> None:
    likelihood = colours()
    params = some_params(likelihood, pixels=2)
    x = all_colours()[[17, 93]].reshape(1, 6)
    apart = likelihood.log_prob(params.reshape(2, -1), x.reshape(2, 3)).sum()
    torch.testing.assert_close(likelihood.log_prob(params, x)[0], apart)
