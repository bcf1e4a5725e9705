"""The special functions against scipy in double precision, and their gradients."""

import numpy as np
import pytest
import torch
from scipy import special as scipy_special
from torch import Tensor

from vae.likelihoods import special_functions

WIDE = torch.cat([-torch.logspace(-6, 3, 400).flip(0), torch.zeros(1), torch.logspace(-6, 3, 400)])
POSITIVE = torch.logspace(-6, 3, 800)


def close(found: Tensor, expected: Tensor, tolerance: float = 2e-6) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_log_sinhc() -> None:
    a = WIDE.double().abs().clamp(min=1e-9)
    close(special_functions.log_sinhc(WIDE), a + torch.log(-torch.expm1(-2 * a) / (2 * a)))


def test_langevin_is_the_derivative_of_log_sinhc() -> None:
    a = WIDE.clone().requires_grad_()
    special_functions.log_sinhc(a).sum().backward()
    assert a.grad is not None
    close(special_functions.langevin(WIDE), a.grad.double(), 1e-5)


def test_log_sigmoid() -> None:
    close(
        special_functions.log_sigmoid(WIDE),
        torch.from_numpy(scipy_special.log_expit(WIDE.double().numpy())),
    )


def test_log1mexp() -> None:
    close(special_functions.log1mexp(POSITIVE), torch.log(-torch.expm1(-POSITIVE.double())))


@pytest.mark.parametrize("ratio", [1e-6, 0.5, 0.8, 0.999, 1.0, 1.001, 1.3, 100.0])
def test_deviance(ratio: float) -> None:
    a = torch.logspace(-3, 6, 500)
    b = (a * ratio).double()
    exact = a.double() * torch.log(a / b) + b - a
    found = special_functions.deviance(a, b.float()).double()
    # b was rounded to float32: that much of |a − b| is not the function's fault.
    assert ((found - exact).abs() <= 3e-6 * exact + 4e-7 * (a - b).abs() + 1e-7).all()


@pytest.mark.parametrize("apart", [-0.9, -0.2, -1e-3, 1e-12, 1e-6, 0.1, 30.0])
def test_log_ratio(apart: float) -> None:
    b = torch.logspace(-3, 6, 500)
    difference = apart * b
    exact = torch.log1p(difference.double() / b.double())
    found = special_functions.log_ratio(b + difference, b, difference).double()
    torch.testing.assert_close(found, exact, rtol=2e-6, atol=0)


def test_stirling_excess() -> None:
    y = torch.cat([torch.zeros(1), torch.logspace(-6, 6, 900), torch.arange(1.0, 30.0)])
    double = y.double().numpy()
    exact = scipy_special.gammaln(double + 1) - scipy_special.xlogy(double, double) + double
    np.testing.assert_allclose(
        special_functions.stirling_excess(y).double().numpy(), exact, atol=5e-6
    )


@pytest.mark.parametrize("function", [special_functions.log_sinhc, special_functions.langevin])
def test_gradients_are_finite(function: object) -> None:
    a = torch.tensor([0.0, 1e-8, 0.5, -0.5, 1e4, -1e4, 1e8]).requires_grad_()
    assert callable(function)
    function(a).sum().backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()
