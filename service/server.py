"""One process that serves: its logging, its models, its application, its uvicorn server."""

import gc
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from math import ceil

import uvicorn
from prometheus_client import disable_created_metrics

from service import repository
from service.app import create_app
from service.metrics import Metrics
from service.protocol import Connection
from service.settings import Settings


class Server(uvicorn.Server):
    """uvicorn, which says when it accepts connections and keeps the gauges of a process fresh."""

    def __init__(
        self, config: uvicorn.Config, metrics: Metrics, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._metrics = metrics
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what start-up made stays; going through it again would pause every request
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # a tick is a tenth of a second
            self._metrics.refresh()
        return await super().on_tick(counter)

    def serve_until_told(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Serve on these sockets, else on the host and port of the configuration; then drain."""
        for stop in (signal.SIGINT, signal.SIGTERM):
            # uvicorn raises a signal again after it drained; by this handler the exit status is 0,
            # and a signal that comes before uvicorn listens to any is not lost.
            signal.signal(stop, self.handle_exit)
        self.run(list(sockets) or None)


def configure_logging(settings: Settings) -> None:
    """Log to standard error, with the process's number where several write there."""
    process = " [%(process)d]" if settings.workers != 1 else ""
    logging.basicConfig(
        level=settings.log_level.upper(),
        format=f"%(asctime)s %(levelname)s{process} %(name)s: %(message)s",
    )


def create_server(
    settings: Settings, metrics: Metrics, on_ready: Callable[[], None] = lambda: None
) -> Server:
    """Load the models and put the application over them.

    Raises BundleError and RuntimeUnusable as ``repository.load`` does.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and tell what nobody asks
    models = repository.load(settings, metrics)
    app = create_app(models, settings, metrics)
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
    return Server(config, metrics, on_ready)
