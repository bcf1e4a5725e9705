"""The uvicorn server of a process, over its models and its application."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from math import ceil
from types import FrameType
from typing import Any, cast

import uvicorn
from prometheus_client import disable_created_metrics

from service.app import create_app
from service.http.connection import Connection
from service.http.context import AppContext
from service.http.shutdown import stop_accepting
from service.http.tls import tls_options
from service.memory import keep_freed_memory
from service.models.loader import ModelLoader
from service.models.manager import ModelAdmin, ModelManager
from service.models.registry import choose_default
from service.settings import Settings
from service.stop_timeout import StopTimeout
from service.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

Background = Callable[[], Coroutine[Any, Any, None]]


class Server(uvicorn.Server):
    """uvicorn with a background coroutine, fresh gauges and a stop that gives notice first.

    ``background`` runs on the event loop from the first connection to the last. A second signal
    ends the process at once, unless it is ``supervised``: a terminal sends each signal to all
    processes of a service, and the supervisor sends it again.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        context: AppContext,
        background: Background,
        *,
        supervised: bool,
    ) -> None:
        super().__init__(config)
        self.servers: list[asyncio.Server] = []
        self._settings = settings
        self._context = context
        self._tls = tls_options(settings)
        self._metrics = context.metrics
        self._shutdown = context.shutdown
        self._background = background
        self._background_task: asyncio.Task[None] | None = None
        self._supervised = supervised
        self._stop_requested = False
        self._stop_timeout: StopTimeout | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on bound sockets. uvicorn's own would leave TLS handshakes a minute each."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        for each in sockets or ():
            listener = await loop.create_server(
                self._create_connection, sock=each, backlog=self.config.backlog, **self._tls
            )
            self.servers.append(listener)
        self.started = True
        gc.collect()
        gc.freeze()  # garbage collection would otherwise pause requests to visit what stays

    async def main_loop(self) -> None:
        self._background_task = asyncio.create_task(self._background())
        await super().main_loop()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; whether the port is to be closed now."""
        self._metrics.refresh()
        if await super().on_tick(counter) or self._stop_requested:
            self._shutdown.announce(self._settings.notice_seconds)
        return self._shutdown.is_due

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, finish the requests, and close the models."""
        await stop_accepting(
            sockets or (),
            self.servers,
            self._serve_accepted,
            cast("set[Connection]", self.server_state.connections),
        )
        await super().shutdown(sockets)
        if self._background_task:  # None if the signal came before ``main_loop``
            self._background_task.cancel()

    async def _serve_accepted(self, accepted: socket.socket) -> None:
        """Serve a connection that was accepted outside the event loop."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(self._create_connection, accepted, **self._tls)

    def _create_connection(self) -> Connection:
        return Connection(
            self.config, self.server_state, self.lifespan.state, context=self._context
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stop after the first signal; end the process at once after the second.

        uvicorn's own handler would raise the signal again in the end, and the exit status would be
        that of the signal. It would also set ``should_exit``; if that is set during the start,
        uvicorn closes the port without notice.
        """
        if self._stop_requested and not self._supervised:
            os._exit(1)
        self._stop_requested = True
        if self._stop_timeout:
            self._stop_timeout.start()

    def run_until_stopped(
        self, sockets: Sequence[socket.socket], stop_timeout: StopTimeout | None = None
    ) -> None:
        """Serve on bound sockets until a signal comes, then drain.

        The signal starts ``stop_timeout``, which also limits the end of the process after this.
        """
        self._stop_timeout = stop_timeout
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)  # uvicorn does so only once it has started
        self.run(list(sockets))
        self._metrics.refresh()


def create_single_process_server(settings: Settings, metrics: Metrics) -> Server:
    """The server of a service without workers, which looks for new versions by itself.

    Raises BundleError as ``ModelManager.load_initial`` does, RuntimeUnusable if there is no such
    runtime, and UnknownModel if the default model is not among the models.
    """
    loader = ModelLoader(settings, metrics, limit_seconds=settings.start_seconds)
    manager = ModelManager(settings, loader, metrics.count_load)
    names = manager.load_initial(loader.load_initial)
    loader.models.default = choose_default(settings.default_model, names)

    async def watch_models() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, manager.request_rescan)
        await manager.watch()

    return create_server(loader, manager, watch_models, settings, metrics)


def create_server(
    loader: ModelLoader,
    admin: ModelAdmin,
    background: Background,
    settings: Settings,
    metrics: Metrics,
    *,
    supervised: bool = False,
) -> Server:
    """The application over loaded models, in a server."""
    keep_freed_memory()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series
    app = create_app(loader.models, settings, metrics, admin)
    context: AppContext = app.state.context
    config = uvicorn.Config(
        app,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here uses the address of a client
        headers=[("X-Content-Type-Options", "nosniff")],  # browsers must not guess a reply's type
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=ceil(settings.drain_seconds),
    )
    return Server(config, settings, context, background, supervised=supervised)
