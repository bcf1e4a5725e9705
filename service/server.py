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
from service.http.shutdown import close_door
from service.models.loader import ModelLoader
from service.models.manager import ModelAdmin, ModelManager
from service.models.registry import choose_default
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
        *,
        supervised: bool,
    ) -> None:
        super().__init__(config)
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

    async def main_loop(self) -> None:
        self._accompanying = asyncio.create_task(self._companion())
        await super().main_loop()

    async def on_tick(self, counter: int) -> bool:
        self._metrics.refresh()
        if await super().on_tick(counter) or self._told:
            self._shutdown.announce(self._notice_seconds)
        return self._shutdown.is_due

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, let requests finish, and end."""
        listeners = [each.fileno() for server in self.servers for each in server.sockets]
        await close_door(listeners, cast("set[Connection]", self.server_state.connections))
        await super().shutdown(sockets)
        if self._accompanying:  # a signal may have come before there was one
            self._accompanying.cancel()

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

    Raises BundleError as ``ModelManager.load_initial`` does, RuntimeUnusable if there is no such
    runtime, and UnknownModel if the default model is not among the models.
    """
    loader = ModelLoader(settings, metrics, limit_seconds=settings.start_seconds)
    manager = ModelManager(settings, loader, metrics.count_load)
    names = manager.load_initial(loader.load_initial)
    loader.models.default = choose_default(settings.default_model, names)

    async def keep() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, manager.request_rescan)
        await manager.watch()

    return create_server(loader, manager, keep, settings, metrics)


def create_server(
    loader: ModelLoader,
    admin: ModelAdmin,
    companion: Companion,
    settings: Settings,
    metrics: Metrics,
    *,
    supervised: bool = False,
) -> Server:
    """The application over loaded models, in a server."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and tell what nobody asks
    app = create_app(loader.models, settings, metrics, admin)
    context: AppContext = app.state.context
    config = uvicorn.Config(
        app,
        http=partial(Connection, context=context),  # type: ignore[arg-type]
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
    return Server(config, settings, context, companion, supervised=supervised)
