"""A request's wish to go on in another protocol, which a server may pass over (RFC 9110, 7.8).

Some clients ask for HTTP/2 in every request.
"""

from collections.abc import Iterable

WISHES = (b"upgrade", b"http2-settings")


def without_upgrade(
    method: bytes, url: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """The head of the same request without its wish; names of headers are in lower case."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            value = b"close" if b"close" in value.lower() else b"keep-alive"
        if name not in WISHES:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
