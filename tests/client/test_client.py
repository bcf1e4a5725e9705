import json
import pickle
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import vae_client
from tests.client.fake_server import FakeServer, Reply, arrays, json_reply, problem

Connect = Callable[..., Any]

ROWS = [[1.0, 2.0], [3.0, 4.0]]
DIGITS = {
    "name": "digits",
    "version": 2,
    "versions": [1, 2],
    "input": {"kind": "image", "shape": [8, 8], "range": [0, 16]},
    "latent_dim": 4,
    "metrics": {"elbo": -20.5},
}


def test_encode(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(mu=ROWS, logvar=[[0, 0], [-1, -1]])
    encoding = connect(server.url).encode(ROWS)
    assert encoding.mu.tolist() == ROWS
    assert encoding.logvar.tolist() == [[0, 0], [-1, -1]]
    assert encoding.z is None
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/encode")
    assert request.query == {"sample": "false"}
    assert request.headers["Content-Type"] == "application/x-safetensors"
    assert request.headers["Accept"] == "application/x-safetensors"
    assert request.arrays()["inputs"].tolist() == ROWS
    assert request.arrays()["inputs"].dtype == np.float32


def test_encode_with_draws(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(mu=ROWS, logvar=ROWS, z=[[5, 6], [7, 8]])
    encoding = connect(server.url).encode(ROWS, sample=True, seed=np.int64(7))
    assert encoding.z.tolist() == [[5, 6], [7, 8]]
    assert server.requests[0].query == {"sample": "true", "seed": "7"}


def test_decode(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(outputs=np.arange(8).reshape(2, 2, 2))
    outputs = connect(server.url).decode(ROWS)
    assert outputs.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert server.requests[0].path == "/decode"
    assert server.requests[0].query == {}
    assert server.requests[0].arrays()["latents"].tolist() == ROWS


def test_sample(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(outputs=ROWS, latents=[[0], [1]])
    samples = connect(server.url).sample(2, seed=3, temperature=0.5)
    assert samples.outputs.tolist() == ROWS
    assert samples.latents.tolist() == [[0], [1]]
    (request,) = server.requests
    assert request.path == "/sample"
    assert request.query == {"n": "2", "seed": "3", "temperature": "0.5"}
    assert request.body == b""
    assert "Content-Type" not in request.headers


def test_reconstruct(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(outputs=ROWS)
    assert connect(server.url).reconstruct(ROWS, sample=True, seed=1).tolist() == ROWS
    assert server.requests[0].path == "/reconstruct"
    assert server.requests[0].query == {"sample": "true", "seed": "1"}
    assert server.requests[0].arrays()["inputs"].tolist() == ROWS


def test_conditions(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(outputs=ROWS)
    client = connect(server.url)
    for condition in ("a b", 3):
        client.decode(ROWS, condition=condition)
    assert [request.query["condition"] for request in server.requests] == ["a b", "3"]


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        (["a", "b"], ["a", "b"]),
        ((1, 2), [1, 2]),
        (np.array([7, 8]), [7, 8]),
        (np.float32([[0.5, 2], [3, 4]]), [[0.5, 2.0], [3.0, 4.0]]),
    ],
)
def test_conditions_of_rows_may_be_many(
    connect: Connect, server: FakeServer, condition: Any, sent: list[Any]
) -> None:
    server.reply = arrays(outputs=ROWS)
    connect(server.url).reconstruct(ROWS, condition=condition, sample=True, seed=np.int64(1))
    (request,) = server.requests
    assert request.query == {}
    assert request.headers["Content-Type"] == "application/json"
    options = {"sample": True, "seed": 1, "condition": sent}
    assert json.loads(request.body) == {"inputs": ROWS, **options}


def test_score(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(elbo=[-3, -4], reconstruction=[-1, -2], kl=[2, 2], p_value=[0.5, 1])
    scores = connect(server.url).score(ROWS, samples=8)
    assert scores.elbo.tolist() == [-3, -4]
    assert scores.reconstruction.tolist() == [-1, -2]
    assert scores.kl.tolist() == [2, 2]
    assert scores.p_value.tolist() == [0.5, 1]
    assert server.requests[0].path == "/score"
    assert server.requests[0].query == {"samples": "8", "seed": "0"}


def test_models(connect: Connect, server: FakeServer) -> None:
    server.reply = json_reply({"default": "digits", "models": [DIGITS]})
    (model,) = connect(server.url).models()
    assert server.requests[0].path == "/models"
    assert (model.name, model.version, model.versions) == ("digits", 2, (1, 2))
    assert (model.kind, model.shape, model.latent_dim) == ("image", (8, 8), 4)
    assert model.description == DIGITS


def test_the_default_model(connect: Connect, server: FakeServer) -> None:
    server.reply = json_reply({"default": "digits", "models": [{**DIGITS, "name": "a"}, DIGITS]})
    assert connect(server.url).model().name == "digits"
    server.reply = json_reply({"default": None, "models": [DIGITS]})
    with pytest.raises(vae_client.ReplyError, match="no default model"):
        connect(server.url).model()


def test_a_model_by_name(connect: Connect, server: FakeServer) -> None:
    server.reply = json_reply(DIGITS)
    with connect(server.url, model="a", version=3) as client:
        assert client.model("digits").name == "digits"
        client.model()
    paths = [request.path for request in server.requests]
    assert paths == ["/models/digits", "/models/a/versions/3"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"model": "digits"}, "/models/digits/decode"),
        ({"model": "digits", "version": 3}, "/models/digits/versions/3/decode"),
        ({"model": "../a/b"}, "/models/..%2Fa%2Fb/decode"),
    ],
)
def test_verbs_go_to_the_chosen_model(
    connect: Connect, server: FakeServer, options: dict[str, Any], path: str
) -> None:
    server.reply = arrays(outputs=ROWS)
    connect(server.url, **options).decode(ROWS)
    assert server.requests[0].path == path


def test_a_server_below_a_path(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(outputs=ROWS)
    connect(f"{server.url}/vae/").decode(ROWS)
    assert server.requests[0].path == "/vae/decode"


def test_ready(connect: Connect, server: FakeServer) -> None:
    client = connect(server.url)
    server.reply = json_reply({"ready": True})
    assert client.ready() is True
    assert server.requests[0].path == "/health/ready"
    server.reply = problem(503)
    assert client.ready() is False
    server.reply = problem(401)
    with pytest.raises(vae_client.Unauthorized):
        client.ready()


def test_an_unreachable_server_is_not_ready(connect: Connect) -> None:
    assert connect(closed_address()).ready() is False


def test_the_api_key(connect: Connect, server: FakeServer) -> None:
    server.reply = json_reply({"ready": True})
    connect(server.url, api_key="sécret").ready()
    sent = server.requests[0].headers["X-API-Key"]
    assert sent.encode("latin-1").decode() == "sécret"  # http.server reads headers as latin-1
    connect(server.url).ready()
    assert "X-API-Key" not in server.requests[1].headers


@pytest.mark.parametrize(
    "rows", [ROWS, tuple(map(tuple, ROWS)), np.array(ROWS), np.array(ROWS, ">i4"), np.array(ROWS).T]
)
def test_whatever_numpy_takes_is_sent_as_float32(
    connect: Connect, server: FakeServer, rows: Any
) -> None:
    server.reply = arrays(outputs=ROWS)
    connect(server.url).decode(rows)
    assert server.requests[0].arrays()["latents"].tolist() == np.asarray(rows).tolist()


def test_results_may_be_written_to(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(outputs=ROWS)
    outputs = connect(server.url).decode(ROWS)
    outputs += 1
    assert outputs.tolist() == [[2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, vae_client.BadRequest),
        (401, vae_client.Unauthorized),
        (404, vae_client.NotFound),
        (406, vae_client.NotAcceptable),
        (413, vae_client.TooLarge),
        (415, vae_client.UnsupportedMediaType),
        (422, vae_client.InvalidInput),
        (429, vae_client.Overloaded),
        (500, vae_client.ServerError),
        (502, vae_client.ServerError),
        (503, vae_client.Unavailable),
        (504, vae_client.DeadlineExceeded),
        (405, vae_client.StatusError),
        (302, vae_client.StatusError),
    ],
)
def test_one_exception_a_status(
    connect: Connect, server: FakeServer, status: int, kind: type[vae_client.StatusError]
) -> None:
    server.reply = problem(status, **{"X-Request-Id": "abc", "Retry-After": "7"})
    with pytest.raises(vae_client.StatusError) as caught:
        connect(server.url).decode(ROWS)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.title, error.detail) == (status, "A title", "what was wrong")
    assert (error.request_id, error.retry_after) == ("abc", 7)
    assert error.problem["expected"] == 3
    assert str(error) == f"{status} A title: what was wrong (expected 3, request abc)"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.problem) == (kind, str(error), error.problem)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Bad Gateway</html>", b"[1]", b"null", b'{"title": 3}', b"\xff\xfe", b"[" * 99999],
)
def test_an_error_with_any_body(connect: Connect, server: FakeServer, body: bytes) -> None:
    server.reply = Reply(body, "text/html", 502, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    with pytest.raises(vae_client.ServerError) as caught:
        connect(server.url).decode(ROWS)
    assert str(caught.value) == "502 Bad Gateway"
    assert caught.value.detail is None
    assert caught.value.request_id is None
    assert caught.value.retry_after is None


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(b"<html>", "text/html"), "answered with text/html; expected application/x-safe"),
        (Reply(b"short"), "the reply is damaged: "),
        (arrays(means=ROWS), "the reply has no outputs; it has means"),
        (Reply(arrays(outputs=ROWS).body[:-1]), "damaged"),
    ],
)
def test_a_reply_that_is_none(
    connect: Connect, server: FakeServer, reply: Reply, message: str
) -> None:
    server.reply = reply
    with pytest.raises(vae_client.ReplyError, match=message):
        connect(server.url).decode(ROWS)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"{", "application/json"),
        json_reply([]),
        json_reply({"models": 3}),
        json_reply({"models": [{"name": "a"}]}),
        Reply(b"{}", "text/html"),
    ],
)
def test_models_that_are_none(connect: Connect, server: FakeServer, reply: Reply) -> None:
    server.reply = reply
    with pytest.raises(vae_client.ReplyError):
        connect(server.url).models()


