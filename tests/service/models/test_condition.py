"""Conditions of requests: read in every way they are sent, refused by name, heard by the model."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.torch
import torch

from service.errors import InvalidInput
from service.models.condition import conditions
from service.models.golden import check_golden
from service.models.model import Model
from service.models.noise import standard_normal
from service.models.options import DecodeOptions, PosteriorOptions, SampleOptions, ScoreOptions
from service.runtimes.runtime import RUNTIMES, resolve
from service.telemetry.metrics import Metrics
from tests.fakes import call, fake_service, fake_settings
from tests.servers import Server, serving
from tests.service.models.test_latents import digits
from vae.bundle import Bundle, open_bundle
from vae.manifest import ClassCondition, VectorCondition
from vae.networks import VAE

PETS = ClassCondition(names=("cat", "dog", "7"))
BODY = VectorCondition(names=("height", "age"))


def test_a_class_for_all_rows_or_one_a_row() -> None:
    (all_alike,) = conditions(PETS, "dog", 2)
    assert all_alike.tolist() == [[0, 1, 0], [0, 1, 0]]
    (each,) = conditions(PETS, ["7", "cat"], 2)
    assert each.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert each.dtype == np.float32
    assert conditions(None, None, 5) == ()


@pytest.mark.parametrize(
    ("classes", "given", "message"),
    [
        (None, "cat", "this model has no condition"),
        (PETS, None, "this model needs a condition"),
        (PETS, "bird", "condition is no class"),
        (PETS, ["cat", "bird"], "condition is no class"),
        (PETS, ["cat"], "condition has 1 classes for 2 rows"),
    ],
)
def test_what_is_no_condition_is_refused(classes: Any, given: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        conditions(classes, given, 2)
    if classes:
        assert raised.value.expected == "one of cat, dog, 7, or one a row"


def test_numbers_for_all_rows_or_some_for_each() -> None:
    (all_alike,) = conditions(BODY, [1.5, 2], 3)
    assert all_alike.tolist() == [[1.5, 2]] * 3
    (each,) = conditions(BODY, [[1, 2], [3, 4.5]], 2)
    assert each.tolist() == [[1, 2], [3, 4.5]]
    assert each.dtype == all_alike.dtype == np.float32


@pytest.mark.parametrize(
    "given",
    [
        *("dog", 7, [], [1], [1, 2, 3], ["1", "2"], [[1, 2]], [[1, 2], 3], [[1, 2], [3]]),
        *([1, 1e39], [1, float("nan")], [1, 10**400]),
    ],
)
def test_what_is_not_the_numbers_of_a_model_is_refused(given: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"condition (does not match the numbers|has 1 lists)"
    ) as raised:
        conditions(BODY, given, 2)
    assert raised.value.expected == "numbers for height, age, or a list of such lists, one a row"


@pytest.mark.parametrize("given", [[1.5, "cat"], [["cat"], "cat"], 0.5])
def test_numbers_are_no_classes(given: Any) -> None:
    with pytest.raises(InvalidInput, match="condition is no class"):
        conditions(PETS, given, 2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"condition": "a b"}, "a b"),
        ({"condition": 7}, 7),
        ({"condition": ["a", 7]}, ["a", 7]),
        ({"condition": [1.5, 2]}, [1.5, 2]),
        ({"condition": [[1.5, 2], [3, 4]]}, [[1.5, 2], [3, 4]]),
        ({"condition": None}, None),
    ],
)
def test_json_has_classes_or_numbers(given: dict[str, Any], expected: Any) -> None:
    assert DecodeOptions.model_validate(given, strict=True).condition == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a b"),
        ("07", "07"),
        ('["a", 7]', ["a", 7]),
        ("[[1, 2.5]]", [[1, 2.5]]),
        ("[odd", "[odd"),
        ("[" * 30_000, "[" * 30_000),
    ],
)
def test_a_query_string_has_a_class_or_a_list(text: str, expected: Any) -> None:
    assert DecodeOptions.model_validate_strings({"condition": text}).condition == expected


@pytest.mark.parametrize("wrong", [True, 1.5, {"a": 1}, [["a"]], [None], [[1, [2]]], [[True]]])
def test_what_is_neither_class_nor_numbers_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="condition"):
        DecodeOptions.model_validate({"condition": wrong}, strict=True)


def test_a_model_without_condition_says_so(tmp_path: Path) -> None:
    async def ask() -> httpx.Response:
        service = fake_service(tmp_path)
        try:
            body = {"latents": [[0, 0, 0]], "condition": ["a"]}
            return await call(service.app, "POST", "/decode", json=body)
        finally:
            await service.model.close()

    reply = asyncio.run(ask())
    assert reply.status_code == 422
    assert "this model has no condition" in reply.json()["detail"]


@pytest.fixture(scope="module")
def bundle(conditional_bundle: Path) -> Bundle:
    return open_bundle(conditional_bundle)


@pytest.fixture(scope="module", params=sorted(RUNTIMES))
def runtime(request: pytest.FixtureRequest, bundle: Bundle) -> Any:
    return resolve(request.param)(bundle, device="cpu", threads=1)


@pytest.fixture
def run(bundle: Bundle, runtime: Any, tmp_path: Path) -> Callable[..., Any]:
    def run(verb: Callable[[Model], Coroutine[Any, Any, Any]]) -> Any:
        async def body() -> Any:
            observe = Metrics().batch_observer(bundle.manifest)
            model = Model(bundle, runtime, fake_settings(tmp_path), observe)
            try:
                return await verb(model)
            finally:
                await model.close()

        return asyncio.run(body())

    return run


def test_the_golden_outputs_come_back(bundle: Bundle, runtime: Any) -> None:
    check_golden(bundle, runtime)


@torch.inference_mode()
def test_the_verbs_are_those_of_the_networks_with_the_condition(run: Any, bundle: Bundle) -> None:
    vae = VAE(bundle.manifest)
    vae.load_state_dict(safetensors.torch.load(bundle.files["checkpoint.safetensors"]))
    given = vae.eval().conditioned_on(torch.eye(10)[[3, 1, 4]])
    x, names = digits(3), ["3", "1", "4"]
    encoded = run(lambda model: model.encode(x, PosteriorOptions(condition=names)))
    mu, logvar = given.encode(torch.tensor(x))
    np.testing.assert_allclose(encoded["mu"], mu, rtol=1e-4, atol=1e-5)
    rebuilt = run(lambda model: model.reconstruct(x, PosteriorOptions(condition=names)))
    np.testing.assert_allclose(rebuilt["outputs"], given.decode(mu), rtol=1e-4, atol=1e-3)
    drawn = run(lambda model: model.sample(None, SampleOptions(n=3, seed=1, condition=names)))
    decoded = given.decode(torch.tensor(drawn["latents"]))
    np.testing.assert_allclose(drawn["outputs"], decoded, rtol=1e-4, atol=1e-3)
    options = ScoreOptions(samples=2, seed=1, condition=names)
    scores = run(lambda model: model.score(x, options))
    noise = torch.tensor(standard_normal(1, (3, 2, 3)))
    draws = [given.posterior(mu, logvar, noise[:, sample]) for sample in range(2)]
    log_px_z = torch.stack([given.log_px_z(torch.tensor(x), z) for z, _ in draws]).mean(0)
    np.testing.assert_allclose(scores["reconstruction"], log_px_z, rtol=1e-4)


@pytest.fixture(scope="module")
def server(conditional_bundle: Path) -> Any:
    with serving(conditional_bundle) as server:
        yield server


def test_over_http_in_a_body_and_in_a_query(server: Server) -> None:
    def sample(**options: Any) -> Any:
        reply = httpx.post(f"{server.url}/sample", json={"n": 2, "seed": 1, **options})
        assert reply.status_code == 200, reply.text
        return reply.json()["outputs"]

    three, eight = sample(condition="3"), sample(condition=8)
    assert three != eight
    assert sample(condition=[3, 8]) == [three[0], eight[1]]
    query = {"n": 2, "seed": 1, "condition": '["3", 8]'}
    binary = httpx.post(
        f"{server.url}/sample", params=query, headers={"accept": "application/x-npy"}
    )
    assert binary.status_code == 200
    missing = httpx.post(f"{server.url}/sample", json={"n": 1})
    assert missing.status_code == 422
    assert missing.json()["expected"].startswith("one of 0, 1, 2")
    described = httpx.get(f"{server.url}/models").json()["models"][0]
    assert described["condition"]["names"] == [str(digit) for digit in range(10)]


def test_numbers_over_http_in_a_body_and_in_a_query(told_bundle: Path) -> None:
    with serving(told_bundle) as server:

        def weights(condition: Any) -> list[float]:
            body = {"latents": [[0.0], [0.0]], "condition": condition}
            reply = httpx.post(f"{server.url}/decode", json=body)
            assert reply.status_code == 200, reply.text
            return [row[0] for row in reply.json()["outputs"]]

        small, large = weights([160, 40])[0], weights([184, 40])[0]
        assert 8 < large - small < 28  # 0.9 kg for each cm, as far as it has learnt
        assert weights([[160, 40], [184, 40]]) == [small, large]
        params = {"n": 2, "seed": 1, "condition": "[[160, 40], [184, 40]]"}
        assert httpx.post(f"{server.url}/sample", params=params).status_code == 200
        missing = httpx.post(f"{server.url}/sample", json={"n": 1, "condition": "a"})
        assert missing.status_code == 422
        assert missing.json()["expected"].startswith("numbers for height, age")
        described = httpx.get(f"{server.url}/models").json()["models"][0]["condition"]
        assert (described["kind"], described["names"]) == ("vector", ["height", "age"])
