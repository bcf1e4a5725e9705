"""Flows: what they say of volumes is what autograd and a grid say."""

import math

import pytest
import torch
from torch import Tensor

from vae import manifest
from vae.build_modules import build_posterior
from vae.latents.flows import AffineCoupling, FlowStep, InverseAutoregressive
from vae.latents.posteriors import DiagonalGaussian, Flow, Posterior

DIMS = (1, 2, 3, 5)


def stir(module: torch.nn.Module, seed: int = 0) -> None:
    """Weights far from where training begins."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(std=0.7)


def steps(dim: int, hidden: int = 7) -> list[FlowStep]:
    found: list[FlowStep] = [
        InverseAutoregressive(dim, hidden, reverse=False),
        InverseAutoregressive(dim, hidden, reverse=True),
        AffineCoupling(dim, hidden, odd=False),
        AffineCoupling(dim, hidden, odd=True),
    ]
    for step in found:
        stir(step.double())
    return found


def jacobian(step: FlowStep, z: Tensor, context: Tensor) -> Tensor:
    found = torch.func.jacrev(lambda row: step(row[None], context[None])[0][0])(z)
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("dim", DIMS)
def test_the_volume_is_that_of_the_jacobian(dim: int) -> None:
    for step in steps(dim):
        z = torch.randn(6, dim, dtype=torch.float64)
        context = torch.randn(6, 2 * dim, dtype=torch.float64)
        _, log_volume = step(z, context)
        for row in range(6):
            expected = torch.linalg.slogdet(jacobian(step, z[row], context[row])).logabsdet
            torch.testing.assert_close(log_volume[row], expected)


@pytest.mark.parametrize("dim", DIMS)
def test_each_latent_looks_at_those_before_it_alone(dim: int) -> None:
    z, context = torch.randn(dim, dtype=torch.float64), torch.randn(2 * dim, dtype=torch.float64)
    forward, backward, *_ = steps(dim)
    seen = jacobian(forward, z, context)
    assert torch.equal(seen, seen.tril())
    assert (seen.tril().abs() > 0).sum() == dim * (dim + 1) / 2
    seen = jacobian(backward, z, context)
    assert torch.equal(seen, seen.triu())


@pytest.mark.parametrize("dim", DIMS)
def test_every_latent_that_moves_looks_at_the_context(dim: int) -> None:
    z = torch.randn(1, dim, dtype=torch.float64)
    contexts = torch.randn(2, 1, 2 * dim, dtype=torch.float64)
    for step in steps(dim):
        first, second = (step(z, context)[0] for context in contexts)
        moves = getattr(step, "moves", torch.ones(dim))
        assert torch.equal(first[0] != second[0], moves.bool())


def test_couplings_keep_the_other_half() -> None:
    z, context = torch.randn(4, 5), torch.randn(4, 10)
    for odd in (False, True):
        moved = AffineCoupling(5, 6, odd=odd)(z, context)[0] != z
        assert moved.all(dim=0).tolist() == [(i % 2 == 1) == odd for i in range(5)]


def flow(spec: manifest.PosteriorSpec) -> Posterior:
    posterior = build_posterior(spec, 2).double()
    stir(posterior, seed=3)
    return posterior


POSTERIORS = [
    flow(manifest.DiagonalGaussianSpec()),
    flow(manifest.AutoregressiveFlowSpec(layers=3, hidden=6)),
    flow(manifest.CouplingFlowSpec(layers=3, hidden=6)),
]


@pytest.mark.parametrize("posterior", POSTERIORS)
@torch.no_grad()
def test_the_density_of_a_posterior_integrates_to_one(posterior: Posterior) -> None:
    """Over the cells of a grid of noise, each with the area that it is carried to."""
    axis = torch.linspace(-6, 6, 601, dtype=torch.float64)
    eps = torch.cartesian_prod(axis, axis)
    mu = torch.tensor([[0.5, -1.0]], dtype=torch.float64).expand(len(eps), 2)
    logvar = torch.tensor([[-0.4, 0.6]], dtype=torch.float64).expand(len(eps), 2)
    z, log_qz = posterior(mu, logvar, eps)
    corners, density = z.reshape(601, 601, 2), log_qz.exp().reshape(601, 601)
    cells = [corners[i : 600 + i, j : 600 + j] for i, j in ((0, 0), (1, 1), (1, 0), (0, 1))]
    (x1, y1), (x2, y2) = ((b - a).unbind(-1) for a, b in (cells[:2], cells[2:]))
    area = 0.5 * (x1 * y2 - y1 * x2).abs()  # half the product of the diagonals
    mean = sum(density[i : 600 + i, j : 600 + j] for i in (0, 1) for j in (0, 1)) / 4
    assert (mean * area).sum().item() == pytest.approx(1, abs=1e-3)


def test_a_flow_begins_as_nearly_the_diagonal_posterior() -> None:
    torch.manual_seed(0)
    mu, logvar, eps = torch.randn(3, 100, 4)
    plain = DiagonalGaussian()(mu, logvar, eps)
    couplings = Flow(AffineCoupling(4, 8, odd=i % 2 == 1) for i in range(4))
    for found, expected in zip(couplings(mu, logvar, eps), plain, strict=True):
        assert (found - expected).abs().max() < 0.5
    z, _ = Flow([InverseAutoregressive(4, 8, reverse=False)])(mu, logvar, eps)
    kept = 1 / (1 + math.exp(-2))
    assert (z - kept * plain[0]).abs().max() < 0.5