def test_no_server(connect: Connect) -> None:
    url = closed_address()
    with pytest.raises(vae_client.TransportError, match=f"POST {url}/decode: "):
        connect(url).decode(ROWS)


def test_no_answer_in_time(connect: Connect, server: FakeServer) -> None:
    server.released.clear()
    with pytest.raises(vae_client.TransportError, match=r"ReadTimeout|timed out"):
        connect(server.url, timeout=0.1).decode(ROWS)


@pytest.mark.parametrize(("timeout", "told"), [(30.0, "27000"), (1, "900"), (86_400, "77760000")])
def test_the_server_is_told_less_than_the_timeout(
    connect: Connect, server: FakeServer, timeout: float, told: str
) -> None:
    server.reply = json_reply({"ready": True})
    assert connect(server.url, timeout=timeout).ready()
    assert server.requests[0].headers["X-Timeout-Ms"] == told


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e6])
def test_a_timeout_is_positive_and_at_most_a_day(connect: Connect, timeout: float) -> None:
    with pytest.raises(ValueError, match=f"timeout must be from 0 to 86400 seconds, not {timeout}"):
        connect("http://127.0.0.1", timeout=timeout)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "", "ftp://host", "http://", "http://host:x"])
def test_an_address_is_checked_at_once(connect: Connect, url: str) -> None:
    with pytest.raises(ValueError, match="is not the address of a server"):
        connect(url)


def test_a_version_needs_a_model(connect: Connect) -> None:
    with pytest.raises(ValueError, match="version 3 is given without the name"):
        connect("http://127.0.0.1", version=3)


def test_connections_are_kept_until_the_client_is_closed(
    connect: Connect, server: FakeServer
) -> None:
    server.reply = arrays(outputs=ROWS)
    client = connect(server.url)
    client.decode(ROWS)
    client.decode(ROWS)
    assert server.connections == 1
    client.close()
    assert server.wait_until_all_closed()


def test_the_end_of_a_with_block_closes(connect: Connect, server: FakeServer) -> None:
    server.reply = arrays(outputs=ROWS)
    with connect(server.url) as client:
        client.decode(ROWS)
    assert server.wait_until_all_closed()


def closed_address() -> str:
    """An address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"
