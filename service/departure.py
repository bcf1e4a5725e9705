"""How a process leaves: it says so first, so that nobody asks it something it will not answer."""

import asyncio
import ctypes
import os
import socket
import struct
import sys
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final, Protocol

HANDSHAKE_SECONDS: Final = 0.1  # for who was told to come in and is on the way
FIRST_REQUEST_SECONDS: Final = 1.0  # for who came in and has asked nothing yet
POLL_SECONDS: Final = 0.01

SO_ATTACH_FILTER: Final = 26
SYN: Final = 0x02
# Classic BPF over a TCP header: load the flags; where SYN is set keep nothing, else everything.
DROP_SYN: Final = struct.pack(
    "HBBI" * 4,
    *(0x30, 0, 0, 13),
    *(0x45, 0, 1, SYN),
    *(0x06, 0, 0, 0),
    *(0x06, 0, 0, 0xFFFFFFFF),
)


class Guest(Protocol):
    """A connection."""

    @property
    def is_expected_to_ask(self) -> bool:
        """Whether its first request is still to come."""


class Departure:
    """Whether this process is about to leave: it is not ready then, and every reply closes."""

    def __init__(self) -> None:
        self.announced = False
        self._at = 0.0

    def announce(self, notice_seconds: float) -> None:
        """Once; ``is_due`` so many seconds later."""
        if not self.announced:
            self.announced = True
            self._at = time.monotonic() + notice_seconds

    @property
    def is_due(self) -> bool:
        """Whether the notice is over."""
        return self.announced and time.monotonic() >= self._at


async def close_door(listeners: Iterable[int], guests: Collection[Guest]) -> None:
    """Turn away who knocks from now on, and wait for those who knocked before.

    To close a socket resets the connections that nobody has accepted yet, although their clients
    take them for open and have sent requests. So nobody new is let in, those are accepted, and
    asked what they want, before the sockets may be closed.
    """
    for listener in listeners:
        _turn_away(listener)
    await asyncio.sleep(HANDSHAKE_SECONDS)
    deadline = time.monotonic() + FIRST_REQUEST_SECONDS
    while (  # noqa: ASYNC110 (a connection tells nobody)
        any(guest.is_expected_to_ask for guest in guests) and time.monotonic() < deadline
    ):
        await asyncio.sleep(POLL_SECONDS)


def _turn_away(listener: int) -> None:
    """Have Linux drop what would open a connection to this socket; there is no way elsewhere.

    Some kernels allow it to CAP_NET_ADMIN alone, which a container should not have. Whoever knocks
    there between the last accept and the close is reset, and few do so after the notice.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(DROP_SYN, len(DROP_SYN))
    filters = struct.pack("HP", len(DROP_SYN) // 8, ctypes.addressof(program))
    with socket.socket(fileno=os.dup(listener)) as same, suppress(PermissionError):
        same.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filters)
