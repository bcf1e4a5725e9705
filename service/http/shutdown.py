"""How a process stops: it says so first, so that clients go elsewhere, and then closes its port."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, Protocol

FIRST_REQUEST_SECONDS: Final = 1.0  # for connections that were accepted last
POLL_SECONDS: Final = 0.01
MAX_ACCEPTED: Final = 4096


class OpenConnection(Protocol):
    @property
    def awaits_first_request(self) -> bool:
        """Whether this connection is open and has sent no request yet."""


class GracefulShutdown:
    """Whether this process is about to stop: it is not ready then, and every reply closes."""

    def __init__(self) -> None:
        self.announced = False
        self._due_at = 0.0

    def announce(self, notice_seconds: float) -> None:
        """Say that the process stops in ``notice_seconds``. Only the first call counts."""
        if not self.announced:
            self.announced = True
            self._due_at = time.monotonic() + notice_seconds

    @property
    def is_due(self) -> bool:
        """Whether the notice is over."""
        return self.announced and time.monotonic() >= self._due_at


async def stop_accepting(
    sockets: Sequence[socket.socket],
    servers: Sequence[asyncio.AbstractServer],
    serve: Callable[[socket.socket], Awaitable[object]],
    connections: Collection[OpenConnection],
) -> None:
    """Close the port, serve the connections that already waited, and let them send a request.

    Closing a socket resets the connections in its accept queue, although their clients take them
    for open. So the last thing before the close is to accept them. A client that connects in the
    microseconds between the two is reset.
    """
    listeners = [each.dup() for each in sockets]
    for server in servers:
        server.close()
    await asyncio.sleep(POLL_SECONDS)  # until the event loop accepts no more
    for listener in listeners:
        for connection in _accept_and_close(listener):
            with suppress(OSError):  # its client is gone
                await serve(connection)
    deadline = time.monotonic() + FIRST_REQUEST_SECONDS
    while time.monotonic() < deadline and any(c.awaits_first_request for c in connections):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)


def _accept_and_close(listener: socket.socket) -> list[socket.socket]:
    accepted = []
    listener.setblocking(False)
    with listener, suppress(BlockingIOError):
        for _ in range(MAX_ACCEPTED):
            connection, _address = listener.accept()
            connection.setblocking(False)
            accepted.append(connection)
    return accepted
