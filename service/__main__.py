"""``python -m service``: settings, load the models, create the app, serve."""

import logging
import signal
import sys
from collections.abc import Sequence

import uvicorn
from prometheus_client import disable_created_metrics
from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from service import repository
from service.app import create_app
from service.metrics import Metrics
from service.runtimes.runtime import RuntimeUnusable
from service.settings import Settings
from vae.bundle import BundleError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; the exit status is 2 for bad settings and 1 for bad models."""
    try:
        settings = CliApp.run(
            Settings, cli_args=list(sys.argv[1:] if arguments is None else arguments)
        )
    except (ValidationError, SettingsError) as error:
        print(f"vae-serve: {_explain(error)}", file=sys.stderr)  # noqa: T201
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series and tell what nobody asks
    metrics = Metrics()
    try:
        models = repository.load(settings, metrics)
    except (BundleError, RuntimeUnusable) as error:
        print(f"vae-serve: {error}", file=sys.stderr)  # noqa: T201
        return 1
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(models, settings, metrics),
            host=settings.host,
            port=settings.port,
            ws="none",
            log_config=None,
            access_log=settings.log_level == "debug",
            server_header=False,
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=int(settings.drain_seconds),
        )
    )
    for stop in (signal.SIGINT, signal.SIGTERM):
        # uvicorn drains on a signal and raises it again afterwards: the exit status is to be 0.
        signal.signal(stop, lambda *_: None)
    server.run()
    return 0


def _explain(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        return str(error)
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])).replace("_", "-")
    return f"--{name}: {first['msg']}, not {first['input']!r}" if name else first["msg"]


if __name__ == "__main__":
    sys.exit(main())
