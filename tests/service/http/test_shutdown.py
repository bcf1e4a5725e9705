"""How a process stops: the notice, and the connections that were accepted last."""

import asyncio
import socket
from dataclasses import dataclass

import pytest

from service.http import shutdown
from service.http.shutdown import GracefulShutdown, stop_accepting


def test_it_is_due_when_the_notice_is_over_and_announced_once() -> None:
    stopping = GracefulShutdown()
    assert not stopping.announced
    assert not stopping.is_due
    stopping.announce(3600)
    stopping.announce(0)
    assert stopping.announced
    assert not stopping.is_due
    at_once = GracefulShutdown()
    at_once.announce(0)
    assert at_once.is_due


@dataclass
class OpenConnection:
    awaits_first_request: bool = True


def test_a_connection_gets_time_for_its_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(connection: OpenConnection) -> None:
        closing = asyncio.create_task(stop_accepting([], [], asyncio.sleep, [connection]))
        await asyncio.sleep(0.1)
        assert not closing.done()
        connection.awaits_first_request = False
        await closing
        monkeypatch.setattr(shutdown, "FIRST_REQUEST_SECONDS", 0.01)
        connection.awaits_first_request = True
        await stop_accepting([], [], asyncio.sleep, [connection])  # but not for ever

    asyncio.run(asyncio.wait_for(body(OpenConnection()), 10))


def test_connections_that_wait_in_the_accept_queue_are_served() -> None:
    served = []

    async def serve(connection: socket.socket) -> None:
        served.append(connection)

    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
            address = listener.getsockname()
            clients = [socket.create_connection(address) for _ in range(20)]
            listening = listener.dup()
        with listening:
            await stop_accepting([listening], [], serve, [])
        assert len(served) == 20
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        for each in (*clients, *served):
            each.close()

    asyncio.run(asyncio.wait_for(body(), 10))
