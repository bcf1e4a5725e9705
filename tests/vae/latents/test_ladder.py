"""The ladder, against joint Gaussians and the product of two densities."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vae.latents.ladder import LadderLatents, LadderLayer, precision_weighted
from vae.latents.single_layer import ClosedFormLatents

A = torch.tensor([[0.7, -1.1], [0.3, 0.5], [-0.8, 0.2]], dtype=torch.float64)
B = torch.tensor([0.1, -0.4, 0.6], dtype=torch.float64)
LOGVAR = torch.tensor([-0.5, 0.3, -1.0], dtype=torch.float64)


class Linear(nn.Module):
    """p(z|above) = N(A·above + B, exp(LOGVAR)), so that all of z is jointly Gaussian."""

    def forward(self, above: Tensor) -> Tensor:
        return torch.cat([above @ A.T + B, LOGVAR.expand(len(above), 3)], dim=1)


def ladder() -> LadderLatents:
    """Two latents above three."""
    layer = LadderLayer(2, 3, 4)
    layer.prior = Linear()  # type: ignore[assignment]
    return LadderLatents(ClosedFormLatents(2), [layer])


def joint(top: Normal, weights: Tensor, bias: Tensor, variance: Tensor) -> MultivariateNormal:
    """(z1, z2) where z1 ~ top and z2 ~ N(weights·z1 + bias, variance)."""
    cov1 = torch.diag(top.variance)
    cross = cov1 @ weights.T
    cov2 = weights @ cov1 @ weights.T + torch.diag(variance)
    covariance = torch.cat([torch.cat([cov1, cross], 1), torch.cat([cross.T, cov2], 1)])
    return MultivariateNormal(torch.cat([top.mean, weights @ top.mean + bias]), covariance)


def distributions(mu: Tensor, logvar: Tensor) -> tuple[MultivariateNormal, MultivariateNormal]:
    """q(z|x) and p(z) as joint Gaussians, by the formulas of the paper."""
    variance, prior_variance = logvar[2:].exp(), LOGVAR.exp()
    combined = 1 / (1 / variance + 1 / prior_variance)
    weights, bias = (
        combined[:, None] * A / prior_variance[:, None],
        combined * (mu[2:] / variance + B / prior_variance),
    )
    q = joint(Normal(mu[:2], torch.exp(0.5 * logvar[:2])), weights, bias, combined)
    p = joint(Normal(torch.zeros(2).double(), torch.ones(2).double()), A, B, prior_variance)
    return q, p


def test_the_ratio_of_each_draw_is_that_of_the_joint_densities() -> None:
    torch.manual_seed(0)
    mu, logvar, eps = torch.randn(3, 5, dtype=torch.float64)
    q, p = distributions(mu, logvar)
    draws = ladder().sample_posterior(
        mu.expand(9, 5), logvar.expand(9, 5), torch.randn(9, 5).double()
    )
    expected = q.log_prob(draws.z) - p.log_prob(draws.z)
    torch.testing.assert_close(draws.log_ratio, expected)
    assert ladder().sample_posterior(mu[None], logvar[None], eps[None]).kl.shape == (1, 5)


def test_the_kl_is_on_average_that_of_the_joint_densities() -> None:
    torch.manual_seed(1)
    mu, logvar = torch.randn(2, 5, dtype=torch.float64)
    q, p = distributions(mu, logvar)
    rows = 200_000
    draws = ladder().sample_posterior(
        mu.expand(rows, 5), logvar.expand(rows, 5), torch.randn(rows, 5, dtype=torch.float64)
    )
    expected = kl_divergence(q, p).item()
    assert draws.kl.sum(1).mean().item() == pytest.approx(expected, abs=0.01)
    assert draws.kl.sum(1).var() < draws.log_ratio.var()
    torch.testing.assert_close(draws.z.mean(0), q.mean, atol=0.02, rtol=0)


def test_draws_of_the_prior_are_jointly_gaussian() -> None:
    torch.manual_seed(2)
    _, p = distributions(torch.zeros(5).double(), torch.zeros(5).double())
    noise = torch.randn(300_000, 5, dtype=torch.float64)
    z = ladder().sample_prior(noise, torch.ones(len(noise)).double())
    torch.testing.assert_close(z.mean(0), p.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(torch.cov(z.T), p.covariance_matrix, atol=0.03, rtol=0.02)
    cold = ladder().sample_prior(noise[:1], torch.zeros(1).double())
    torch.testing.assert_close(cold[0], torch.cat([torch.zeros(2).double(), B]))


def test_the_centre_is_the_mean_given_the_means_above() -> None:
    torch.manual_seed(3)
    mu, logvar = torch.randn(2, 5, dtype=torch.float64)
    q, _ = distributions(mu, logvar)
    torch.testing.assert_close(ladder().centre(mu[None], logvar[None])[0], q.mean)


def test_precision_weighting_is_the_product_of_two_densities() -> None:
    points = torch.arange(-12, 12, 0.01, dtype=torch.float64)
    first, second = (torch.tensor(v, dtype=torch.float64) for v in ((1.3, -0.7), (-0.4, 0.9)))
    product = (
        Normal(first[0], torch.exp(0.5 * first[1])).log_prob(points)
        + Normal(second[0], torch.exp(0.5 * second[1])).log_prob(points)
    ).exp()
    product = product / product.sum()
    mean = (product * points).sum()
    variance = (product * (points - mean).square()).sum()
    mu, logvar = precision_weighted(first[0], first[1], second[0], second[1])
    torch.testing.assert_close(mu, mean)
    torch.testing.assert_close(logvar.exp(), variance)


def test_precisions_far_apart_do_not_overflow() -> None:
    values = torch.tensor([-200.0, 200.0])
    for found in precision_weighted(torch.zeros(2), values, torch.ones(2), -values):
        assert torch.isfinite(found).all()


def test_three_layers_see_all_that_is_above_them() -> None:
    torch.manual_seed(4)
    three = LadderLatents(ClosedFormLatents(2), [LadderLayer(2, 1, 4), LadderLayer(3, 2, 4)])
    assert (three.noise_dim, three.parts) == (5, (1,) * 5)
    z = torch.zeros(1, 5)
    above = torch.func.jacrev(lambda eps: three.sample_prior(eps, torch.ones(1)).sum(0))(z)[:, 0]
    assert (
        (above != 0)
        == torch.tensor(
            [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 0, 1]]
        ).bool()
    ).all()
