"""Bytes that make no request are never answered with another request's reply."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.fakes import write_fake_bundle
from tests.servers import Server, serving
from tests.service.http.test_lanes import AUTHORISED, KEY, connected, http, read_replies

ROWS = json.dumps({"inputs": [[1.0] * 20]}).encode()
KEYED = http("/encode", ROWS, AUTHORISED)
LIMITS = ("--head-seconds", "1", "--body-seconds", "1", "--keep-alive-seconds", "1")
STRAY = {
    "an empty line": (b"\r\n\r\n", None),
    "nonsense": (b"NONSENSE\r\n\r\n", b"HTTP/1.1 400 "),
    "empty headers": (
        b"POST /encode HTTP/1.1\r\nHost: a\r\n" + b"A:\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 431 ",
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    write_fake_bundle(models)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--api-keys", KEY)
    with serving(models, *options, *LIMITS) as running:
        yield running


@pytest.mark.parametrize("sent", STRAY)
def test_stray_bytes_are_no_request_of_the_client_before(server: Server, sent: str) -> None:
    stray, answer = STRAY[sent]
    for _ in range(2):  # the second time after the server has seen these bytes
        with connected(server) as keyed:
            keyed.sendall(KEYED)
            assert read_replies(keyed, 1)[0].startswith(b"HTTP/1.1 200 ")
            keyed.sendall(stray)
            keyed.settimeout(0.3)
            _expect(keyed.recv, answer)
        with connected(server) as stranger:
            stranger.sendall(stray)
            stranger.settimeout(0.3)
            _expect(stranger.recv, answer)


def test_an_empty_line_after_each_request_delays_no_reply(server: Server) -> None:
    """RFC 9112, section 2.2: a server ignores an empty line before a request line."""
    with connected(server) as connection:
        for number in range(4):
            connection.sendall(http("/encode", ROWS, AUTHORISED, f"X-Request-Id: r{number}"))
            connection.sendall(b"\r\n")
            assert b"x-request-id: r%d\r\n" % number in read_replies(connection, 1)[0]


@pytest.mark.parametrize(
    "pieces",
    [
        (b"\r\n",),
        (KEYED, b"\r\n"),
        (KEYED, b"\r\n", b"\r\n"),
        (http("/encode", ROWS)[: -len(ROWS)], ROWS),
        (http("/nope", ROWS)[: -len(ROWS)], ROWS),
        (http("/models", ROWS, AUTHORISED)[: -len(ROWS)], ROWS),
        (http("/encode", ROWS, AUTHORISED, "Accept: text/html")[: -len(ROWS)], ROWS),
        (http("/encode", ROWS, AUTHORISED, "Content-Type: text/html")[: -len(ROWS)], ROWS),
    ],
    ids=["one", "after", "twice after", "401", "404", "405", "406", "415"],
)
def test_a_connection_that_goes_silent_is_closed(server: Server, pieces: tuple[bytes, ...]) -> None:
    """Also after bytes that make no request, and after a reply that came before the body did."""
    with connected(server) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.1)
        connection.settimeout(5)
        while connection.recv(65536):
            pass


def test_empty_lines_buy_no_time(server: Server) -> None:
    def send_lines(connection: socket.socket) -> None:
        for _ in range(40):
            connection.sendall(b"\r\n")
            time.sleep(0.1)

    with connected(server) as connection, pytest.raises(ConnectionError):
        send_lines(connection)


def _expect(recv, answer: bytes | None) -> None:  # type: ignore[no-untyped-def]
    if answer is None:
        with pytest.raises(TimeoutError):
            recv(1)
    else:
        assert recv(65536).startswith(answer)
