"""One suite over every likelihood: normalised, with the mean it says, and finite."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from vae import manifest
from vae.build_modules import build_likelihood
from vae.likelihoods.base import Likelihood
from vae.manifest import InputSpec, ModelSpec, Preprocessing


@dataclass(frozen=True, eq=False)
class Case:
    """A likelihood on one element, and all values that it can have, each with its weight."""

    section: manifest.LikelihoodSpec
    values: Tensor
    weights: Tensor
    tolerance: float = 1e-4
    levels: int = 256

    def build(self) -> Likelihood:
        torch.manual_seed(0)
        counts = self.section.kind in manifest.COUNT_LIKELIHOODS
        spec = ModelSpec(
            input=InputSpec(kind="vector", shape=(1,), dtype="uint8", range=(0, self.levels - 1)),
            preprocessing=Preprocessing(scale=(1.0 if counts else self.levels - 1.0,)),
            latent_dim=1,
            likelihood=self.section,
            network=manifest.MLPSpec(),
        )
        built = build_likelihood(spec)
        for parameter in built.parameters():
            parameter.data += torch.randn(parameter.shape)
        return built.eval()


def real(section: manifest.LikelihoodSpec, low: float, high: float) -> Case:
    """An integral by Simpson's rule."""
    count = 200_001
    weights = torch.full((count,), 2.0)
    weights[1::2] = 4
    weights[[0, -1]] = 1
    step = (high - low) / (count - 1)
    return Case(section, torch.linspace(low, high, count), weights * step / 3)


def whole(section: manifest.LikelihoodSpec, levels: int) -> Case:
    return Case(
        section,
        torch.linspace(0, 1, levels),
        torch.ones(levels),
        tolerance=0.5 / (levels - 1) if section.kind == "logistic" else 1e-4,
        levels=levels,
    )


def counts(section: manifest.LikelihoodSpec) -> Case:
    return Case(section, torch.arange(20_000.0), torch.ones(20_000), tolerance=1e-2)


CASES = {
    "bernoulli": whole(manifest.BernoulliSpec(), 2),
    "continuous-bernoulli": real(manifest.ContinuousBernoulliSpec(), 0, 1),
    "gaussian-unit": real(manifest.GaussianSpec(), -30, 30),
    "gaussian-0.3": real(manifest.GaussianSpec(variance=0.3), -30, 30),
    "gaussian-learned": real(manifest.GaussianSpec(variance="learned"), -30, 30),
    "gaussian-optimal": real(manifest.GaussianSpec(variance="optimal"), -30, 30),
    "gaussian-per-element": real(manifest.GaussianSpec(variance="per-element"), -30, 30),
    "gaussian-decoder": real(manifest.GaussianSpec(variance="decoder"), -60, 60),
    "categorical": whole(manifest.CategoricalSpec(), 256),
    "logistic-of-2": whole(manifest.LogisticMixtureSpec(), 2),
    "logistic": whole(manifest.LogisticMixtureSpec(), 256),
    "logistic-5": whole(manifest.LogisticMixtureSpec(components=5), 256),
    "poisson": counts(manifest.PoissonSpec()),
    "negative-binomial": counts(manifest.NegativeBinomialSpec()),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


def some_params(likelihood: Likelihood, scale: float = 1.5) -> list[Tensor]:
    """Parameters of one element, (1, k), from flat to pointed."""
    torch.manual_seed(1)
    zero = torch.zeros(1, likelihood.params_per_element)
    return [zero, *(scale * torch.randn(8, *zero.shape))]


def probabilities(case: Case, likelihood: Likelihood, params: Tensor) -> Tensor:
    x = case.values.unsqueeze(1)
    log_p = likelihood.log_prob(params.expand(len(x), -1), x)
    return log_p.double().exp() * case.weights


@torch.no_grad()
def test_it_sums_to_one(case: Case) -> None:
    likelihood = case.build()
    for params in some_params(likelihood):
        assert probabilities(case, likelihood, params).sum().item() == pytest.approx(1, abs=1e-4)


@torch.no_grad()
def test_the_mean_is_that_of_the_probabilities(case: Case) -> None:
    likelihood = case.build()
    for params in some_params(likelihood):
        expected = (probabilities(case, likelihood, params) @ case.values.double()).item()
        found = likelihood.mean(params).item()
        assert found == pytest.approx(expected, abs=case.tolerance)


@torch.no_grad()
def test_samples_have_the_mean_and_the_deviation(case: Case) -> None:
    likelihood = case.build()
    noise = torch.Generator().manual_seed(2)
    for params in some_params(likelihood)[:3]:
        p = probabilities(case, likelihood, params)
        values = case.values.double()
        mean = p @ values
        variance = p @ (values - mean).square()
        drawn = likelihood.sample(params.expand(20_000, -1), noise).double()
        assert drawn.shape == (20_000, 1)
        error = (variance / len(drawn)).sqrt().item()
        assert drawn.mean().item() == pytest.approx(mean.item(), abs=5 * error)
        assert drawn.var().item() == pytest.approx(variance.item(), rel=0.25)


@torch.no_grad()
def test_the_seed_decides_the_samples(case: Case) -> None:
    likelihood = case.build()
    params = some_params(likelihood)[1].expand(50, -1)
    first, again, other = (
        likelihood.sample(params, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("extreme", [1e4, -1e4, 90.0, -90.0])
def test_it_is_finite_at_extreme_parameters_and_so_is_its_gradient(
    case: Case, extreme: float
) -> None:
    likelihood = case.build()
    for place in range(min(likelihood.params_per_element, 20)):
        params = torch.zeros(2, likelihood.params_per_element)
        params[:, place] = extreme
        params.requires_grad_()
        x = case.values[[0, -1]].unsqueeze(1)
        log_p = likelihood.log_prob(params, x)
        log_p.sum().backward()
        assert torch.isfinite(log_p).all()
        assert params.grad is not None
        assert torch.isfinite(params.grad).all()


@torch.no_grad()
def test_rows_are_summed_over_elements_each_with_its_own_parameters(case: Case) -> None:
    likelihood = case.build()
    params = torch.cat(some_params(likelihood)[1:5])
    x = case.values[torch.tensor([0, 1, len(case.values) // 2, -1])].unsqueeze(1)
    apart = likelihood.log_prob(params, x).sum()
    together = likelihood.log_prob(params.reshape(1, -1), x.reshape(1, -1))
    torch.testing.assert_close(together.squeeze(0), apart)
