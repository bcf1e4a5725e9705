"""What an epoch is judged by."""

import pytest
import torch

from tests.training.models import gaussian_vae, mixture_vae, now
from training.evaluation.batches import BATCH_ROWS
from training.evaluation.evaluate import evaluate
from training.evaluation.validate import validate
from training.objectives.elbo import ELBO
from training.objectives.iwae import IWAE

X = torch.randn(BATCH_ROWS + 9, 5, generator=torch.Generator().manual_seed(0))


def test_with_the_elbo_it_is_the_evaluation_by_one_draw() -> None:
    for vae in (gaussian_vae(), mixture_vae()):
        found, expected = validate(vae, ELBO(), X, now(), 3), evaluate(vae, X, samples=1, seed=3)
        assert found.objective == pytest.approx(expected.elbo, rel=1e-5)
        assert found.elbo == pytest.approx(expected.elbo, rel=1e-5)
        assert found.kl_per_latent == pytest.approx(expected.kl_per_latent, rel=1e-5)
        assert found.active_units == expected.active_units


def test_the_objective_is_the_one_that_is_trained_for() -> None:
    vae = gaussian_vae()
    plain = validate(vae, ELBO(), X, now(), 0)
    tighter = validate(vae, IWAE(draws=20), X, now(), 0)
    assert tighter.objective > plain.objective
    heavier = validate(vae, ELBO(), X, now(beta=2.0), 0)
    assert heavier.objective == pytest.approx(plain.elbo - sum(plain.kl_per_latent), rel=1e-5)
    assert heavier.elbo == pytest.approx(plain.elbo)


def test_the_noise_is_the_same_every_time() -> None:
    vae = gaussian_vae()
    assert validate(vae, ELBO(), X, now(), 0) == validate(vae, ELBO(), X, now(), 0)
    assert validate(vae, ELBO(), X, now(), 0) != validate(vae, ELBO(), X, now(), 1)
