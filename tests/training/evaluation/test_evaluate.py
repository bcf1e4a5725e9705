"""Evaluation, on models whose answers are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.models import mixture_vae
from training.evaluation.batches import BATCH_ROWS
from training.evaluation.evaluate import evaluate
from training.evaluation.kl_decomposition import decompose_kl
from training.system.seeds import Purpose, generator
from vae.likelihoods.gaussian import OptimalGaussian, SharedGaussian
from vae.manifest import BernoulliSpec, GaussianSpec, InputSpec, MLPSpec, ModelSpec
from vae.networks import VAE


def make_vae(dimensions: int = 3, latent_dim: int = 2) -> VAE:
    torch.manual_seed(0)
    spec = ModelSpec(
        input=InputSpec(kind="vector", shape=(dimensions,), dtype="float32"),
        latent_dim=latent_dim,
        likelihood=GaussianSpec(variance="unit"),
        network=MLPSpec(hidden=(8,)),
    )
    return VAE(spec)


class LinearGaussian(nn.Module):
    """Encoder of x = z + noise in one dimension, whose posterior is N(x/2, 1/2)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x / 2, torch.full_like(x, math.log(0.5))], dim=1)


def test_with_the_true_posterior_both_bounds_are_log_px() -> None:
    vae = make_vae(1, 1)
    vae.encoder, vae.decoder = LinearGaussian(), nn.Identity()
    x = torch.randn(500, 1) * math.sqrt(2)
    log_px = torch.distributions.Normal(0, math.sqrt(2)).log_prob(x).mean().item()
    found = evaluate(vae, x, samples=400, seed=0)
    assert found.importance_weighted == pytest.approx(log_px, abs=1e-4)
    assert found.elbo == pytest.approx(log_px, abs=0.02)


def test_the_importance_weighted_bound_lies_above_the_elbo_and_rises_with_k() -> None:
    vae, x = make_vae(), torch.randn(300, 3)
    few, many = (evaluate(vae, x, samples=k, seed=0) for k in (5, 100))
    assert few.elbo < few.importance_weighted < many.importance_weighted


def test_with_one_sample_the_bound_is_the_elbo_on_average() -> None:
    vae, x = make_vae(), torch.randn(3, 3).repeat(20_000, 1)
    found = evaluate(vae, x, samples=1, seed=0)
    assert found.importance_weighted == pytest.approx(found.elbo, abs=0.03)


def test_the_parts_add_up_and_rows_do_not_depend_on_the_chunk() -> None:
    vae, x = make_vae(), torch.randn(BATCH_ROWS + 10, 3)
    found = evaluate(vae, x, samples=1, seed=0)
    assert found.elbo == pytest.approx(found.reconstruction - found.kl)
    assert found.kl == pytest.approx(sum(found.kl_per_latent), rel=1e-6)
    assert found.bits_per_dimension == pytest.approx(-found.elbo / 3 / math.log(2))
    assert found.scores.shape == (len(x),)
    assert found.scores.mean() == pytest.approx(found.elbo, rel=1e-5)


def test_scores_are_the_service_s_formula_on_the_first_draw() -> None:
    vae, x = make_vae(), torch.randn(10, 3)
    once, often = (evaluate(vae, x, samples=k, seed=3).scores for k in (1, 7))
    np.testing.assert_array_equal(once, often)


def test_the_seed_decides_the_noise() -> None:
    vae, x = make_vae(), torch.randn(20, 3)
    first, again, other = (evaluate(vae, x, samples=2, seed=s) for s in (1, 1, 2))
    assert first.metrics() == again.metrics()
    assert first.elbo != other.elbo


class HalfAsleep(nn.Module):
    """mu of the first latent follows x, that of the second hardly, that of the third not at all."""

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, :1]
        mu = torch.cat([first, 0.09 * first, 0 * first + 5], dim=1)
        return torch.cat([mu, torch.zeros_like(mu)], dim=1)


def test_active_units_are_those_whose_mean_moves() -> None:
    vae = make_vae(3, 3)
    vae.encoder = HalfAsleep()
    x = torch.randn(2000, 3)
    x = (x - x.mean(0)) / x.std(0, correction=0)
    assert evaluate(vae, x, samples=1, seed=0).active_units == 1  # variances 1, 0.0081 and 0


def test_a_number_that_is_not_finite_is_noticed() -> None:
    vae = make_vae()
    assert evaluate(vae, torch.randn(5, 3), samples=1, seed=0).finite
    assert not evaluate(vae, torch.full((5, 3), 1e30), samples=1, seed=0).finite


def test_bits_per_dimension_are_of_the_data_whatever_its_scaling() -> None:
    x = torch.randn(200, 3)
    found = []
    for scale in (1.0, 4.0):
        vae = make_vae()
        vae.preprocess.scale.fill_(scale)
        vae.likelihood = SharedGaussian(1 / scale**2)
        for network in (vae.encoder, vae.decoder):
            for parameter in network.parameters():
                parameter.data.zero_()
        found.append(evaluate(vae, x, samples=1, seed=0))
    assert found[0].bits_per_dimension == pytest.approx(found[1].bits_per_dimension)
    assert found[0].elbo < found[1].elbo - 3


def test_the_model_is_evaluated_in_its_evaluation_mode_and_left_as_it_was() -> None:
    vae = make_vae()
    vae.likelihood = OptimalGaussian()
    evaluate(vae.train(), torch.randn(20, 3), samples=2, seed=0)
    assert vae.training
    assert vae.likelihood.batches == 0


def test_bernoulli_rows_of_bytes_are_evaluated_as_they_are() -> None:
    spec = ModelSpec(
        input=InputSpec(kind="image", shape=(2, 2), dtype="uint8", range=(0, 1)),
        latent_dim=1,
        likelihood=BernoulliSpec(),
        network=MLPSpec(hidden=(4,)),
    )
    found = evaluate(VAE(spec), torch.ones(4, 2, 2, dtype=torch.uint8), samples=1, seed=0)
    assert found.finite
    assert found.rows == 4


def test_the_terms_of_the_kl_are_those_of_the_whole_data() -> None:
    vae, x = make_vae(), torch.randn(2 * BATCH_ROWS + 3, 3)
    found = evaluate(vae, x, samples=1, seed=0)
    with torch.no_grad():
        noise = generator(0, Purpose.DECOMPOSITION)
        assert found.decomposition == decompose_kl(*vae.encode(x), noise)
    assert sum(found.terms.values()) == pytest.approx(found.kl, abs=0.2)
    assert found.terms.items() <= found.metrics().items()


def test_latents_that_are_learned_have_no_terms() -> None:
    assert evaluate(mixture_vae(), torch.randn(20, 5), samples=1, seed=0).terms == {}
