"""What is asked of a model, on vectors and images, few rows and many latents."""

import numpy as np
import pytest
import torch

from training.data.dataset import Dataset
from training.model.build import build_vae
from training.report.model_outputs import MIN_TRAVERSED, STEPS, collect_outputs, project
from vae.manifest import GaussianSpec, InputSpec, MLPSpec, ModelSpec
from vae.networks import VAE


def make(latent_dim: int = 4, shape: tuple[int, ...] = (5,)) -> tuple[VAE, Dataset]:
    kind = "vector" if len(shape) == 1 else "image"
    spec = InputSpec(kind=kind, shape=shape, dtype="float32")
    model = ModelSpec(
        input=spec, latent_dim=latent_dim, likelihood=GaussianSpec(), network=MLPSpec(hidden=(8,))
    )
    x = torch.randn(20, *shape, generator=torch.Generator().manual_seed(1))
    return build_vae(model, seed=0), Dataset(x, spec, torch.arange(20) % 3)


@pytest.mark.parametrize("shape", [(5,), (4, 6), (4, 6, 3)])
@pytest.mark.parametrize("latent_dim", [1, 2, 9])
def test_every_array_has_the_shape_that_it_says(shape: tuple[int, ...], latent_dim: int) -> None:
    vae, held_out = make(latent_dim, shape)
    found = collect_outputs(vae, held_out, seed=0)
    assert found is not None
    assert found.reconstructions.shape == found.x.shape == (20, *shape)
    assert [part.name for part in found.parts] == [f"z[{index}]" for index in range(latent_dim)]
    assert found.spread.shape == (latent_dim,)
    assert found.active_units == sum(part.active for part in found.parts)
    assert found.projection.shape == (20, 2)
    assert found.traversals.shape == (len(found.traversed), len(STEPS), *shape)
    assert len(found.traversed) >= min(MIN_TRAVERSED, latent_dim)
    assert found.labels is not None
    assert found.labels.tolist() == [row % 3 for row in range(20)]


def test_the_same_question_has_the_same_answer_and_leaves_the_random_state_alone() -> None:
    vae, held_out = make()
    before = torch.get_rng_state()
    first, second = collect_outputs(vae, held_out, seed=3), collect_outputs(vae, held_out, seed=3)
    assert first is not None
    assert second is not None
    assert np.array_equal(first.samples, second.samples)
    assert torch.equal(before, torch.get_rng_state())


def test_a_traversal_moves_one_latent_of_the_first_row() -> None:
    vae, held_out = make()
    found = collect_outputs(vae, held_out, seed=0)
    assert found is not None
    with torch.no_grad():
        z = vae.encode(held_out.x[:1])[0]
        z[0, found.traversed[0]] = STEPS[2]
        expected = vae.decode(z)[0].numpy()
    assert found.traversals[0, 2] == pytest.approx(expected, abs=1e-6)


def test_a_model_whose_answers_are_not_finite_shows_nothing() -> None:
    vae, held_out = make()
    with torch.no_grad():
        next(vae.encoder.parameters()).fill_(torch.nan)
    assert collect_outputs(vae, held_out, seed=0) is None


def test_the_projection_is_that_of_principal_components() -> None:
    random = np.random.default_rng(0)
    mu = random.normal(size=(50, 3)) @ np.diag([5.0, 2.0, 0.1]) + 7
    projection, explained = project(mu.astype(np.float32))
    variances = np.sort(np.linalg.eigvalsh(np.cov(mu.T, bias=True)))[::-1]
    assert projection.var(axis=0) == pytest.approx(variances[:2], rel=1e-4)
    assert explained == pytest.approx(variances[:2] / variances.sum(), rel=1e-4)
    assert np.abs(project(-mu)[0]) == pytest.approx(np.abs(projection), abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 4), (6, 1)])
def test_one_row_or_one_latent_still_have_two_axes(shape: tuple[int, int]) -> None:
    projection, explained = project(np.ones(shape, np.float32))
    assert projection.shape == (shape[0], 2)
    assert explained == (0, 0)
