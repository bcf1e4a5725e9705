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
IP_MINTTL: Final = 21
IPV6_MINHOPCOUNT: Final = 73
MOST_HOPS: Final = 255
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

    transport: asyncio.Transport

    @property
    def is_expected_to_ask(self) -> bool:
        """Whether its first request is still to come."""


class GracefulShutdown:
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
    while expected := [guest for guest in guests if guest.is_expected_to_ask]:
        for guest in expected:
            _hear(guest)
        if time.monotonic() >= deadline:
            return
        await asyncio.sleep(POLL_SECONDS)


def _turn_away(listener: int) -> None:
    """Have Linux drop what would open a connection to this socket; there is no way elsewhere.

    By a filter. Some kernels allow that to CAP_NET_ADMIN alone, which a container should not have:
    there, only packets are let in that can have passed no router (RFC 5082). From the same network
    some such do come, of few systems; who knocks with one between the last accept and the close is
    reset.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(DROP_SYN, len(DROP_SYN))
    filters = struct.pack("HP", len(DROP_SYN) // 8, ctypes.addressof(program))
    with _copy(listener) as same:
        try:
            same.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filters)
        except OSError:
            _let_in(same, hops=MOST_HOPS)


def _hear(guest: Guest) -> None:
    """A connection that was being made when its listener turned others away does so as well."""
    if sys.platform != "linux":
        return
    with _copy(guest.transport.get_extra_info("socket").fileno()) as same:
        _let_in(same, hops=0)


def _let_in(same: socket.socket, *, hops: int) -> None:
    """Only packets with so many hops left, where the kernel knows how to."""
    with suppress(OSError):
        same.setsockopt(socket.IPPROTO_IP, IP_MINTTL, hops)  # of IPv6 sockets, too: both may come
        if same.family == socket.AF_INET6:
            same.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, hops)


def _copy(descriptor: int) -> socket.socket:
    return socket.socket(fileno=os.dup(descriptor))
