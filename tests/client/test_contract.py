"""Both clients against the real server: what one side sends, the other understands."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import vae_client
from tests.fakes import POISON, write_fake_bundle
from tests.servers import Server, serving

Connect = Callable[..., Any]
KEY = "k-one"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    write_fake_bundle(models)
    write_fake_bundle(models)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--max-request-rows", "64")
    with serving(models, *options, "--max-body-bytes", "9000", "--api-keys", KEY) as server:
        yield server


@pytest.fixture
def client(service: Server, connect: Connect) -> Any:
    return connect(service.url, api_key=KEY)


def x(rows: int) -> Any:
    return np.arange(rows * 20).reshape(rows, 4, 5) % 250


def test_verbs(client: Any) -> None:
    encoding = client.encode(x(3))
    assert (encoding.mu.shape, encoding.logvar.shape, encoding.z) == ((3, 3), (3, 3), None)
    drawn = client.encode(x(3), sample=True, seed=4)
    assert np.array_equal(drawn.mu, encoding.mu)
    assert drawn.z.shape == (3, 3)
    assert np.array_equal(client.reconstruct(x(3)), client.decode(encoding.mu))
    assert np.array_equal(client.reconstruct(x(3), sample=True, seed=4), client.decode(drawn.z))
    samples = client.sample(5, seed=1, temperature=0.5)
    assert np.array_equal(samples.outputs, client.decode(samples.latents))
    scores = client.score(x(3), samples=2, seed=9)
    np.testing.assert_allclose(scores.elbo, scores.reconstruction - scores.kl, rtol=1e-6)
    assert ((scores.p_value > 0) & (scores.p_value <= 1)).all()


def test_models(client: Any, service: Server, connect: Connect) -> None:
    assert client.ready()
    (model,) = client.models()
    assert (model.name, model.version, model.shape) == ("fake", 2, (4, 5))
    older = connect(service.url, model="fake", version=1, api_key=KEY)
    assert older.model().version == 1
    assert np.array_equal(older.encode(x(1)).mu, client.encode(x(1)).mu)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (vae_client.InvalidInput, lambda client: client.encode(np.zeros((2, 7)))),
        (vae_client.InvalidInput, lambda client: client.encode(np.full((1, 20), np.nan))),
        (vae_client.InvalidInput, lambda client: client.sample(65)),
        (vae_client.InvalidInput, lambda client: client.encode(x(1), seed=-1)),
        (vae_client.TooLarge, lambda client: client.encode(np.zeros((200, 20)))),
        (vae_client.ServerError, lambda client: client.encode(np.full((1, 20), POISON))),
        (vae_client.NotFound, lambda client: client.model("nope")),
    ],
)
def test_errors(client: Any, error: type[vae_client.StatusError], call: Callable[..., Any]) -> None:
    with pytest.raises(error) as raised:
        call(client)
    assert raised.value.detail
    assert raised.value.request_id


def test_a_wrong_key(service: Server, connect: Connect) -> None:
    with pytest.raises(vae_client.Unauthorized):
        connect(service.url, api_key="other").models()
