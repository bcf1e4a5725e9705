"""The HTTP API over a fake model, without a socket: the contract, request by request."""

import asyncio
import io
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from safetensors.numpy import load, save

from service.app import create_app
from service.errors import BundleRefused
from service.models.registry import ModelRegistry
from service.models.store import ModelVersion
from service.telemetry.metrics import Metrics
from tests.fakes import COLOUR, IMAGE, VECTOR, FakeService, call, fake_service, fake_settings

Ask = Callable[..., httpx.Response]
X = np.arange(40, dtype=np.float32).reshape(2, 4, 5)
JSON = {"inputs": X.tolist()}
VERBS = ("encode", "decode", "sample", "reconstruct", "score")


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Send one request to a service with these settings; closes it afterwards."""

    def ask(
        method: str,
        path: str,
        *,
        spec: Any = IMAGE,
        settings: dict[str, Any] | None = None,
        **request: Any,
    ) -> httpx.Response:
        async def body() -> httpx.Response:
            service = fake_service(tmp_path / token_hex(4), spec=spec, **(settings or {}))
            try:
                return await call(service.app, method, path, **request)
            finally:
                await service.model.close()

        return asyncio.run(body())

    return ask


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 8192
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body.keys() >= {"type", "title", "detail"}
    return body


@pytest.mark.parametrize(
    ("verb", "body", "shapes"),
    [
        ("encode", JSON, {"mu": (2, 3), "logvar": (2, 3)}),
        (
            "encode",
            JSON | {"sample": True, "seed": 1},
            {"mu": (2, 3), "logvar": (2, 3), "z": (2, 3)},
        ),
        ("decode", {"latents": [[0, 1, 2]]}, {"outputs": (1, 4, 5)}),
        ("sample", {"n": 3, "seed": 1}, {"outputs": (3, 4, 5), "latents": (3, 3)}),
        ("sample", {}, {"outputs": (1, 4, 5), "latents": (1, 3)}),
        ("reconstruct", JSON, {"outputs": (2, 4, 5)}),
        ("score", JSON, dict.fromkeys(("elbo", "reconstruction", "kl", "p_value"), (2,))),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/models/fake", "/models/fake/versions/1"])
def test_verbs(ask: Ask, verb: str, body: Any, shapes: Any, prefix: str) -> None:
    response = ask("POST", f"{prefix}/{verb}", json=body)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-model"] == "fake/1"
    assert {name: np.shape(value) for name, value in response.json().items()} == shapes


def test_outputs_come_in_the_shape_of_the_input(ask: Ask) -> None:
    for spec in (IMAGE, COLOUR, VECTOR):
        x = np.ones((2, spec.size)).tolist()
        outputs = ask("POST", "/reconstruct", spec=spec, json={"inputs": x}).json()["outputs"]
        assert np.shape(outputs) == (2, *spec.shape)


def test_binary_bodies_carry_the_same_arrays(ask: Ask) -> None:
    options = {"sample": "true", "seed": "3"}
    expected = ask("POST", "/encode", json=JSON | {"sample": True, "seed": 3}).json()
    buffer = io.BytesIO()
    np.save(buffer, X)
    for body, kind in ((buffer.getvalue(), "x-npy"), (save({"inputs": X}), "x-safetensors")):
        sent = {"content-type": f"application/{kind}", "accept": "application/x-safetensors"}
        response = ask("POST", "/encode", params=options, content=body, headers=sent)
        arrays = load(response.content)
        assert arrays.keys() == {"mu", "logvar", "z"}
        for name, array in arrays.items():
            assert array.dtype == np.float32
            assert np.array_equal(array, np.float32(expected[name]))
    npy = ask("POST", "/encode", params=options, json=JSON, headers={"accept": "application/x-npy"})
    assert np.array_equal(np.load(io.BytesIO(npy.content)), np.float32(expected["z"]))


def test_a_picture_in_and_out(ask: Ask) -> None:
    buffer = io.BytesIO()
    Image.fromarray(X[0].astype(np.uint8)).save(buffer, "PNG")
    headers = {"content-type": "image/png", "accept": "image/png"}
    response = ask("POST", "/reconstruct", content=buffer.getvalue(), headers=headers)
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (5, 4)
    grid = ask("POST", "/sample?n=4&seed=1", headers={"accept": "image/png"})
    assert Image.open(io.BytesIO(grid.content)).size == (2 * (60 + 2) + 2, 2 * (48 + 2) + 2)


def test_the_body_of_curl_without_a_content_type_is_json(ask: Ask) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert ask("POST", "/sample", content='{"n": 2}', headers=headers).status_code == 200


def test_a_seed_gives_the_same_rows_in_any_number(ask: Ask) -> None:
    one = ask("POST", "/sample", json={"n": 1, "seed": 5}).json()
    many = ask("POST", "/sample", json={"n": 300, "seed": 5}).json()
    assert many["outputs"][:1] == one["outputs"]
    unseeded = [ask("POST", "/sample", json={}).json()["latents"] for _ in range(2)]
    assert unseeded[0] != unseeded[1]


@pytest.mark.parametrize(
    ("path", "request_", "status", "says"),
    [
        ("/encode", {"content": b"{"}, 400, "not JSON"),
        ("/encode", {"json": JSON, "headers": {"x-timeout-ms": "-1"}}, 400, "X-Timeout-Ms"),
        ("/models/nope/encode", {"json": JSON}, 404, "not served"),
        ("/models/fake/versions/2/encode", {"json": JSON}, 404, "version"),
        ("/models/fake/versions/x/encode", {"json": JSON}, 404, "not a version"),
        ("/models/fake/versions/" + "9" * 20 + "/encode", {"json": JSON}, 404, "version"),
        ("/models/fake/versions/" + "9" * 5000 + "/encode", {"json": JSON}, 404, "version"),
        ("/nope", {"json": JSON}, 404, "/nope"),
        ("/encode", {"json": JSON, "headers": {"accept": "text/html"}}, 406, "Accept"),
        ("/encode", {"json": JSON, "headers": {"accept": "image/png"}}, 406, "Accept"),
        (
            "/encode",
            {"content": b"a", "headers": {"content-type": "text/csv"}},
            415,
            "Content-Type",
        ),
        ("/encode", {"json": JSON, "headers": {"content-encoding": "gzip"}}, 415, "compressed"),
        ("/decode", {"content": b"a", "headers": {"content-type": "image/png"}}, 415, "pictures"),
        ("/sample", {"content": b"a", "headers": {"content-type": "image/png"}}, 415, "options"),
        ("/encode", {"json": {"inputs": [[1, 2]]}}, 422, "row 0"),
        ("/encode", {"json": {"inputs": [[1e300] * 20]}}, 422, "finite"),
        ("/encode", {"json": JSON | {"sampel": True}}, 422, "unknown option 'sampel'"),
        ("/encode", {"json": JSON | {"sample": "yes"}}, 422, "'sample'"),
        ("/encode", {"json": JSON | {"seed": -1}}, 422, "'seed'"),
        ("/encode", {"json": JSON | {"seed": 2**63}}, 422, "'seed'"),
        ("/encode", {"json": JSON | {"seed": 10**30}}, 422, "seed"),
        ("/encode", {"json": JSON | {"seed": True}}, 422, "'seed'"),
        ("/encode", {"json": JSON | {"seed": 1.5}}, 422, "'seed'"),
        ("/encode?seed=1", {"json": JSON | {"seed": 1}}, 422, "body and in the query"),
        ("/encode?seed=1&seed=2", {"json": JSON}, 422, "twice"),
        ("/encode?seed=abc", {"json": JSON}, 422, "'seed'"),
        ("/decode", {"json": {"latents": [[1, 2]]}}, 422, "row 0 has 2 elements where 3"),
        ("/sample", {"json": {"n": 0}}, 422, "'n'"),
        ("/sample", {"json": {"n": 20_000}}, 422, "n is too large"),
        ("/sample", {"json": {"temperature": -1}}, 422, "'temperature'"),
        ("/score", {"json": JSON | {"samples": 10**6}}, 422, "too many values"),
    ],
)
def test_bad_requests(ask: Ask, path: str, request_: Any, status: int, says: str) -> None:
    response = ask("POST", path, **request_)
    body = problem(response, status)
    assert says in body["detail"]
    assert "x-request-id" in response.headers


def test_an_error_echoes_little_of_what_was_sent(ask: Ask) -> None:
    body = problem(ask("POST", "/encode", json=JSON | {"x" * 100_000: "y" * 100_000}), 422)
    assert len(body["detail"]) <= 1024


def test_the_type_of_a_problem_is_a_name_that_stays(ask: Ask) -> None:
    for path, body, name in (
        ("/encode", {"inputs": []}, "invalid-input"),
        ("/models/nope/encode", {}, "unknown-model"),
        ("/nope", {}, "routing-error"),
    ):
        response = ask("POST", path, json=body)
        assert response.json()["type"] == f"urn:vae-server:problem:{name}"


def test_a_wrong_method_says_which_is_right(ask: Ask) -> None:
    response = ask("GET", "/encode")
    problem(response, 405)
    assert response.headers["allow"] == "POST"


def test_a_body_over_the_limit_is_refused_by_length_and_while_it_comes(ask: Ask) -> None:
    async def chunks() -> Any:
        for _ in range(3):
            yield b"x" * 500

    for content in (b"x" * 1001, chunks()):
        body = problem(
            ask("POST", "/encode", settings={"max_body_bytes": 1000}, content=content), 413
        )
        assert "at most 1000 bytes" in body["expected"]


def test_a_failing_model_shows_nothing_internal(ask: Ask) -> None:
    body = problem(ask("POST", "/encode", json={"inputs": [[666] * 20]}), 500)
    assert "poison" not in str(body)


def test_the_request_id_comes_back_unless_it_is_harmful(ask: Ask) -> None:
    assert (
        ask("GET", "/models", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    for bad in ("a b", "x" * 200, ""):
        given = ask("GET", "/models", headers={"x-request-id": bad}).headers["x-request-id"]
        assert given != bad
        assert 12 < len(given) < 40


def test_keys_guard_every_route_but_health_and_the_playground(ask: Ask) -> None:
    settings = {"api_keys": (SecretStr("k-one"), SecretStr("schlüssel"))}
    paths = [("POST", f"/{verb}") for verb in VERBS]
    paths += [
        ("GET", path) for path in ("/models", "/metrics", "/openapi.json", "/static", "/nope")
    ]
    for method, path in paths:
        response = ask(method, path, settings=settings)
        problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
    for headers in ({"x-api-key": "k-two"}, {"authorization": "Basic k-one"}, {"x-api-key": "é"}):
        encoded = {name: value.encode() for name, value in headers.items()}
        problem(ask("GET", "/models", settings=settings, headers=encoded), 401)
    for headers in (
        {"x-api-key": "k-one"},
        {"authorization": "bearer k-one"},
        {"x-api-key": "schlüssel"},
    ):
        encoded = {name: value.encode() for name, value in headers.items()}
        assert ask("GET", "/models", settings=settings, headers=encoded).status_code == 200
    assert ask("GET", "/health/live", settings=settings).json() == {"live": True}
    assert ask("GET", "/health/ready", settings=settings).json()["ready"] is True


def test_a_key_may_be_configured_by_its_digest(ask: Ask) -> None:
    hashed = f"sha256:{sha256(b'k-one').hexdigest()}"
    settings = {"api_keys": (SecretStr(hashed), SecretStr("k-two"))}
    for key, status in (("k-one", 200), ("k-two", 200), (hashed, 401), ("k-three", 401)):
        headers = {"x-api-key": key}
        assert ask("GET", "/models", settings=settings, headers=headers).status_code == status


def test_an_empty_key_in_the_settings_opens_nothing(ask: Ask) -> None:
    settings = {"api_keys": (SecretStr(""), SecretStr("k-one"))}
    for headers in ({}, {"x-api-key": ""}, {"authorization": "Bearer "}):
        problem(ask("GET", "/models", settings=settings, headers=headers), 401)


def test_the_models_describe_themselves(ask: Ask) -> None:
    listed = ask("GET", "/models").json()
    assert listed["default"] == "fake"
    (model,) = listed["models"]
    assert model["input"]["shape"] == [4, 5]
    assert (model["latent_dim"], model["versions"]) == (3, [1])
    assert model["metrics"] == {"elbo": -9.5, "active_units": 3}
    for path in ("/models/fake", "/models/fake/versions/1"):
        described = ask("GET", path).json()
        assert described == model | {"created": described["created"]}
    problem(ask("GET", "/models/nope"), 404)


def test_openapi_describes_every_verb(ask: Ask) -> None:
    document = ask("GET", "/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert {*VERBS, *(f"{verb}_model" for verb in VERBS), "live", "ready", "list_models"} <= set(
        ids
    )
    for verb in VERBS:
        operation = document["paths"][f"/{verb}"]["post"]
        content = operation["responses"]["200"]["content"]
        assert content["application/json"]["example"]
        assert content["application/x-npy"]["schema"] == {"type": "string", "format": "binary"}
        assert ("image/png" in content) == (verb in ("decode", "sample", "reconstruct"))
        assert {"400", "404", "422", "429", "503", "504"} <= operation["responses"].keys()


def test_openapi_takes_classes_and_numbers_as_conditions(ask: Ask) -> None:
    document = ask("GET", "/openapi.json").json()
    one = [{"type": "string"}, {"type": "integer"}]
    for verb in VERBS:
        operation = document["paths"][f"/{verb}"]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        numbers = {"type": "array", "items": {"type": "number"}}
        each = {"anyOf": [{"type": "string"}, {"type": "number"}, numbers]}
        several = {"type": "array", "items": each}
        assert schema["properties"]["condition"]["anyOf"] == [*one, several, {"type": "null"}]
        (in_query,) = (each for each in operation["parameters"] if each["name"] == "condition")
        assert in_query["schema"]["anyOf"] == [*one, {"type": "null"}]  # a list is JSON there


def test_openapi_says_which_operations_ask_for_a_key(ask: Ask) -> None:
    open_document = ask("GET", "/openapi.json").json()
    settings = {"api_keys": (SecretStr("k"),)}
    document = ask("GET", "/openapi.json", settings=settings, headers={"x-api-key": "k"}).json()
    assert document["components"]["securitySchemes"]["ApiKey"]["name"] == "X-API-Key"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            asks = not path.startswith("/health/")
            assert (operation.get("security") == [{"ApiKey": []}, {"Bearer": []}]) == asks, path
            assert ("401" in operation["responses"]) == asks, path
            assert "security" not in open_document["paths"][path][method]


def test_openapi_says_how_a_model_that_is_none_is_refused(ask: Ask) -> None:
    document = ask("GET", "/openapi.json").json()
    assert "ValidationError" not in str(document)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "{model}" in path:
                assert "application/problem+json" in operation["responses"]["404"]["content"], path
                assert ("422" in operation["responses"]) == ("requestBody" in operation)


ORIGIN = "https://example.org"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-api-key",
}


def test_pages_of_other_origins_are_told_nothing_by_default(ask: Ask) -> None:
    response = ask("GET", "/models", headers={"origin": ORIGIN})
    assert not [name for name in response.headers if name.startswith("access-control")]
    problem(ask("OPTIONS", "/encode", headers={"origin": ORIGIN}), 405)


def test_pages_of_named_origins_may_ask_and_read_refusals(ask: Ask) -> None:
    settings = {"cors_origins": (ORIGIN,), "api_keys": (SecretStr("k"),)}
    preflight = ask("OPTIONS", "/encode", settings=settings, headers=PREFLIGHT)
    assert preflight.status_code == 200
    refused = ask("POST", "/encode", settings=settings, headers={"origin": ORIGIN}, json=JSON)
    problem(refused, 401)
    for response in (preflight, refused):
        assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Request-Id" in refused.headers["access-control-expose-headers"]
    other = ask("GET", "/health/live", settings=settings, headers={"origin": "https://evil.test"})
    assert "access-control-allow-origin" not in other.headers


def test_preflights_have_an_id_and_are_counted(tmp_path: Path) -> None:
    async def body() -> str:
        service = fake_service(tmp_path, cors_origins=(ORIGIN,), api_keys=(SecretStr("k"),))
        first, named, bad = [
            await call(service.app, "OPTIONS", "/encode", headers=PREFLIGHT | more)
            for more in ({}, {"x-request-id": "mine"}, {"origin": "https://evil.test"})
        ]
        assert first.headers["x-request-id"]
        assert named.headers["x-request-id"] == "mine"
        assert bad.status_code == 400
        await service.model.close()
        return service.metrics.render().decode()

    samples = asyncio.run(body())
    preflights = 'vae_requests_total{code="%d",model="",op="preflight",version=""} %.1f\n'
    assert preflights % (200, 2) in samples
    assert preflights % (400, 1) in samples
    assert "vae_inflight_requests 0.0\n" in samples


def test_the_docs_can_be_switched_off(ask: Ask) -> None:
    for path in ("/docs", "/openapi.json"):
        problem(ask("GET", path, settings={"docs": False}), 404)
        assert ask("GET", path).status_code == 200


def test_metrics_count_what_was_answered(tmp_path: Path) -> None:
    async def body() -> str:
        service: FakeService = fake_service(tmp_path)
        for _ in range(3):
            await call(service.app, "POST", "/encode", json=JSON)
        await call(service.app, "POST", "/encode", json={})
        await call(service.app, "GET", "/" + "x" * 50)
        await service.model.close()
        return (await call(service.app, "GET", "/metrics")).text

    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(asyncio.run(body()))
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[(name, *sorted(labels.items()))]

    model = {"model": "fake", "version": "1"}
    assert value("vae_requests_total", op="encode", code="200", **model) == 3
    assert value("vae_requests_total", op="encode", code="422", **model) == 1
    assert value("vae_requests_total", op="unknown", code="404", model="", version="") == 1
    assert value("vae_request_duration_seconds_count", op="encode", model="fake") == 4
    assert value("vae_batch_rows_sum", graph="encoder", model="fake") == 6
    assert value("vae_queue_duration_seconds_count", graph="encoder", model="fake") == 3
    assert value("vae_queue_rows", **model) == 0
    assert not any("xxx" in str(key) for key in samples)


def test_a_deadline_that_passes_in_the_queue_means_no_work(tmp_path: Path) -> None:
    async def body() -> None:
        service = fake_service(tmp_path)
        service.runtime.gate.clear()
        running = asyncio.ensure_future(call(service.app, "POST", "/encode", json=JSON))
        await asyncio.sleep(0.05)
        late = await call(service.app, "POST", "/score", json=JSON, headers={"x-timeout-ms": "20"})
        problem(late, 504)
        service.runtime.gate.set()
        assert (await running).status_code == 200
        await service.model.close()
        assert service.runtime.calls == [("encoder", 2)]

    asyncio.run(body())


def test_a_full_queue_answers_429_with_retry_after(tmp_path: Path) -> None:
    async def body() -> None:
        service = fake_service(tmp_path, max_queue_rows=4, max_request_rows=4)
        service.runtime.gate.clear()
        tasks = []
        for _ in range(3):
            tasks.append(asyncio.ensure_future(call(service.app, "POST", "/encode", json=JSON)))
            await asyncio.sleep(0.02)
        full = await call(service.app, "POST", "/encode", json=JSON)
        problem(full, 429)
        assert int(full.headers["retry-after"]) >= 1
        service.runtime.gate.set()
        assert [response.status_code for response in await asyncio.gather(*tasks)] == [200] * 3
        await service.model.close()

    asyncio.run(body())


LOAD = "/models/fake/versions/1/load"


def test_without_admin_keys_nothing_loads_or_unloads_models(ask: Ask) -> None:
    assert "/load" not in str(list(ask("GET", "/openapi.json").json()["paths"]))
    problem(ask("POST", LOAD), 404)
    keyed = {"api_keys": (SecretStr("k-one"),)}
    problem(ask("POST", LOAD, settings=keyed), 401)
    problem(ask("POST", LOAD, settings=keyed, headers={"x-api-key": "k-one"}), 404)


def test_admin_keys_and_api_keys_open_each_their_own(tmp_path: Path) -> None:
    loaded: list[str] = []

    class Remembers:
        async def load(self, key: ModelVersion) -> None:
            loaded.append(str(key))

        async def unload(self, key: ModelVersion) -> None:
            raise BundleRefused("no")

    async def ask(method: str, path: str, key: str) -> int:
        return (await call(app, method, path, headers={"x-api-key": key})).status_code

    async def body() -> list[int]:
        asked = [("POST", LOAD), ("GET", "/models"), ("POST", LOAD.replace("load", "unload"))]
        return [await ask(*each, key) for each in asked for key in ("k-api", "k-admin", "k-no")]

    settings = fake_settings(
        tmp_path, api_keys=(SecretStr("k-api"),), admin_keys=(SecretStr("k-admin"),)
    )
    app = create_app(ModelRegistry(), settings, Metrics(), Remembers())
    assert asyncio.run(body()) == [401, 200, 401, 200, 401, 401, 401, 409, 401]
    assert loaded == ["fake/1"]
    assert LOAD.replace("fake/versions/1", "{model}/versions/{version}") in app.openapi()["paths"]


SPELLINGS = (
    "%0A",
    "%0D",
    "%00",
    "%09",
    "%20",
    "/",
    "//",
    "%2F",
    ";",
    ";x=1",
    ".",
    "/.",
    "%2e",
    "?",
    "#",
)


@settings(max_examples=60, deadline=None)
@given(
    verb=st.sampled_from(["load", "unload", "Load", "UNLOAD"]),
    spelling=st.sampled_from(SPELLINGS),
    place=st.integers(0, 40),
    api_keys=st.sampled_from([(), (SecretStr("k-api"),)]),
    key=st.sampled_from(["", "k-api"]),
)
@example(verb="unload", spelling="%0A", place=40, api_keys=(), key="")
@example(verb="load", spelling="%0A", place=40, api_keys=(SecretStr("k-api"),), key="k-api")
def test_no_spelling_of_a_path_loads_a_model_without_an_admin_key(
    verb: str, spelling: str, place: int, api_keys: tuple[SecretStr, ...], key: str
) -> None:
    reached: list[ModelVersion] = []

    class Remembers:
        async def load(self, key: ModelVersion) -> None:
            reached.append(key)

        unload = load

    path = f"/models/fake/versions/1/{verb}"
    path = path[: place + 1] + spelling + path[place + 1 :]
    admin = {"admin_keys": (SecretStr("k-admin"),), "api_keys": api_keys}
    app = create_app(
        ModelRegistry(), fake_settings(Path("models"), **admin), Metrics(), Remembers()
    )
    reply = asyncio.run(call(app, "POST", path, headers={"x-api-key": key}))
    assert reached == []
    assert reply.status_code >= 300


def test_a_service_without_models_is_not_ready_and_says_what_it_lacks(tmp_path: Path) -> None:
    app = create_app(ModelRegistry(), fake_settings(tmp_path), Metrics())
    ready = asyncio.run(call(app, "GET", "/health/ready"))
    assert problem(ready, 503)["detail"] == "no model is served"
    assert asyncio.run(call(app, "GET", "/health/live")).status_code == 200
    problem(asyncio.run(call(app, "POST", "/encode", json=JSON)), 404)
    listed = asyncio.run(call(app, "GET", "/models")).json()
    assert listed == {"default": None, "models": [], "versions": []}


def test_health_and_the_list_of_models_answer_head_as_get(ask: Ask) -> None:
    for path in ("/health/live", "/health/ready", "/models", "/metrics"):
        assert ask("HEAD", path).status_code == 200


def test_a_trailing_slash_is_not_found_and_not_redirected(ask: Ask) -> None:
    problem(ask("POST", "/encode/", json=JSON), 404)


def test_a_model_tells_its_limits(ask: Ask) -> None:
    limits = ask("GET", "/models/fake", settings={"max_array_bytes": 4000}).json()["limits"]
    assert limits == {"rows": 4096, "values": 1000, "body_bytes": 32 * 2**20}
    body = problem(ask("POST", "/sample?n=100", settings={"max_array_bytes": 4000}), 422)
    assert body["expected"] == "at most 1000 values, such as 43 rows"


def test_more_bytes_than_the_budget_are_rejected_and_it_is_returned(tmp_path: Path) -> None:
    async def body() -> None:
        service = fake_service(tmp_path, max_inflight_bytes=20_000)
        budget = service.app.state.context.budget
        full = await call(service.app, "POST", "/sample?n=1000")
        problem(full, 429)
        assert full.headers["retry-after"] == "1"
        assert (await call(service.app, "POST", "/sample?n=10")).status_code == 200
        assert budget.used == 0
        await service.model.close()

    asyncio.run(body())


def test_a_batch_that_does_not_end_is_told_by_liveness(tmp_path: Path) -> None:
    async def body() -> None:
        service = fake_service(tmp_path, timeout_ms=10, hang_seconds=0.05)
        service.runtime.gate.clear()
        problem(await call(service.app, "POST", "/encode", json=JSON), 504)
        await asyncio.sleep(0.1)
        problem(await call(service.app, "GET", "/health/live"), 503)
        service.runtime.gate.set()
        await asyncio.sleep(0.1)
        assert (await call(service.app, "GET", "/health/live")).status_code == 200
        await service.model.close()

    asyncio.run(body())


def test_score_names_the_row_of_the_request_that_overflows(ask: Ask) -> None:
    rows = np.ones((40, 20))
    rows[30] = 3e38
    body = problem(ask("POST", "/score", json={"inputs": rows.tolist(), "samples": 4}), 422)
    assert body["detail"].startswith("row 30: ")
