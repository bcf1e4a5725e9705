import asyncio
import socket

import pytest

from service.workers.listeners import CannotListen, Listeners, bind, format_address
from tests.servers import free_port


def connects(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_every_slot_has_its_own_socket_on_one_port() -> None:
    async def body() -> None:
        listeners = Listeners("127.0.0.1", 0)
        port = await listeners.find_port()
        (first,), (second,) = listeners.open(0), listeners.open(1)
        assert first != second
        assert listeners.open(0) == (first,)
        assert not connects(port)  # bound, but nobody could answer
        with socket.fromfd(first, socket.AF_INET, socket.SOCK_STREAM) as worker:
            assert worker.getsockname()[1] == port
            worker.listen()
            assert connects(port)
        assert connects(port)  # the worker is gone; the next one finds the connection waiting
        listeners.close(0)
        assert not connects(port)
        listeners.close_all()

    asyncio.run(body())


def test_a_port_in_use_is_refused_also_when_its_owner_would_share_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: .*in use"):
            asyncio.run(Listeners("127.0.0.1", port).find_port())


def test_a_host_that_is_not_here_is_refused() -> None:
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1"):
        asyncio.run(Listeners("192.0.2.1", free_port()).find_port())


def test_a_port_that_becomes_free_is_waited_for() -> None:
    async def body() -> None:
        other = socket.create_server(("127.0.0.1", 0))
        port = other.getsockname()[1]
        asyncio.get_running_loop().call_later(0.3, other.close)
        assert await Listeners("127.0.0.1", port).find_port(wait_seconds=10) == port

    asyncio.run(body())


@pytest.mark.parametrize("host", ["", "localhost"])
def test_all_addresses_of_a_host_have_the_same_free_port(host: str) -> None:
    sockets = bind(host, 0)
    assert len({listener.getsockname()[1] for listener in sockets}) == 1
    for listener in sockets:
        listener.close()


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert format_address("::", 8000) == "[::]:8000"
    assert format_address("127.0.0.1", 8000) == "127.0.0.1:8000"
    with pytest.raises(CannotListen, match=r"\[2001:db8::1\]:8000: "):
        bind("2001:db8::1", 8000)
