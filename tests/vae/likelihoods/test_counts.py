"""Poisson and negative binomial against torch.distributions in double precision."""

import math

import pytest
import torch
from torch import distributions

from vae.likelihoods.counts import LogCounts, NegativeBinomial, Poisson

COUNTS = torch.tensor([[0.0, 1, 2, 3, 7, 30, 400, 10_000, 1_000_000]])


@pytest.mark.parametrize("factor", [0.01, 0.9, 1.0, 1.1, 5.0])
def test_poisson(factor: float) -> None:
    log_rate = (factor * (COUNTS + 0.5)).log()
    exact = distributions.Poisson(log_rate.double().exp()).log_prob(COUNTS.double())
    for column in range(COUNTS.shape[1]):
        one = slice(column, column + 1)
        found = Poisson().log_prob(log_rate[:, one], COUNTS[:, one]).item()
        slack = 1e-6 * abs(factor - 1) * COUNTS[0, column].item()  # of a rate in float32
        assert found == pytest.approx(exact[0, column].item(), rel=1e-5, abs=1e-5 + slack)


@pytest.mark.parametrize("log_r", [-5.0, 0.0, 3.0, 14.0])
@pytest.mark.parametrize("factor", [0.1, 1.0, 3.0])
def test_negative_binomial(log_r: float, factor: float) -> None:
    log_mean = (factor * (COUNTS + 0.5)).log()
    r = torch.tensor(log_r).double().exp()
    logits = log_mean.double() - log_r
    exact = distributions.NegativeBinomial(r, logits=logits).log_prob(COUNTS.double())
    likelihood = NegativeBinomial(1)
    likelihood.log_r.data.fill_(log_r)
    for column in range(COUNTS.shape[1]):
        one = slice(column, column + 1)
        found = likelihood.log_prob(log_mean[:, one], COUNTS[:, one]).item()
        assert found == pytest.approx(exact[0, column].item(), rel=1e-4, abs=1e-4)


def test_a_large_r_is_poisson() -> None:
    log_rate, k = torch.randn(1, 50), torch.randint(0, 9, (1, 50)).float()
    likelihood = NegativeBinomial(50)
    likelihood.log_r.data.fill_(12)
    torch.testing.assert_close(
        likelihood.log_prob(log_rate, k), Poisson().log_prob(log_rate, k), rtol=1e-4, atol=1e-3
    )


def test_what_is_no_count_is_taken_for_the_nearest() -> None:
    log_rate = torch.zeros(1, 2)
    odd, even = torch.tensor([[-3.0, 1.8]]), torch.tensor([[0.0, 2.0]])
    assert torch.equal(Poisson().log_prob(log_rate, odd), Poisson().log_prob(log_rate, even))
    assert LogCounts()(odd).tolist() == [[0, pytest.approx(math.log(2.8))]]
