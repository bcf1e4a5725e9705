"""API keys: how they are configured, and whether a request presents one.

A key is configured in clear or as a digest, among the settings or in a file. A digest is written
``sha256:`` and 64 hexadecimal digits. A plain SHA-256 is enough for keys that are random and long,
since nobody can guess them; for passwords it would not be.
"""

from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest

from service.errors import Unauthorized
from service.http.head import Headers
from service.keys import digest


class ApiKeys:
    """The keys that open routes. Without any key, every request is let in."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [digest(key) for key in keys]

    def __bool__(self) -> bool:
        """Whether a key is required."""
        return bool(self._digests)

    def check(self, headers: Headers) -> None:
        """Raises Unauthorized unless X-API-Key or Authorization presents one of the keys."""
        if not self._digests:
            return
        key = _presented_key(headers)
        if not key or not self._is_known(key):  # an empty key in the settings opens nothing
            raise Unauthorized(
                "the API key is missing or unknown",
                expected="X-API-Key: <key> or Authorization: Bearer <key>",
            )

    def _is_known(self, key: bytes) -> bool:
        # Digests have one length and each is compared, so that the time taken tells nothing.
        presented = sha256(key).digest()
        return sum(compare_digest(presented, known) for known in self._digests) > 0


def _presented_key(headers: Headers) -> bytes:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return headers.get(b"x-api-key") or (token if scheme.lower() == b"bearer" else b"")
