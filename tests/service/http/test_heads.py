"""Requests whose head came before: answered without the parser, and exactly as with it."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from service.http.endpoint import Admission
from service.http.heads import LONGEST, MOST, Heads, Opening
from service.http.target import Target
from service.models.verbs import VERBS
from service.wire.formats import JSON
from tests.fakes import write_fake_bundle
from tests.servers import Server, serving
from tests.service.http.test_lanes import AUTHORISED, KEY, comparable, connected, http, read_replies

LOW, HIGH = ([[value] * 20] for value in (11, 99))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    write_fake_bundle(models)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--api-keys", KEY)
    with serving(models, *options) as running:
        yield running


def encode(rows: list[list[int]], *headers: str) -> bytes:
    return http("/encode", json.dumps({"inputs": rows}).encode(), *headers)


def exchange(connection: socket.socket, *pieces: bytes) -> bytes:
    for piece in pieces:
        connection.sendall(piece)
        time.sleep(0.02)  # so that each comes as a segment of its own
    return comparable(read_replies(connection, 1)[0])


def test_the_same_head_again_answers_the_new_body(server: Server) -> None:
    low, high = (encode(rows, AUTHORISED) for rows in (LOW, HIGH))
    assert len(low) == len(high)
    with connected(server) as connection:
        replies = [exchange(connection, request) for request in (low, high, low, high)]
    assert replies[:2] == replies[2:]
    assert replies[0] != replies[1]
    assert all(b"200 OK" in reply for reply in replies)


def test_a_known_head_whose_body_comes_in_pieces_or_with_the_next_request(server: Server) -> None:
    low, high = (encode(rows, AUTHORISED) for rows in (LOW, HIGH))
    with connected(server) as connection:
        known = [exchange(connection, request) for request in (low, high)]
        assert exchange(connection, low[:-7], low[-7:]) == known[0]
        assert exchange(connection, high[:30], high[30:]) == known[1]
        connection.sendall(low + high + low)
        together = [comparable(reply) for reply in read_replies(connection, 3)]
        assert together == [known[0], known[1], known[0]]
        assert exchange(connection, high) == known[1]


def test_a_head_that_was_refused_stays_refused(server: Server) -> None:
    with connected(server) as connection:
        for _ in range(3):
            assert b"401 Unauthorized" in exchange(connection, encode(LOW, "X-API-Key: k-two"))
            assert b"200 OK" in exchange(connection, encode(LOW, AUTHORISED))


def test_a_known_head_that_asks_to_close_closes(server: Server) -> None:
    for _ in range(3):
        with connected(server) as connection:
            reply = exchange(connection, encode(LOW, AUTHORISED, "Connection: close"))
            assert b"connection: close" in reply
            assert connection.recv(1) == b""


def test_bytes_that_only_look_like_a_known_head_are_parsed(server: Server) -> None:
    request = encode(LOW, AUTHORISED)
    with connected(server) as connection:
        exchange(connection, request)
        exchange(connection, request)
        connection.sendall(request.replace(b"POST", b"PO\x00T"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 Bad Request")


def opening(**head: bytes) -> Opening:
    names = {name.replace("_", "-").encode(): value for name, value in head.items()}
    return Opening(Target(VERBS[0]), b"", names, True, Admission(JSON, JSON, 1.0), 3)


def test_heads_that_hardly_come_again_are_not_kept() -> None:
    heads = Heads()
    heads.remember(b"a", opening(x_request_id=b"1"))
    heads.remember(b"b", opening(traceparent=b"00-1"))
    heads.remember(b"c" * (LONGEST + 1), opening())
    assert [heads.get(head) for head in (b"a", b"b", b"c" * (LONGEST + 1))] == [None] * 3


def test_heads_are_bounded() -> None:
    heads = Heads()
    for number in range(MOST + 1):
        heads.remember(b"%d" % number, opening())
    assert heads.get(b"0") is None
    assert heads.get(b"%d" % MOST) == opening()
