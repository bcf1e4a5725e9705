"""The likelihoods against torch.distributions."""

import math

import pytest
import torch
from torch import distributions

from vae import likelihoods, manifest


def test_bernoulli_log_prob_and_mean() -> None:
    bernoulli = likelihoods.build(manifest.Bernoulli())
    logits = 5 * torch.randn(20, 7)
    x = torch.randint(0, 2, (20, 7)).float()
    reference = distributions.Bernoulli(logits=logits)
    torch.testing.assert_close(bernoulli.log_prob(logits, x), reference.log_prob(x).sum(1))
    torch.testing.assert_close(bernoulli.mean(logits), reference.mean)


def test_bernoulli_of_grey_values_is_the_cross_entropy() -> None:
    bernoulli = likelihoods.build(manifest.Bernoulli())
    logits, x = torch.randn(20, 7), torch.rand(20, 7)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    torch.testing.assert_close(bernoulli.log_prob(logits, x), -entropy.sum(1))


def test_bernoulli_is_finite_for_any_logit() -> None:
    bernoulli = likelihoods.build(manifest.Bernoulli())
    logits = torch.tensor([[1e4, -1e4]])
    assert bernoulli.log_prob(logits, torch.tensor([[1.0, 0.0]])).item() == 0
    assert bernoulli.log_prob(logits, torch.tensor([[0.0, 1.0]])).item() == -2e4


@pytest.mark.parametrize("log_variance", [-3.0, 0.0, 2.0])
def test_gaussian_log_prob_and_mean(log_variance: float) -> None:
    gaussian = likelihoods.Gaussian(learned=True)
    gaussian.log_variance.data.fill_(log_variance)
    params, x = torch.randn(2, 20, 7)
    reference = distributions.Normal(params, math.exp(log_variance / 2))
    torch.testing.assert_close(gaussian.log_prob(params, x), reference.log_prob(x).sum(1))
    assert torch.equal(gaussian.mean(params), params)


def test_only_a_learned_variance_is_trained() -> None:
    unit, learned = (
        likelihoods.build(manifest.Gaussian(variance=variance)) for variance in ("unit", "learned")
    )
    assert [p.requires_grad for p in unit.parameters()] == [False]
    assert [p.requires_grad for p in learned.parameters()] == [True]


def test_the_best_variance_is_the_mean_squared_error() -> None:
    gaussian = likelihoods.Gaussian(learned=True)
    params, x = torch.randn(2, 50, 7)
    gaussian.log_variance.data.fill_((x - params).square().mean().log().item())
    gaussian.log_prob(params, x).sum().backward()
    assert gaussian.log_variance.grad is not None
    assert gaussian.log_variance.grad.item() == pytest.approx(0, abs=1e-3)
