"""Heads, parsed from exactly their bytes."""

import pytest

from service.errors import HeadTooLarge, Malformed
from service.http.head import CACHED_HEADS, Parser

PARSER = Parser(max_bytes=4096, max_fields=10)
LINE = b"POST /encode?a=1 HTTP/1.1\r\n"


def head(*headers: bytes, line: bytes = LINE) -> bytes:
    return line + b"".join(each + b"\r\n" for each in (b"Host: a", *headers)) + b"\r\n"


def test_a_head_says_what_its_bytes_say() -> None:
    parsed = PARSER.parse(head(b"Content-Length: 7", b"X-Key: 1", b"x-key: 2"))
    assert (parsed.method, parsed.path, parsed.query) == (b"POST", b"/encode", b"a=1")
    assert parsed.length == 7
    assert parsed.headers[b"x-key"] == b"1"  # the first one counts
    assert parsed.keep_alive
    assert not parsed.chunked
    assert not PARSER.parse(head(b"Connection: close")).keep_alive
    assert PARSER.parse(head(b"Transfer-Encoding: chunked")).chunked
    assert PARSER.parse(head(b"Upgrade: h2c", b"Connection: Upgrade")).path == b"/encode"


def test_a_head_that_is_kept_is_that_of_its_bytes_alone() -> None:
    for number in range(2 * CACHED_HEADS):
        assert PARSER.parse(head(b"X-N: %d" % (number % 7))).headers[b"x-n"] == b"%d" % (number % 7)
        assert PARSER.parse(head(b"X-N: %d" % number)).headers[b"x-n"] == b"%d" % number


@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        LINE + b"\r\n",  # no Host
        head(b"Host: b"),
        head(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        head(b"Content-Length: 3", b"Content-Length: 4"),
        head(b"Content-Length: +3"),
        head(b"Transfer-Encoding: gzip"),
        head(b"X: a", b" folded"),
        b"GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
def test_what_is_no_head_is_malformed(data: bytes) -> None:
    for _ in range(2):
        with pytest.raises(Malformed):
            PARSER.parse(data)


def test_large_heads_are_refused() -> None:
    with pytest.raises(HeadTooLarge):
        PARSER.parse(head(b"X: " + b"a" * 4096))
    with pytest.raises(HeadTooLarge):
        PARSER.parse(head(*[b"X-%d: 1" % number for number in range(10)]))


def test_an_http_1_0_request_needs_no_host() -> None:
    assert not PARSER.parse(b"GET / HTTP/1.0\r\n\r\n").keep_alive
