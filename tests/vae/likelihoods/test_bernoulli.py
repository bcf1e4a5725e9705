"""Bernoulli and continuous Bernoulli against torch.distributions."""

import math

import pytest
import torch
from torch import distributions

from vae.likelihoods.bernoulli import Bernoulli, ContinuousBernoulli

BYTE = torch.tensor([255.0])


def test_bernoulli_log_prob_and_mean() -> None:
    logits = 5 * torch.randn(20, 7)
    x = torch.randint(0, 2, (20, 7)).float()
    reference = distributions.Bernoulli(logits=logits)
    torch.testing.assert_close(Bernoulli().log_prob(logits, x), reference.log_prob(x).sum(1))
    torch.testing.assert_close(Bernoulli().mean(logits), reference.mean)


def test_bernoulli_of_grey_values_is_the_cross_entropy() -> None:
    logits, x = torch.randn(20, 7), torch.rand(20, 7)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    torch.testing.assert_close(Bernoulli().log_prob(logits, x), -entropy.sum(1))


def test_bernoulli_is_exact_for_any_logit() -> None:
    logits = torch.tensor([[1e4, -1e4]])
    assert Bernoulli().log_prob(logits, torch.tensor([[1.0, 0.0]])).item() == 0
    assert Bernoulli().log_prob(logits, torch.tensor([[0.0, 1.0]])).item() == -2e4


def test_continuous_bernoulli_log_prob_and_mean() -> None:
    logits, x = 3 * torch.randn(200, 7), torch.rand(200, 7)
    logits[0] = torch.tensor([0, 1e-7, -1e-4, 1e-3, 1e-2, -0.1, 0.9])  # around λ = ½
    reference = distributions.ContinuousBernoulli(logits=logits.double())
    found = ContinuousBernoulli().log_prob(logits, x)
    expected = reference.log_prob(x.double()).sum(1).float()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    mean = ContinuousBernoulli().mean(logits)
    torch.testing.assert_close(mean, reference.mean.float(), rtol=1e-4, atol=1e-4)


def test_the_mean_of_the_continuous_bernoulli_is_not_its_lambda() -> None:
    assert ContinuousBernoulli().mean(torch.tensor([[10.0]])).item() == pytest.approx(0.9, abs=1e-4)


def test_binary_rows_in_units_are_masses() -> None:
    logits, x = torch.randn(5, 7), torch.randint(0, 2, (5, 7)).float()
    found = Bernoulli().log_prob_in_data_units(logits, x, BYTE, whole=True)
    assert torch.equal(found, Bernoulli().log_prob(logits, x))


@pytest.mark.parametrize("likelihood", [Bernoulli(), ContinuousBernoulli()])
@pytest.mark.parametrize("logit", [0.0, 2.0, -40.0])
def test_grey_levels_in_units_are_a_lower_bound_on_masses(
    likelihood: Bernoulli | ContinuousBernoulli, logit: float
) -> None:
    levels = torch.linspace(0, 1, 256).unsqueeze(1)
    params = torch.full((256, 1), logit)
    log_mass = likelihood.log_prob_in_data_units(params, levels, BYTE, whole=True)
    total = log_mass.double().exp().sum().item()
    assert 0.99 < total <= 1 + 1e-5
    inner = (ContinuousBernoulli().log_prob(params, levels) - math.log(255))[1:-1]
    torch.testing.assert_close(log_mass[1:-1], inner, rtol=1e-4, atol=1e-4)


def test_real_values_in_units_are_a_density() -> None:
    logits, x = torch.randn(5, 7), torch.rand(5, 7)
    expected = ContinuousBernoulli().log_prob(logits, x) - 7 * math.log(255)
    for likelihood in (Bernoulli(), ContinuousBernoulli()):
        found = likelihood.log_prob_in_data_units(logits, x, BYTE, whole=False)
        torch.testing.assert_close(found, expected)
