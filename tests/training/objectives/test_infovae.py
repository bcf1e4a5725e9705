"""Maximum mean discrepancy of draws from known distributions."""

import pytest
import torch

from tests.training.models import gaussian_vae, now
from training.objectives.elbo import ELBO
from training.objectives.infovae import InfoVAE, squared_mmd


def normal(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))


def test_it_is_zero_on_average_between_draws_of_one_distribution() -> None:
    found = torch.stack([squared_mmd(normal(50, 2 * i), normal(50, 2 * i + 1)) for i in range(200)])
    assert found.mean().abs() < 3 * found.std() / 200**0.5
    assert (found < 0).any()


def test_it_is_the_sum_over_all_pairs() -> None:
    a, b = normal(4, 0), normal(4, 1)

    def kernel(u: torch.Tensor, v: torch.Tensor) -> float:
        return float(torch.exp(-(u - v).square().sum() / 6))

    pairs = [(i, j) for i in range(4) for j in range(4)]
    within = sum(kernel(p[i], p[j]) for p in (a, b) for i, j in pairs if i != j) / 12
    across = sum(kernel(a[i], b[j]) for i, j in pairs) / 16
    assert squared_mmd(a, b).item() == pytest.approx(within - 2 * across, abs=1e-6)


def test_it_sees_another_mean_and_another_width() -> None:
    a, b = normal(300, 0), normal(300, 1)
    assert squared_mmd(a, b + 1) > 0.1
    assert squared_mmd(a, 0.3 * b) > 0.05


def test_the_discrepancy_is_added_to_the_elbo() -> None:
    vae, x = gaussian_vae(), torch.randn(8, 5)
    eps = torch.randn(2, 8, 3)
    mu, logvar = vae.encode(x)
    discrepancy = squared_mmd(mu + eps[0] * torch.exp(0.5 * logvar), eps[1])
    expected = ELBO()(vae, x, eps[:1], now(beta=0.5)).loss + 20 * discrepancy
    torch.testing.assert_close(InfoVAE(weight=20)(vae, x, eps, now(beta=0.5)).loss, expected)


def test_a_batch_of_one_row_has_no_discrepancy() -> None:
    vae, x, eps = gaussian_vae(), torch.randn(1, 5), torch.randn(2, 1, 3)
    found = InfoVAE(weight=20)(vae, x, eps, now()).loss
    torch.testing.assert_close(found, ELBO()(vae, x, eps[:1], now()).loss)
