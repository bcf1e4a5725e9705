"""Heads of requests that were admitted: what they decided is not decided again.

A client sends the same head with every request of a kind, byte for byte. Of such a request nothing
is left to find out but its body, so neither the parser nor the door is asked a second time.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from service.http.endpoint import Admission
from service.http.target import Target

MOST: Final = 1024
LONGEST: Final = 2048
ONCE: Final = (b"x-request-id", b"traceparent")  # headers of another value in each request


class Opening(NamedTuple):
    """What the parser and the door made of a head; ``length`` is that of the body, in bytes."""

    target: Target
    query: bytes
    head: Mapping[bytes, bytes]
    keep_alive: bool
    admission: Admission
    length: int


class Heads:
    """Openings by the bytes of their heads, which end with the empty line.

    Only of requests that passed the door; the keys in them are as good as long as the settings.
    """

    def __init__(self) -> None:
        self._openings: dict[bytes, Opening] = {}
        self.get = self._openings.get

    def remember(self, head: bytes, opening: Opening) -> None:
        """Keep it, unless it will hardly come again. When there are too many, start anew."""
        if len(head) > LONGEST or any(name in opening.head for name in ONCE):
            return
        if len(self._openings) == MOST:
            self._openings.clear()
        self._openings[head] = opening
