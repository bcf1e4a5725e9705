"""What a client may send and how long it may take, on real sockets, in both lanes."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.fakes import write_fake_bundle
from tests.servers import Server, serving
from tests.service.http.test_entries import connected, http, read_replies

X = [[float(i % 7) for i in range(20)]]
GOOD = http("/encode", json.dumps({"inputs": X}).encode())
SECONDS = 1.0
LIMITS = (
    *("--head-seconds", str(SECONDS), "--body-seconds", str(SECONDS), "--min-body-rate", "1000"),
    *("--write-seconds", str(SECONDS), "--max-connections", "20", "--max-body-bytes", "9000"),
    *("--max-head-bytes", "2000", "--max-head-fields", "20", "--max-request-rows", "8000"),
)


@pytest.fixture(scope="module", params=["--no-asgi-only", "--asgi-only"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    write_fake_bundle(models)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--keep-alive-seconds", "60")
    with serving(models, *options, *LIMITS, request.param) as running:
        yield running


def until_closed(connection: socket.socket) -> tuple[bytes, float]:
    """What still comes, and the seconds until the server closes."""
    started, data = time.monotonic(), b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data, time.monotonic() - started


def assert_serves(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(GOOD)
        assert read_replies(connection, 1)[0].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (b"", b""),
        (b"POST /enc", b"HTTP/1.1 408 Request Timeout"),
        (b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Le", b"HTTP/1.1 408 Request Timeout"),
        (GOOD[:-3], b"HTTP/1.1 408 Request Timeout"),
        (
            b"POST /encode HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
            b"HTTP/1.1 408",
        ),
    ],
    ids=["nothing", "in the line", "in the head", "in the body", "in a chunk"],
)
def test_a_client_that_stops_is_told_and_left(server: Server, sent: bytes, reply: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(sent)
        data, seconds = until_closed(connection)
    assert data.startswith(reply)
    assert SECONDS / 2 < seconds < SECONDS + 2
    assert (b"application/problem+json" in data and b"x-request-id: " in data) == bool(reply)
    assert_serves(server)


def test_drops_do_not_buy_time_for_a_head(server: Server) -> None:
    with connected(server) as connection:
        started = time.monotonic()
        connection.sendall(b"POST /encode HTTP/1.1\r\n")
        with suppress(ConnectionError):
            for number in range(100):
                connection.sendall(b"X-%d: 1\r\n" % number)
                time.sleep(0.1)
        assert time.monotonic() - started < SECONDS + 3


def test_a_body_that_keeps_its_rate_may_take_longer(server: Server) -> None:
    request = http("/encode", json.dumps({"inputs": X}).encode().rjust(6000))
    with connected(server) as connection:
        for start in range(0, len(request), 1000):
            connection.sendall(request[start : start + 1000])
            time.sleep(0.3)
        assert read_replies(connection, 1)[0].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        b"POST /encode HTTP/1.1\r\nX-Long: " + b"a" * 2100 + b"\r\n\r\n",
        b"POST /encode HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(30)) + b"\r\n",
        b"POST /encode HTTP/1.1\r\nX-Endless: " + b"a" * 2100,
        b"GET /" + b"a" * 2100,
        b"GET /" + b"a" * 2100 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["a long header", "many headers", "no end", "a url without end", "a long url"],
)
def test_a_head_that_is_too_large_is_cut(server: Server, head: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(head[:9])
        time.sleep(0.05)
        connection.sendall(head[9:])
        data, seconds = until_closed(connection)
    assert data.startswith(b"HTTP/1.1 431 ")
    assert seconds < SECONDS / 2
    assert_serves(server)


def test_a_head_that_comes_in_one_piece_is_cut_as_well(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"POST /encode HTTP/1.1\r\nX-Endless: " + b"a" * 2100)
        data, seconds = until_closed(connection)
    assert data.startswith(b"HTTP/1.1 431 ")
    assert seconds < SECONDS / 2


def test_what_came_before_in_the_same_piece_is_not_counted(server: Server) -> None:
    long = http("/encode", json.dumps({"inputs": X}).encode().rjust(3000))
    with connected(server) as connection:
        connection.sendall(long + GOOD[:20])
        time.sleep(0.1)
        connection.sendall(GOOD[20:])
        for reply in read_replies(connection, 2):
            assert reply.startswith(b"HTTP/1.1 200")


def test_a_body_that_nobody_wants_is_read_no_further(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        assert read_replies(connection, 1)[0].startswith(b"HTTP/1.1 413")
        sent = 0
        with suppress(ConnectionError):
            while sent < 90_000_000:
                connection.sendall(b"x" * 100_000)
                sent += 100_000
    assert sent < 60_000_000  # what the buffers on the way hold, and no more


def test_replies_that_nobody_reads_are_dropped(server: Server) -> None:
    body = json.dumps({"n": 8000, "seed": 1}).encode()
    with connected(server) as connection:
        connection.sendall(http("/sample", body) * 10)
        time.sleep(SECONDS + 2.5)
        with suppress(BrokenPipeError), pytest.raises(ConnectionResetError):
            connection.send(b"x")  # the kernel, too, has let go
        data, _ = until_closed(connection)
    length = int(re.findall(rb"content-length: (\d+)", data)[0])
    assert len(data) < 7 * length  # what the buffers on the way hold, and no more
    assert_serves(server)


def test_a_new_connection_takes_the_place_of_the_longest_idle(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(20)]
    try:
        for connection in idle:
            connection.sendall(GOOD)
            read_replies(connection, 1)
        assert_serves(server)
        assert idle[0].recv(1) == b""
        idle[-1].sendall(GOOD)
        assert read_replies(idle[-1], 1)[0].startswith(b"HTTP/1.1 200")
    finally:
        for connection in idle:
            connection.close()


def test_more_connections_than_there_may_be_are_refused(server: Server) -> None:
    time.sleep(0.1)  # for those of other tests to be gone
    busy = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(20)]
    try:
        for connection in busy:
            connection.sendall(GOOD[:-1])
        time.sleep(0.2)
        with connected(server) as connection:
            data, _ = until_closed(connection)
        assert data.startswith(b"HTTP/1.1 503 ")
        for connection in busy:
            connection.sendall(GOOD[-1:])
            assert read_replies(connection, 1)[0].startswith(b"HTTP/1.1 200")
    finally:
        for connection in busy:
            connection.close()
