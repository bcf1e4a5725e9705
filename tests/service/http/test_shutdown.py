import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from service.http import shutdown
from service.http.shutdown import GracefulShutdown, close_door


def test_it_is_due_when_the_notice_is_over_and_announced_once() -> None:
    leaving = GracefulShutdown()
    assert not leaving.announced
    assert not leaving.is_due
    leaving.announce(3600)
    leaving.announce(0)
    assert leaving.announced
    assert not leaving.is_due
    at_once = GracefulShutdown()
    at_once.announce(0)
    assert at_once.is_due


class Guest:
    """A connection, of which this is the server's socket."""

    def __init__(self, socket: socket.socket) -> None:
        self.is_expected_to_ask = True
        self.transport: Any = self
        self._socket = socket

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self._socket


def test_those_who_came_in_are_asked_what_they_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "HANDSHAKE_SECONDS", 0)

    async def body(guest: Guest) -> None:
        closing = asyncio.create_task(close_door([], {1: guest}.values()))
        await asyncio.sleep(0.05)
        assert not closing.done()
        guest.is_expected_to_ask = False
        await closing
        monkeypatch.setattr(shutdown, "FIRST_REQUEST_SECONDS", 0.01)
        guest.is_expected_to_ask = True
        await close_door([], [guest])  # but not for ever

    with socket.socket() as connection:
        asyncio.run(asyncio.wait_for(body(Guest(connection)), 10))


linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux is asked")
SO_LOCK_FILTER = 44
LISTENERS = [  # family, address, and whether the kernel refuses a filter
    (family, address, locked)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
    for locked in (False, True)
]


@contextmanager
def listening(family: socket.AddressFamily, address: str, locked: bool) -> Iterator[socket.socket]:
    with socket.socket(family) as listener:
        try:
            listener.bind((address, 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
        listener.listen()
        if locked:
            listener.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
        yield listener


@linux
@pytest.mark.parametrize(("family", "address", "locked"), LISTENERS)
def test_who_knocked_before_is_let_in_and_who_knocks_after_is_not(
    family: socket.AddressFamily, address: str, locked: bool
) -> None:
    with (
        listening(family, address, locked) as listener,
        socket.socket(family) as before,
        socket.socket(family) as after,
    ):
        before.connect(listener.getsockname())
        asyncio.run(close_door([listener.fileno()], []))
        accepted, _ = listener.accept()
        with accepted:
            before.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
        after.settimeout(0.1)
        with pytest.raises(TimeoutError):
            after.connect(listener.getsockname())


@linux
def test_who_came_in_while_others_were_turned_away_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutdown, "FIRST_REQUEST_SECONDS", 0)
    with (
        listening(socket.AF_INET, "127.0.0.1", locked=True) as listener,
        socket.socket() as client,
    ):
        asyncio.run(close_door([listener.fileno()], []))
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, shutdown.MOST_HOPS)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
            client.sendall(b"hello")
            accepted.settimeout(0.05)
            with pytest.raises(TimeoutError):
                accepted.recv(5)
            asyncio.run(close_door([], [Guest(accepted)]))
            accepted.settimeout(20)
            assert accepted.recv(5) == b"hello"  # it is sent again
