"""``python -m service``: settings, then one process that serves, or a supervisor of several."""

import logging
import os
import re
import signal
import sys
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from service import keys
from service.errors import UnknownModel
from service.http import tls
from service.http.tls import TlsUnusable
from service.keys import KeysUnusable
from service.runtimes.runtime import RuntimeUnusable
from service.server import create_lone_server
from service.settings import Settings, unknown_variables
from service.telemetry import logging as logs
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import TracingUnusable
from service.workers import cpus, open_files, supervisor
from service.workers.listeners import CannotListen
from service.workers.supervisor import CannotStart
from vae.bundle import BundleError

logger = logging.getLogger("service")

UNUSABLE = (
    BundleError,
    RuntimeUnusable,
    UnknownModel,
    CannotListen,
    CannotStart,
    TracingUnusable,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; the exit status is 2 for bad settings and 1 for bad models."""
    try:
        settings = CliApp.run(
            Settings, cli_args=list(sys.argv[1:] if arguments is None else arguments)
        )
    except (ValidationError, SettingsError) as error:
        print(f"vae-serve: {_explain(error)}", file=sys.stderr)  # noqa: T201
        return 2
    lines = logs.configure(settings)
    for name in unknown_variables(os.environ):
        logger.warning("%s is no setting of this service", name)
    try:
        settings = _with_keys(_with_connections(_with_cpus(settings)))
        tls.check(settings)
    except (KeysUnusable, TlsUnusable) as error:
        print(f"vae-serve: {error}", file=sys.stderr)  # noqa: T201
        return 2
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is somebody to heed it
    try:
        if settings.workers > 1:
            return supervisor.run(settings)
        metrics = Metrics()
        metrics.count_dropped_lines(lambda: lines.dropped)
        create_lone_server(settings, metrics).serve_until_told()
    except UNUSABLE as error:
        print(f"vae-serve: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _with_cpus(settings: Settings) -> Settings:
    """The settings with the workers and threads that were left to the CPUs of this machine."""
    available = cpus.available()
    # One process owns a GPU: a second one would hold every model in its memory again.
    workers = 1 if settings.device == "cuda" else settings.workers
    plan = cpus.plan(workers, settings.threads, available.count)
    logger.info(
        "workers: %d, threads of each: %d, CPUs: %s", plan.workers, plan.threads, available.reason
    )
    return settings.model_copy(update={"workers": plan.workers, "threads": plan.threads})


def _with_connections(settings: Settings) -> Settings:
    """The settings with as many connections as the limit of open files allows."""
    connections = open_files.make_room(settings.max_connections)
    if connections < settings.max_connections:
        logger.warning(
            "max_connections: %d, not %d, by the limit of open files",
            connections,
            settings.max_connections,
        )
    return settings.model_copy(update={"max_connections": connections})


def _with_keys(settings: Settings) -> Settings:
    """The settings with the keys of the files among them, so that no worker reads these again."""
    return settings.model_copy(
        update={
            "api_keys": (*settings.api_keys, *keys.read(settings.api_keys_file)),
            "admin_keys": (*settings.admin_keys, *keys.read(settings.admin_keys_file)),
            "api_keys_file": None,
            "admin_keys_file": None,
        }
    )


def _explain(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):  # of a variable that is a list
        named = re.search(r'field "(\w+)"', str(error))
        name = f"VAE_{named[1]}".upper() if named else "a variable"
        return f'{name} is not a JSON list, such as ["first", "second"]'
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])).replace("_", "-")
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return message
    secret = name.startswith(("api-keys", "admin-keys"))
    return f"--{name}: {message}" + ("" if secret else f", not {first['input']!r}")


if __name__ == "__main__":
    sys.exit(main())
