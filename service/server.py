"""One process that serves: its logging, its models, its application, its uvicorn server."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from math import ceil
from types import FrameType
from typing import Any, cast

import uvicorn
from prometheus_client import disable_created_metrics

from service.app import create_app
from service.http.connection import Connection
from service.http.context import AppContext
from service.http.neighbours import NOBODY, Neighbours
from service.http.shutdown import close_door
from service.memory import keep_freed_memory
from service.models.loader import ModelLoader
from service.models.manager import ModelAdmin, ModelManager
from service.models.store import BundleStore
from service.models.version_policy import Policy
from service.models.versions import VersionState
from service.settings import Settings
from service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

Companion = Callable[[], Coroutine[Any, Any, None]]


class Server(uvicorn.Server):
    """uvicorn, which keeps the gauges of a process fresh, and has a companion.

    The companion is what else this process does on the event loop, from when it accepts connections
    until the last of them is closed. A ``supervised`` process is hurried by nobody but its
    supervisor: a signal to all processes of a service comes to it twice.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        context: AppContext,
        companion: Companion,
        neighbours: Neighbours,
        *,
        supervised: bool,
    ) -> None:
        super().__init__(config)
        self._neighbours = neighbours
        self._adopting: set[asyncio.Task[None]] = set()
        self._told = False  # to leave
        self._notice_seconds = settings.notice_seconds
        self._metrics = context.metrics
        self._shutdown = context.shutdown
        self._companion = companion
        self._supervised = supervised
        self._accompanying: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what start-up made stays; going through it again would pause every request
        self._neighbours.open(self._adopt)

    async def main_loop(self) -> None:
        self._accompanying = asyncio.create_task(self._companion())
        await super().main_loop()

    async def on_tick(self, counter: int) -> bool:
        self._metrics.refresh()
        self._neighbours.beat()
        if await super().on_tick(counter) or self._told:
            self._neighbours.leave()
            self._shutdown.announce(self._notice_seconds)
        return self._shutdown.is_due

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, let requests finish, and end."""
        listeners = [each.fileno() for server in self.servers for each in server.sockets]
        await close_door(listeners, cast("set[Connection]", self.server_state.connections))
        self._neighbours.close()
        await asyncio.gather(*self._adopting)
        await super().shutdown(sockets)
        if self._accompanying:  # a signal may have come before there was one
            self._accompanying.cancel()

    def _adopt(self, connection: socket.socket) -> None:
        """Serve a connection that another process accepted."""
        task = asyncio.create_task(self._settle(connection))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _settle(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._settled, connection)
        except OSError:  # its client is gone
            connection.close()
        finally:
            self._neighbours.took()

    def _settled(self) -> Connection:
        """As uvicorn makes one for each connection, but that it goes nowhere else."""
        made = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        connection = cast("Connection", made)
        connection.settled = True
        return connection

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The first signal begins the shutdown; the second ends the process at once.

        uvicorn's own would have the signal raised again after all is done, and the exit status be
        the signal's. Nor is its ``should_exit`` set: where it is by the end of the start, uvicorn
        closes without the notice, while connections come in already.
        """
        if self._told and not self._supervised:
            os._exit(1)
        self._told = True

    def serve_until_told(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Serve on these sockets, else on the host and port of the configuration; then drain."""
        for stop in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stop, self.handle_exit)  # also before uvicorn listens to any
        self.run(list(sockets) or None)
        self._metrics.refresh()


def create_lone_server(settings: Settings, metrics: Metrics) -> Server:
    """The server of a process that keeps its models by itself, and looks for new ones on SIGHUP.

    Raises BundleError, RuntimeUnusable and UnknownModel as ``ModelLoader.move_in`` does.
    """
    loader = ModelLoader(settings, metrics)
    store, versions = (
        BundleStore(settings.models),
        VersionState(Policy.parse(settings.version_policy)),
    )
    manager = ModelManager(store, versions, loader, metrics.count_load, settings.watch_seconds)
    loader.move_in(manager.first_bundles())

    async def keep() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, manager.ring)
        await manager.watch()

    return create_server(loader, manager, keep, settings, metrics)


def create_server(
    loader: ModelLoader,
    admin: ModelAdmin,
    companion: Companion,
    settings: Settings,
    metrics: Metrics,
    neighbours: Neighbours = NOBODY,
    *,
    supervised: bool = False,
) -> Server:
    """The application over loaded models, in a server."""
    keep_freed_memory()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and tell what nobody asks
    app = create_app(loader.models, settings, metrics, admin)
    context: AppContext = app.state.context
    config = uvicorn.Config(
        app,
        http=partial(Connection, context=context, neighbours=neighbours),  # type: ignore[arg-type]
        host=settings.host,
        port=settings.port,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks where a request came from
        headers=[("X-Content-Type-Options", "nosniff")],  # a browser must not guess what a reply is
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=ceil(settings.drain_seconds),
    )
    return Server(config, settings, context, companion, neighbours, supervised=supervised)
