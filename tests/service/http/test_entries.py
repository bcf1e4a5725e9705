"""The fast lane and FastAPI's answer the same, byte for byte, on real sockets."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tests.fakes import SLOW, write_fake_bundle
from tests.servers import Server, serving

X = [[float(i % 7) for i in range(20)], [2.5] * 20]
KEY = "k-one"
OPTIONS = (
    *("--runtime", "tests.fakes:FakeRuntime", "--api-keys", KEY),
    *("--max-body-bytes", "4000", "--max-request-rows", "20"),
)


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    models = tmp_path_factory.mktemp("models")
    write_fake_bundle(models)
    write_fake_bundle(models)
    with (
        serving(models, *OPTIONS, "--no-asgi-only") as fast,
        serving(models, *OPTIONS, "--asgi-only") as slow,
    ):
        yield fast, slow


def http(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        yield connection


def read_replies(connection: socket.socket, count: int) -> list[bytes]:
    """So many replies with a Content-Length from a connection."""
    data, replies = b"", []
    while len(replies) < count:
        head, separator, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if separator and length and len(rest) >= int(length[1]):
            end = len(head) + 4 + int(length[1])
            replies.append(data[:end])
            data = data[end:]
            continue
        received = connection.recv(65536)
        assert received, f"closed after {data!r}"
        data += received
    assert not data
    return replies


def ask(server: Server, *requests: bytes) -> list[bytes]:
    with connected(server) as connection:
        connection.sendall(b"".join(requests))
        return [comparable(reply) for reply in read_replies(connection, len(requests))]


def comparable(reply: bytes) -> bytes:
    """A reply without what differs from one moment or process to the next."""
    reply = re.sub(rb"date: [^\r]*", b"date: -", reply)
    reply = re.sub(rb"(queue|compute);dur=[0-9.]+", rb"\1", reply)
    return re.sub(rb"x-request-id: [0-9a-f]{12}-\d+", b"x-request-id: -", reply)


AUTHORISED = f"X-API-Key: {KEY}"
JSON_BODIES = [
    {"inputs": X},
    {"inputs": X, "sample": True, "seed": 4},
    {"inputs": np.reshape(X, (2, 4, 5)).tolist()},
    {"latents": [[0, 1, 2]]},
    {"n": 3, "seed": 2, "temperature": 0.5},
    {"n": 21, "seed": 2},
    {"inputs": X, "samples": 2},
    {"inputs": [[1, 2]]},
    {"inputs": [[666] * 20]},
    {"inputs": [[3e38] * 20]},
    {"inputs": X, "seed": -1},
    {"inputs": X * 9, "sampel": 1},
    {},
    [],
]
BODIES = [json.dumps(body).encode() for body in JSON_BODIES]
BODIES += [b"", b"{", b"x" * 4001, save({"inputs": np.float32(X)}), b'{"inputs":[[1e999]]}']
PATHS = [
    *("/encode", "/decode", "/sample", "/reconstruct", "/score"),
    *("/models/fake/encode", "/models/fake/versions/1/score", "/models/fake/versions/2/decode"),
    *("/models/nope/encode", "/models/fake/versions/9/encode", "/models/fake/versions/0/encode"),
    *(
        "/models/fa%6be/encode",
        "/encode/",
        "//encode",
        "/Encode",
        "/models/a b/encode".replace(" ", "+"),
    ),
]
QUERIES = ["", "?", "?sample=true&seed=3", "?n=2&seed=1", "?seed=1&seed=2", "?seed=x", "?a=%ff"]
HEADERS = [
    *("Accept: application/json", "Accept: application/x-npy", "Accept: image/png"),
    *("Accept: application/x-safetensors;q=0.5, */*;q=0.1", "Accept: text/html"),
    *("Content-Type: application/json", "Content-Type: application/x-safetensors"),
    *("Content-Type: text/plain", "Content-Encoding: gzip", "Content-Encoding: identity"),
    *("X-Request-Id: abc-1", "X-Timeout-Ms: 5000", "X-Timeout-Ms: nonsense", "X-Timeout-Ms: 0"),
]


def seeded(path: str, query: str, body: bytes) -> bool:
    """Whether the reply is the same each time."""
    drawn = "sample" in path or b'"sample": true' in body or "sample=true" in query
    return not drawn or b'"seed"' in body or "seed=" in query


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(PATHS),
    query=st.sampled_from(QUERIES),
    body=st.sampled_from(BODIES),
    headers=st.lists(st.sampled_from(HEADERS), max_size=4),
    key=st.sampled_from([AUTHORISED] * 8 + ["X-API-Key: wrong", f"Authorization: Bearer {KEY}"]),
)
def test_both_lanes_answer_the_same(
    lanes: tuple[Server, Server], path: str, query: str, body: bytes, headers: list[str], key: str
) -> None:
    request = http(path + query, body, key, *headers)
    fast, slow = (ask(server, request)[0] for server in lanes)
    if not seeded(path, query, body):
        fast, slow = (reply.partition(b"\r\n\r\n")[0] for reply in (fast, slow))
        fast, slow = (re.sub(rb"content-length: \d+", b"", head) for head in (fast, slow))
    assert fast == slow


def test_replies_keep_the_order_of_pipelined_requests_of_both_lanes(
    lanes: tuple[Server, Server],
) -> None:
    requests = [
        http("/encode", json.dumps({"inputs": X}).encode(), AUTHORISED, "X-Request-Id: r0"),
        http("/models", b"", AUTHORISED, "X-Request-Id: r1", method="GET"),
        http("/score", json.dumps({"inputs": X}).encode(), AUTHORISED, "X-Request-Id: r2"),
        http("/sample", b"{", AUTHORISED, "X-Request-Id: r3"),
        http("/nope", b"", AUTHORISED, "X-Request-Id: r4"),
        http("/decode", b'{"latents":[[1,2,3]]}', AUTHORISED, "X-Request-Id: r5"),
    ] * 4
    fast, slow = (ask(server, *requests) for server in lanes)
    ids = [re.findall(rb"x-request-id: (r\d)", reply)[0] for reply in fast]
    assert ids == [b"r0", b"r1", b"r2", b"r3", b"r4", b"r5"] * 4
    assert fast == slow


def test_a_request_may_come_byte_by_byte(lanes: tuple[Server, Server]) -> None:
    request = http("/encode", json.dumps({"inputs": X}).encode(), AUTHORISED)
    with connected(lanes[0]) as connection:
        for byte in request:
            connection.sendall(bytes([byte]))
        (reply,) = read_replies(connection, 1)
    assert comparable(reply) == ask(lanes[0], request)[0]


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize(
    ("path", "header"), [("/encode", "Connection: close"), ("/models", "Connection: close")]
)
def test_a_connection_closes_when_asked_to(
    lanes: tuple[Server, Server], lane: int, path: str, header: str
) -> None:
    with connected(lanes[lane]) as connection:
        connection.sendall(http(path, json.dumps({"inputs": X}).encode(), AUTHORISED, header))
        (reply,) = read_replies(connection, 1)
        assert b"connection: close" in reply
        assert connection.recv(1) == b""


def test_chunked_bodies_take_the_slow_lane(lanes: tuple[Server, Server]) -> None:
    body = json.dumps({"inputs": X}).encode()
    head = f"POST /encode HTTP/1.1\r\nHost: a\r\n{AUTHORISED}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]))
    request = head.encode() + chunks + b"0\r\n\r\n"
    assert ask(lanes[0], request) == ask(lanes[1], http("/encode", body, AUTHORISED))


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_wish_to_upgrade_is_passed_over(
    lanes: tuple[Server, Server], lane: int, protocol: str
) -> None:
    body = json.dumps({"inputs": X}).encode()
    wish = (
        f"Upgrade: {protocol}",
        "HTTP2-Settings: AAMAAABk",
        "Connection: Upgrade, HTTP2-Settings",
    )
    plain = http("/encode", body, AUTHORISED)
    replies = ask(lanes[lane], http("/encode", body, AUTHORISED, *wish), plain)
    assert replies[0] == replies[1]
    with connected(lanes[lane]) as connection:
        for byte in http("/encode", body, AUTHORISED, *wish) + plain:
            connection.sendall(bytes([byte]))
        assert [comparable(reply) for reply in read_replies(connection, 2)] == replies


def test_expect_continue_is_answered(lanes: tuple[Server, Server]) -> None:
    body = json.dumps({"inputs": X}).encode()
    request = http("/encode", body, AUTHORISED, "Expect: 100-continue")
    with connected(lanes[0]) as connection:
        connection.sendall(request[: -len(body)])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_replies(connection, 1)[0].startswith(b"HTTP/1.1 200")


def test_idle_connections_are_closed(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--keep-alive-seconds", "1")
    with serving(tmp_path, *options) as server, connected(server) as connection:
        connection.sendall(http("/encode", json.dumps({"inputs": X}).encode()))
        read_replies(connection, 1)
        started = time.monotonic()
        assert connection.recv(1) == b""
        assert 0.5 < time.monotonic() - started < 4


def test_a_deadline_holds_while_a_batch_runs(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    body = json.dumps({"inputs": [[SLOW] * 20]}).encode()
    options = ("--runtime", "tests.fakes:SlowRuntime", "--inline-ms", "0")
    with serving(tmp_path, *options) as server:
        started = time.monotonic()
        (reply,) = ask(server, http("/encode", body, "X-Timeout-Ms: 50"))
        assert reply.startswith(b"HTTP/1.1 504")
        assert time.monotonic() - started < 0.4


def metrics_of(server: Server) -> dict[str, str]:
    (reply,) = ask(server, http("/metrics", b"", AUTHORISED, method="GET"))
    lines = reply.decode().partition("\r\n\r\n")[2].splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("vae_requests_total"))


def computed_samples(server: Server) -> float:
    counts = metrics_of(server)
    return float(counts['vae_requests_total{code="200",model="fake",op="sample",version="1"}'])


def test_both_lanes_count_alike(lanes: tuple[Server, Server]) -> None:
    before = [metrics_of(server) for server in lanes]
    requests: list[Any] = [
        http("/score", json.dumps({"inputs": X}).encode(), AUTHORISED),
        http("/score", b"{", AUTHORISED),
        http("/models/nope/score", b"{}", AUTHORISED),
        http("/score", b"{}"),
    ]
    for server in lanes:
        ask(server, *requests)
    after = [metrics_of(server) for server in lanes]
    grown = [
        {
            name
            for name, value in new.items()
            if value != old.get(name) and 'op="scrape"' not in name
        }
        for old, new in zip(before, after, strict=True)
    ]
    assert grown[0] == grown[1]
    assert len(grown[0]) == 4


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Server]:
    """The fast lane over a model that takes half a second for SLOW."""
    write_fake_bundle(tmp_path)
    with serving(tmp_path, "--runtime", "tests.fakes:SlowRuntime", "--inline-ms", "0") as server:
        yield server


SLOW_REQUEST = http("/encode", json.dumps({"inputs": [[SLOW] * 20]}).encode(), "X-Request-Id: r0")


def test_hundreds_of_pipelined_requests_that_fail_at_once_are_answered_in_order(
    slow: Server,
) -> None:
    bad = [http("/encode", b"{", f"X-Request-Id: r{number}") for number in range(1, 600)]
    replies = ask(slow, SLOW_REQUEST, *bad)
    ids = [re.findall(rb"x-request-id: r(\d+)", reply)[0] for reply in replies]
    assert ids == [b"%d" % number for number in range(600)]
    assert all(reply.startswith(b"HTTP/1.1 400") for reply in replies[1:])


def test_replies_to_a_client_that_does_not_read_do_not_pile_up(slow: Server) -> None:
    sample = json.dumps({"n": 4096, "seed": 1}).encode()
    (reply,) = ask(slow, http("/sample", sample))
    with connected(slow) as connection:
        connection.sendall(http("/sample", sample) * 200)
        time.sleep(1.5)
        assert computed_samples(slow) < 1 + 20, f"each of {len(reply)} bytes"


def test_bytes_that_are_not_http_are_not_answered_before_what_came_first(slow: Server) -> None:
    with connected(slow) as connection:
        connection.sendall(SLOW_REQUEST + b"nonsense\r\n\r\n")
        first, second = read_replies(connection, 2)
        assert first.startswith(b"HTTP/1.1 200")
        assert second.startswith(b"HTTP/1.1 400")
        assert connection.recv(1) == b""


def test_a_client_that_closes_its_half_still_gets_its_reply(slow: Server) -> None:
    with connected(slow) as connection:
        connection.sendall(SLOW_REQUEST)
        time.sleep(0.1)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    interim, _, reply = received.partition(b"\r\n\r\n")
    assert interim == b"HTTP/1.1 102 Processing"
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in reply


@pytest.mark.parametrize(
    "request_",
    [
        SLOW_REQUEST,
        http("/encode", b"{}")[:-1],
        b"POST /encode HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["while its rows run", "in a body", "in a chunk"],
)
def test_a_client_that_hangs_up_is_counted_as_gone(slow: Server, request_: bytes) -> None:
    with connected(slow) as connection:
        connection.sendall(request_)
        time.sleep(0.1)
    time.sleep(0.1)
    gone = 'vae_requests_total{code="499",model="fake",op="encode",version="1"}'
    assert metrics_of(slow)[gone] == "1.0"
