"""The sockets of one port: each worker has its own, bound by the supervisor.

The kernel spreads new connections over the sockets that listen (SO_REUSEPORT). On one socket for
all workers the one that is awake already takes nearly all that come one by one, and keeps them.
"""

import asyncio
import logging

logger = logging.getLogger(__name__)


class CannotListen(Exception):
    """The address cannot be listened on; the message says which and why."""


class Listeners:
    """The sockets of every slot, on one host and port."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._bound: dict[int, asyncio.Server] = {}

    async def find_port(self) -> int:
        """The port, or a free one for 0.

        Raises CannotListen, also when another server listens there: SO_REUSEPORT would share the
        port with it.
        """
        try:
            probe = await self._bind(reuse_port=False)
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {self._host}:{self._port}: {error.strerror}"
            ) from None
        self._port = probe.sockets[0].getsockname()[1]
        probe.close()
        return self._port

    async def open(self, slot: int) -> tuple[int, ...]:
        """Descriptors of the slot's sockets, one for each address of the host.

        They do not listen yet, so that nobody connects before somebody can answer. Those that stay
        open when a worker dies keep what connects for the worker that comes next.
        """
        if slot not in self._bound:
            self._bound[slot] = await self._bind(reuse_port=True)
        return tuple(listener.fileno() for listener in self._bound[slot].sockets)

    def close(self, slot: int) -> None:
        """Leave the connections that come to the other slots."""
        if slot in self._bound:
            self._bound.pop(slot).close()

    def close_all(self) -> None:
        """Leave the port."""
        for slot in list(self._bound):
            self.close(slot)

    async def _bind(self, *, reuse_port: bool) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            asyncio.Protocol, self._host, self._port, reuse_port=reuse_port, start_serving=False
        )
