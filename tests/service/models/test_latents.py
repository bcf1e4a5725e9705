"""Learned latents behind the verbs: each runtime gives what training's own networks give."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from service.models.model import Model
from service.models.noise import standard_normal
from service.models.options import PosteriorOptions, SampleOptions, ScoreOptions
from service.runtimes.runtime import RUNTIMES, resolve
from service.telemetry.metrics import Metrics
from tests.fakes import fake_settings
from vae.bundle import Bundle, open_bundle
from vae.networks import VAE

BUNDLES = ("digits_bundle", "flow_bundle", "ladder_bundle")


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return open_bundle(request.getfixturevalue(request.param))


@pytest.fixture
def vae(bundle: Bundle) -> VAE:
    vae = VAE(bundle.manifest)
    vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    return vae.eval()


@pytest.fixture(params=sorted(RUNTIMES))
def run(request: pytest.FixtureRequest, bundle: Bundle) -> Callable[..., Any]:
    """``run(verb)`` awaits ``verb(model)`` and closes the model."""

    def run(verb: Callable[[Model], Coroutine[Any, Any, Any]]) -> Any:
        async def body() -> Any:
            runtime = resolve(request.param)(bundle, device="cpu", threads=1)
            observe = Metrics().batch_observer(bundle.manifest)
            model = Model(bundle, runtime, fake_settings(Path()), observe)
            try:
                return await verb(model)
            finally:
                await model.close()

        return asyncio.run(body())

    return run


def digits(rows: int = 5) -> Any:
    return np.random.default_rng(0).integers(0, 17, (rows, 8, 8)).astype(np.float32)


@torch.inference_mode()
def test_score_is_training_s_elbo_of_the_same_draws(run: Any, vae: VAE) -> None:
    x, samples = digits(), 4
    scores = run(lambda model: model.score(x, ScoreOptions(samples=samples, seed=7)))
    noise = standard_normal(7, (len(x), samples, vae.spec.latent_dim))
    kl = reconstruction = torch.zeros(len(x))
    for sample in range(samples):
        z, kl_of_draw = vae.posterior(*vae.encode(torch.tensor(x)), torch.tensor(noise[:, sample]))
        kl = kl + kl_of_draw / samples
        reconstruction = reconstruction + vae.log_px_z(torch.tensor(x), z) / samples
    np.testing.assert_allclose(scores["kl"], kl, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores["reconstruction"], reconstruction, rtol=1e-4)
    np.testing.assert_allclose(scores["elbo"], reconstruction - kl, rtol=1e-4)


@torch.inference_mode()
def test_sample_draws_from_the_learned_prior(run: Any, vae: VAE) -> None:
    drawn = run(lambda model: model.sample(None, SampleOptions(n=6, seed=3, temperature=0.7)))
    noise = torch.tensor(standard_normal(3, (6, vae.spec.noise_dim)))
    z = vae.prior(noise, torch.full((6,), 0.7))
    np.testing.assert_allclose(drawn["latents"], z, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(drawn["outputs"], vae.decode(z), rtol=1e-4, atol=1e-3)


def test_a_row_of_a_seed_is_the_same_in_any_number(run: Any) -> None:
    few, many = (
        run(lambda model, n=n: model.sample(None, SampleOptions(n=n, seed=5))) for n in (2, 40)
    )
    for name in ("latents", "outputs"):
        np.testing.assert_allclose(few[name], many[name][:2], rtol=1e-5, atol=1e-4)
    options = PosteriorOptions(sample=True, seed=5)
    few, many = (run(lambda model, n=n: model.encode(digits(9)[:n], options)) for n in (2, 9))
    np.testing.assert_allclose(few["z"], many["z"][:2], rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_reconstruct_decodes_the_centre_or_a_draw(run: Any, vae: VAE) -> None:
    x = digits()
    posterior = vae.encode(torch.tensor(x))
    found = run(lambda model: model.reconstruct(x, PosteriorOptions()))
    centre = vae.decode(vae.latents.centre(*posterior))
    np.testing.assert_allclose(found["outputs"], centre, rtol=1e-4, atol=1e-3)
    found = run(lambda model: model.reconstruct(x, PosteriorOptions(sample=True, seed=2)))
    eps = torch.tensor(standard_normal(2, (len(x), vae.spec.latent_dim)))
    drawn = vae.decode(vae.posterior(*posterior, eps)[0])
    np.testing.assert_allclose(found["outputs"], drawn, rtol=1e-4, atol=1e-3)


@torch.inference_mode()
def test_encode_gives_a_latent_to_decode_where_mu_is_none(run: Any, vae: VAE) -> None:
    found = run(lambda model: model.encode(digits(), PosteriorOptions()))
    mu, logvar = vae.encode(torch.tensor(digits()))
    np.testing.assert_allclose(found["mu"], mu, rtol=1e-4, atol=1e-5)
    assert ("z" in found) == (not vae.spec.latents.mu_is_mean)
    centre = found.get("z", found["mu"])
    np.testing.assert_allclose(centre, vae.latents.centre(mu, logvar), rtol=1e-4, atol=1e-5)
