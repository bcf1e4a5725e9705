"""The head of an HTTP/1.1 request: its line and its headers.

The head is parsed from exactly its bytes, up to and including the empty line, by a parser that sees
nothing else. So a head depends on no other bytes of its connection.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import httptools
from httptools import HttpParserError, HttpParserUpgrade

from service.errors import HeadTooLarge, Malformed

MAX_LENGTH_DIGITS: Final = 18
CACHED_HEADS: Final = 1024
CACHED_BYTES: Final = 2048
Headers = Mapping[bytes, bytes]


class Head:
    """What a head says. Header names are in lower case; of a repeated header the first counts.

    ``length`` is the Content-Length in bytes, 0 without one. ``raw`` has all headers in order, as
    ASGI wants them.
    """

    __slots__ = (
        "admission",
        "chunked",
        "expects_continue",
        "headers",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "raw",
        "url",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        url: bytes,
        raw: list[tuple[bytes, bytes]],
        *,
        version: str = "1.1",
        keep_alive: bool = True,
    ) -> None:
        self.method = method
        self.url = url
        self.version = version
        self.keep_alive = keep_alive
        self.raw = raw
        self.headers: Headers = dict(reversed(raw))
        self.admission: Any = None  # what inference.py decides of this head, once it was accepted
        self.path, _, self.query = url.partition(b"?")
        self.length = _content_length(self.headers)
        self.chunked = b"transfer-encoding" in self.headers
        self.expects_continue = self.headers.get(b"expect", b"").lower() == b"100-continue"

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> "Head":
        """The head of a request that came through an ASGI server. Raises Malformed."""
        url = scope["path"].encode() + b"?" + scope["query_string"]
        return cls(scope["method"].encode(), url, list(scope["headers"]))


class Parser:
    """Parses heads within limits.

    ``max_bytes`` bounds the head with its empty line, ``max_fields`` the number of its headers.
    Clients send the same head with every request of a kind, so short heads are kept: parsing is a
    function of the bytes alone.
    """

    def __init__(self, max_bytes: int, max_fields: int) -> None:
        self.max_bytes = max_bytes
        self.max_fields = max_fields
        self._parse_cached = lru_cache(maxsize=CACHED_HEADS)(self._parse)

    def parse(self, data: bytes) -> Head:
        """The head whose bytes are ``data``. Raises Malformed and HeadTooLarge."""
        if len(data) <= CACHED_BYTES:
            return self._parse_cached(data)
        return self._parse(data)

    def _parse(self, data: bytes) -> Head:
        self.check_size(len(data))
        fields = _Fields()
        parser = fields.parser = httptools.HttpRequestParser(fields)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # a server may ignore the request to change the protocol (RFC 9110, 7.8)
        except HttpParserError as error:
            raise Malformed(f"the request is not HTTP/1.1: {error}") from None
        finally:
            fields.parser = None  # or the two would keep each other
        if not fields.complete:
            raise Malformed("the request is not HTTP/1.1")
        if len(fields.headers) > self.max_fields:
            raise self._too_large(f"{len(fields.headers)} headers")
        version = parser.get_http_version()
        check_host(fields.headers, version)
        return Head(
            parser.get_method(),
            fields.url,
            fields.headers,
            version=version,
            keep_alive=fields.keep_alive,
        )

    def check_size(self, size: int) -> None:
        """Raises HeadTooLarge if a head of ``size`` bytes exceeds the limit."""
        if size > self.max_bytes:
            raise self._too_large(f"{size} bytes or more")

    def _too_large(self, given: str) -> HeadTooLarge:
        return HeadTooLarge(
            "the head of the request is too large",
            expected=f"at most {self.max_bytes} bytes and {self.max_fields} headers",
            given=given,
        )


class _Fields:
    """Collects what the parser reports of one head."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.keep_alive = False
        self.parser: httptools.HttpRequestParser | None = None

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True
        if self.parser is not None:
            # Now, since the parser forgets it at the end of a request without a body.
            self.keep_alive = self.parser.should_keep_alive()


def check_host(headers: Iterable[tuple[bytes, bytes]], version: str) -> None:
    """Raises Malformed unless there is one Host, or none in HTTP/1.0 (RFC 9112, section 3.2)."""
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version != "1.0"):
        raise Malformed("the request has no single Host", expected="one Host header", given=hosts)


def _content_length(headers: Headers) -> int:
    """Raises Malformed unless Content-Length is a whole number."""
    declared = headers.get(b"content-length")
    if declared is None:
        return 0
    if not declared.isdigit():
        raise Malformed("Content-Length is not a number", given=declared.decode("latin-1"))
    return int(declared) if len(declared) <= MAX_LENGTH_DIGITS else 10**MAX_LENGTH_DIGITS
