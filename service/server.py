"""One process that serves: its logging, its models, its application, its uvicorn server."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from math import ceil
from typing import Any

import uvicorn
from prometheus_client import disable_created_metrics

from service.app import create_app
from service.catalog import Catalog
from service.home import Home
from service.keeper import Keeper, Steward
from service.metrics import Metrics
from service.policy import Policy
from service.protocol import Connection
from service.settings import Settings
from service.shelf import Shelf

logger = logging.getLogger(__name__)

Companion = Callable[[], Coroutine[Any, Any, None]]


class Server(uvicorn.Server):
    """uvicorn, which keeps the gauges of a process fresh, and has a companion.

    The companion is what else this process does on the event loop, from when it accepts connections
    until the last of them is closed.
    """

    def __init__(self, config: uvicorn.Config, metrics: Metrics, companion: Companion) -> None:
        super().__init__(config)
        self._metrics = metrics
        self._companion = companion

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what start-up made stays; going through it again would pause every request

    async def main_loop(self) -> None:
        self._accompanying = asyncio.create_task(self._companion())
        await super().main_loop()

    async def on_tick(self, counter: int) -> bool:
        self._metrics.refresh()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._accompanying.cancel()

    def serve_until_told(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Serve on these sockets, else on the host and port of the configuration; then drain."""
        for stop in (signal.SIGINT, signal.SIGTERM):
            # uvicorn raises a signal again after it drained; by this handler the exit status is 0,
            # and a signal that comes before uvicorn listens to any is not lost.
            signal.signal(stop, self.handle_exit)
        self.run(list(sockets) or None)
        self._metrics.refresh()


def configure_logging(settings: Settings) -> None:
    """Log to standard error, with the process's number where several write there."""
    process = " [%(process)d]" if settings.workers != 1 else ""
    logging.basicConfig(
        level=settings.log_level.upper(),
        format=f"%(asctime)s %(levelname)s{process} %(name)s: %(message)s",
    )


def create_lone_server(settings: Settings, metrics: Metrics) -> Server:
    """The server of a process that keeps its models by itself, and looks for new ones on SIGHUP.

    Raises BundleError, RuntimeUnusable and UnknownModel as ``Home.move_in`` does.
    """
    home = Home(settings, metrics)
    shelf, catalog = Shelf(settings.models), Catalog(Policy.parse(settings.version_policy))
    keeper = Keeper(shelf, catalog, home, metrics.count_load, settings.watch_seconds)
    home.move_in(keeper.first_bundles())

    async def keep() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, keeper.ring)
        await keeper.watch()

    return create_server(home, keeper, keep, settings, metrics)


def create_server(
    home: Home, steward: Steward, companion: Companion, settings: Settings, metrics: Metrics
) -> Server:
    """The application over loaded models, in a server."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and tell what nobody asks
    app = create_app(home.models, settings, metrics, steward)
    config = uvicorn.Config(
        app,
        http=partial(Connection, reception=app.state.reception),  # type: ignore[arg-type]
        host=settings.host,
        port=settings.port,
        ws="none",
        log_config=None,
        access_log=settings.log_level == "debug",
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=ceil(settings.drain_seconds),
    )
    return Server(config, metrics, companion)
