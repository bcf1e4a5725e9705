"""The Gaussian, and each source of its variance."""

import math

import pytest
import torch
from torch import Tensor, distributions

from vae.likelihoods.gaussian import (
    MIN_LOG_VARIANCE,
    DecoderVarianceGaussian,
    Gaussian,
    OptimalGaussian,
    PerElementGaussian,
    SharedGaussian,
)


def reference(mean: Tensor, log_variance: Tensor | float, x: Tensor) -> Tensor:
    sigma = torch.exp(torch.as_tensor(log_variance) / 2)
    return distributions.Normal(mean, sigma).log_prob(x).sum(1)


@pytest.mark.parametrize("variance", [0.05, 1.0, 7.0])
def test_one_variance_for_all(variance: float) -> None:
    gaussian = SharedGaussian(variance)
    params, x = torch.randn(2, 20, 7)
    found = gaussian.log_prob(params, x)
    torch.testing.assert_close(found, reference(params, math.log(variance), x))
    assert torch.equal(gaussian.mean(params), params)
    assert [p.requires_grad for p in gaussian.parameters()] == [False]


def test_the_best_learned_variance_is_the_mean_squared_error() -> None:
    gaussian = SharedGaussian(learned=True)
    params, x = torch.randn(2, 50, 7)
    gaussian.log_variance.data.fill_((x - params).square().mean().log().item())
    gaussian.log_prob(params, x).sum().backward()
    assert gaussian.log_variance.grad is not None
    assert gaussian.log_variance.grad.item() == pytest.approx(0, abs=1e-3)


def test_a_variance_for_each_element() -> None:
    gaussian = PerElementGaussian(3)
    gaussian.log_variance.data = torch.tensor([-2.0, 0.0, 3.0])
    params, x = torch.randn(2, 20, 3)
    torch.testing.assert_close(
        gaussian.log_prob(params, x),
        reference(params, gaussian.log_variance.detach(), x),
        rtol=1e-4,
        atol=1e-3,
    )


def test_a_variance_by_the_decoder_lies_beside_its_mean() -> None:
    params = torch.tensor([[1.0, -2.0, 5.0, 0.5]])
    x = torch.tensor([[1.5, 4.0]])
    gaussian = DecoderVarianceGaussian()
    assert gaussian.mean(params).tolist() == [[1, 5]]
    expected = reference(torch.tensor([[1.0, 5.0]]), torch.tensor([-2.0, 0.5]), x)
    torch.testing.assert_close(gaussian.log_prob(params, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gaussian", [PerElementGaussian(1), DecoderVarianceGaussian()])
def test_a_constant_element_has_no_infinite_density(gaussian: Gaussian) -> None:
    for parameter in gaussian.parameters():
        parameter.data.fill_(-1e3)
    params = torch.zeros(1, gaussian.params_per_element)
    params[:, 1:] = -1e3
    highest = -0.5 * (MIN_LOG_VARIANCE + math.log(2 * math.pi))
    assert gaussian.log_prob(params, torch.zeros(1, 1)).item() == pytest.approx(highest)


def test_the_optimal_variance_in_training_is_that_of_the_batch() -> None:
    gaussian = OptimalGaussian()
    params, x = torch.randn(2, 20, 7)
    log_p = gaussian.log_prob(params, x)
    torch.testing.assert_close(log_p, reference(params, (x - params).square().mean().log(), x))
    for other in (0.9, 1.1):
        assert (
            SharedGaussian(other * float((x - params).square().mean())).log_prob(params, x).sum()
            < log_p.sum()
        )


def test_the_optimal_variance_afterwards_is_the_mean_over_batches() -> None:
    gaussian = OptimalGaussian()
    errors = []
    for scale in (1.0, 2.0, 4.0):
        x = scale * torch.randn(50, 7)
        gaussian.log_prob(torch.zeros(50, 7), x)
        errors.append(x.square().mean())
    gaussian.eval()
    x = torch.randn(20, 7)
    expected = reference(torch.zeros(20, 7), torch.stack(errors).mean().log(), x)
    torch.testing.assert_close(gaussian.log_prob(torch.zeros(20, 7), x), expected)
    assert gaussian.batches.item() == 3


def test_a_batch_that_is_not_finite_is_not_remembered() -> None:
    gaussian = OptimalGaussian()
    zero = torch.zeros(2, 3)
    gaussian.log_prob(zero, torch.full((2, 3), 2.0))
    gaussian.log_prob(zero, torch.full((2, 3), torch.inf))
    assert gaussian.log_variance.exp().item() == pytest.approx(4)
    assert gaussian.batches.item() == 1


@pytest.mark.parametrize("sigma", [0.6, 3.0, 40.0])
def test_whole_numbers_in_units_are_a_lower_bound_on_masses(sigma: float) -> None:
    scale = torch.tensor([100.0])
    gaussian = SharedGaussian((sigma / 100) ** 2)
    x = torch.arange(-300.0, 301.0).unsqueeze(1)
    log_mass = gaussian.log_prob_in_data_units(torch.zeros(601, 1), x / 100, scale, whole=True)
    normal = distributions.Normal(0, sigma)
    exact = (normal.cdf(x + 0.5) - normal.cdf(x - 0.5)).squeeze(1)
    held = exact > 1e-5
    assert (log_mass[held] <= exact[held].log() + 1e-2).all()
    assert log_mass.exp().sum().item() == pytest.approx(1, abs=0.15 / sigma**2)


def test_real_values_in_units_are_a_density_whatever_the_scale() -> None:
    mean, x = torch.randn(2, 5, 3)
    scale = torch.tensor([2.0, 0.1, 30.0])
    found = SharedGaussian(0.5).log_prob_in_data_units(mean, x, scale, whole=False)
    sigma = math.sqrt(0.5) * scale
    expected = distributions.Normal(mean * scale, sigma).log_prob(x * scale).sum(1)
    torch.testing.assert_close(found, expected)
