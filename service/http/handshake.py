"""The TLS handshake of a connection, which counts as a connection and has a deadline.

A server that listens with TLS sees a connection only after its handshake, so that clients that
never finish it are neither counted nor closed in time.
"""

import asyncio
import logging
import ssl
from time import monotonic

from service.http.connection import Connection, make_room

logger = logging.getLogger(__name__)


class TlsHandshake(asyncio.Protocol):
    """A connection until its handshake is done; then ``connection`` takes over."""

    is_idle = True  # it may be closed to make room
    awaits_first_request = True

    def __init__(self, connection: Connection, tls: ssl.SSLContext) -> None:
        self._connection = connection
        self._tls = tls
        self._seconds = connection.context.settings.head_seconds
        self._early = b""  # what was decrypted before the connection took over
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self._lost or hasattr(self, "_transport"):
            return
        self._transport = transport
        self.deadline = monotonic() + self._seconds
        self._connection.context.connection_deadlines.add(self)
        connections = self._connection.server_state.connections
        connections.add(self)  # type: ignore[arg-type]
        if len(connections) > self._connection.context.settings.max_connections:
            make_room(connections, self)
        self._task = self._connection.loop.create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._lost = True
        self._forget()

    async def _run(self) -> None:
        try:
            transport = await self._connection.loop.start_tls(
                self._transport,
                self,
                self._tls,
                server_side=True,
                ssl_handshake_timeout=self._seconds,
            )
        except (OSError, asyncio.CancelledError) as error:  # an SSLError is an OSError
            logger.debug("a TLS handshake failed: %s", error)
            transport = None
        self._forget()
        if transport is None or self._lost:
            self._transport.abort()
            return
        transport.set_protocol(self._connection)
        self._connection.connection_made(transport)
        if self._early:
            self._connection.data_received(self._early)

    def _forget(self) -> None:
        self._connection.context.connection_deadlines.discard(self)
        self._connection.server_state.connections.discard(self)

    def expire(self) -> None:
        self.shutdown()

    def shutdown(self) -> None:
        """Close the connection without an answer."""
        self._forget()
        self._transport.abort()
