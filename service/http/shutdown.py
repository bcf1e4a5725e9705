"""How a process stops: it says so first, so that clients go elsewhere, and then closes its port."""

import asyncio
import time
from collections.abc import Collection
from typing import Final, Protocol

FIRST_REQUEST_SECONDS: Final = 1.0  # for connections that were accepted last
POLL_SECONDS: Final = 0.01


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
    listeners: Collection[asyncio.AbstractServer], connections: Collection[OpenConnection]
) -> None:
    """Accept the connections that already wait, close the port, and let them send a request.

    Closing a socket resets the connections in its accept queue, although their clients take them
    for open. A client that connects in the moment between the last accept and the close is reset.
    """
    await asyncio.sleep(POLL_SECONDS)  # one turn of the event loop accepts all that wait
    for listener in listeners:
        listener.close()
    deadline = time.monotonic() + FIRST_REQUEST_SECONDS
    while time.monotonic() < deadline and any(c.awaits_first_request for c in connections):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
