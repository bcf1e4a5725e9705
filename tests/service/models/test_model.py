"""The verbs over a runtime of a few lines: what is composed of what, and with which noise."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.models.model import Model
from service.models.noise import standard_normal
from service.models.options import DecodeOptions, PosteriorOptions, SampleOptions, ScoreOptions
from tests.fakes import IMAGE, LATENT_DIM, FakeRuntime, fake_service

Test = Callable[[Model, FakeRuntime], Coroutine[Any, Any, None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., None]:
    def run(test: Test, **overrides: Any) -> None:
        async def body() -> None:
            service = fake_service(tmp_path, **overrides)
            try:
                await test(service.model, service.runtime)
            finally:
                await service.model.close()

        asyncio.run(body())

    return run


def pictures(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(0, 255, (count, *IMAGE.shape)).astype(np.float32)


def test_encode_samples_with_the_noise_of_the_seed(run: Any) -> None:
    async def test(model: Model, runtime: FakeRuntime) -> None:
        x = pictures(5)
        encoded = await model.encode(x, PosteriorOptions(sample=True, seed=9))
        mu, logvar = runtime.encoder(x)
        noise = standard_normal(9, (5, LATENT_DIM))
        assert np.array_equal(encoded["z"], mu + np.exp(logvar / 2) * noise)
        assert next(iter(encoded)) == "z"
        assert "z" not in await model.encode(x, PosteriorOptions(seed=9))

    run(test)


def test_reconstruct_decodes_the_mean_or_a_sample(run: Any) -> None:
    async def test(model: Model, runtime: FakeRuntime) -> None:
        x = pictures(3)
        mean = await model.reconstruct(x, PosteriorOptions())
        assert np.array_equal(mean["outputs"], runtime.decoder(runtime.encoder(x)[0])[0])
        options = PosteriorOptions(sample=True, seed=4)
        drawn = await model.reconstruct(x, options)
        z = (await model.encode(x, options))["z"]
        assert np.array_equal(drawn["outputs"], runtime.decoder(z)[0])

    run(test)


def test_sample_scales_the_prior_by_the_temperature(run: Any) -> None:
    async def test(model: Model, runtime: FakeRuntime) -> None:
        drawn = await model.sample(None, SampleOptions(n=4, seed=2, temperature=0.5))
        assert np.array_equal(drawn["latents"], np.float32(0.5) * standard_normal(2, (4, 3)))
        assert np.array_equal(drawn["outputs"], runtime.decoder(drawn["latents"])[0])
        cold = await model.sample(None, SampleOptions(n=2, temperature=0))
        assert not cold["latents"].any()

    run(test)


def test_score_is_the_elbo_over_the_draws(run: Any) -> None:
    async def test(model: Model, runtime: FakeRuntime) -> None:
        x, samples = pictures(4), 3
        scores = await model.score(x, ScoreOptions(samples=samples, seed=5))
        mu, logvar = (array.astype(float) for array in runtime.encoder(x))
        noise = standard_normal(5, (4, samples, LATENT_DIM))
        kl = 0.5 * (np.exp(logvar) + mu**2 - 1 - logvar).sum(axis=1)
        log_px_z = [
            runtime.scorer(x, (mu + np.exp(logvar / 2) * noise[:, s]).astype(np.float32))[0]
            for s in range(samples)
        ]
        np.testing.assert_allclose(scores["kl"], kl, rtol=1e-5)
        np.testing.assert_allclose(scores["reconstruction"], np.mean(log_px_z, axis=0), rtol=1e-4)
        np.testing.assert_allclose(scores["elbo"], scores["reconstruction"] - scores["kl"])

    run(test)


def test_the_p_value_is_the_rank_among_the_held_out_set(run: Any) -> None:
    async def test(model: Model, runtime: FakeRuntime) -> None:
        held_out = np.float32([-40, -20, -10, -5])
        scores = await model.score(pictures(6), ScoreOptions())
        for elbo, p_value in zip(scores["elbo"], scores["p_value"], strict=True):
            assert p_value == pytest.approx((1 + (held_out <= elbo).sum()) / 5)
        far = await model.score(pictures(1) + 1e4, ScoreOptions())
        assert far["p_value"].tolist() == [pytest.approx(0.2)]

    run(test)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    requests=st.lists(
        st.tuples(
            st.sampled_from(["encode", "reconstruct", "score", "sample", "decode", "poison"]),
            st.integers(1, 6),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=12,
    ),
    max_batch_rows=st.integers(1, 9),
)
def test_any_mix_of_requests_gives_each_what_it_gets_alone(
    run: Any, requests: list[tuple[str, int, int]], max_batch_rows: int
) -> None:
    def start(model: Model, verb: str, rows: int, seed: int) -> Coroutine[Any, Any, Any]:
        x = pictures(rows, seed)
        match verb:
            case "sample":
                return model.sample(None, SampleOptions(n=rows, seed=seed))
            case "decode":
                return model.decode(standard_normal(seed, (rows, LATENT_DIM)), DecodeOptions())
            case "score":
                return model.score(x, ScoreOptions(seed=seed, samples=2))
            case "poison":
                x[-1, 0, 0] = 666
                return model.encode(x, PosteriorOptions())
        return getattr(model, verb)(x, PosteriorOptions(sample=True, seed=seed))  # type: ignore[no-any-return]

    async def test(model: Model, runtime: FakeRuntime) -> None:
        together = await asyncio.gather(
            *(start(model, *request) for request in requests), return_exceptions=True
        )
        for request, result in zip(requests, together, strict=True):
            if request[0] == "poison":
                assert isinstance(result, Exception)
                continue
            alone = await start(model, *request)
            assert isinstance(result, dict)
            for name, array in alone.items():
                assert np.array_equal(result[name], array)

    run(test, max_batch_rows=max_batch_rows)


def test_too_many_rows_are_refused_before_any_work(run: Any) -> None:
    async def test(model: Model, runtime: FakeRuntime) -> None:
        with pytest.raises(InvalidInput, match="n is too large"):
            await model.sample(None, SampleOptions(n=11))
        with pytest.raises(InvalidInput, match="rows times samples"):
            await model.score(pictures(6), ScoreOptions(samples=2))
        assert runtime.calls == []

    run(test, max_request_rows=10)


def test_what_overflows_is_the_callers_error_and_nobody_elses(run: Any) -> None:
    async def test(model: Model, runtime: FakeRuntime) -> None:
        bad = pictures(2)
        bad[1] = 3e38
        good = pictures(2)
        results = await asyncio.gather(
            model.decode(np.float32([[0] * LATENT_DIM, [3e38] * LATENT_DIM]), DecodeOptions()),
            model.encode(good, PosteriorOptions(seed=1)),
            model.score(bad, ScoreOptions()),
            return_exceptions=True,
        )
        assert isinstance(results[0], InvalidInput)
        assert "row 1: the model's mean is not finite" in results[0].detail
        assert isinstance(results[1], dict)
        assert isinstance(results[2], InvalidInput)

    run(test)
