"""What is decided of a request by its head alone, the same in both lanes.

A head maps lower-case header names to values, as bytes; of a header that is sent twice the first
counts.
"""

import itertools
import re
import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from service.errors import Malformed, TooLarge, Unauthorized
from service.keys import digest

Head = Mapping[bytes, bytes]

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def head_of(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """The head of a list of headers."""
    return dict(reversed(list(headers)))


class RequestIds:
    """Gives each request its id: the client's X-Request-Id, or a new one."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6).encode()
        self._numbers = itertools.count()

    def of(self, head: Head) -> bytes:
        """The client's id goes into headers and logs, so only a harmless one is taken over."""
        given = head.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given
        return b"%b-%d" % (self._prefix, next(self._numbers))


class ApiKeys:
    """The keys that open every route but health; none means that none is asked for."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [digest(key) for key in keys]

    def __bool__(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._digests)

    def check(self, head: Head) -> None:
        """Raises Unauthorized unless the head presents one of the keys."""
        if not self._digests:
            return
        key = _presented_key(head)
        if not key or not self._is_known(key):  # an empty key in the settings opens nothing
            raise Unauthorized(
                "the API key is missing or unknown",
                expected="X-API-Key: <key> or Authorization: Bearer <key>",
            )

    def _is_known(self, key: bytes) -> bool:
        # Digests have one length and every one is compared, so that time tells nothing of a key.
        presented = sha256(key).digest()
        return sum(compare_digest(presented, known) for known in self._digests) > 0


def _presented_key(head: Head) -> bytes:
    scheme, _, token = head.get(b"authorization", b"").partition(b" ")
    return head.get(b"x-api-key") or (token if scheme.lower() == b"bearer" else b"")


def check_length(head: Head, max_bytes: int) -> None:
    """Raises TooLarge for a Content-Length over the limit, and Malformed for one that is none."""
    declared = head.get(b"content-length", b"0")
    if not declared.isdigit():
        raise Malformed("Content-Length is not a number", given=declared.decode("latin-1"))
    if len(declared) > 18 or int(declared) > max_bytes:
        raise too_large(declared.decode(), max_bytes)


def too_large(given: int | str, max_bytes: int) -> TooLarge:
    """The error for a body over the limit."""
    return TooLarge("the body is too large", expected=f"at most {max_bytes} bytes", given=given)
