import asyncio
import socket
import sys
from dataclasses import dataclass

import pytest

from service import departure
from service.departure import Departure, close_door


def test_it_is_due_when_the_notice_is_over_and_announced_once() -> None:
    leaving = Departure()
    assert not leaving.announced
    assert not leaving.is_due
    leaving.announce(3600)
    leaving.announce(0)
    assert leaving.announced
    assert not leaving.is_due
    at_once = Departure()
    at_once.announce(0)
    assert at_once.is_due


@dataclass
class Guest:
    is_expected_to_ask: bool


def test_those_who_came_in_are_asked_what_they_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "HANDSHAKE_SECONDS", 0)

    async def body() -> None:
        guest = Guest(is_expected_to_ask=True)
        closing = asyncio.create_task(close_door([], {1: guest}.values()))
        await asyncio.sleep(0.05)
        assert not closing.done()
        guest.is_expected_to_ask = False
        await closing
        monkeypatch.setattr(departure, "FIRST_REQUEST_SECONDS", 0.01)
        await close_door([], [Guest(is_expected_to_ask=True)])  # but not for ever

    asyncio.run(asyncio.wait_for(body(), 10))


SO_LOCK_FILTER = 44


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux is asked")
def test_a_kernel_that_refuses_to_turn_anybody_away_holds_up_nothing() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setsockopt(socket.SOL_SOCKET, SO_LOCK_FILTER, 1)
        asyncio.run(close_door([listener.fileno()], []))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux is asked")
def test_who_knocked_before_is_let_in_and_who_knocks_after_is_not() -> None:
    with socket.socket() as listener, socket.socket() as before, socket.socket() as after:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        before.connect(listener.getsockname())
        asyncio.run(close_door([listener.fileno()], []))
        accepted, _ = listener.accept()
        with accepted:
            before.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
        after.settimeout(0.1)
        with pytest.raises(TimeoutError):
            after.connect(listener.getsockname())
