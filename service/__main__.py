"""``python -m service``: reads the settings, and runs one server or a supervisor of several."""

import logging
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from service import environment, keys
from service.errors import UnknownModel
from service.http import tls
from service.http.tls import TlsUnusable
from service.keys import KeysUnusable
from service.runtimes.runtime import RuntimeUnusable
from service.server import create_single_process_server
from service.settings import Settings, unknown_variables
from service.stop_timeout import StopTimeout, longest_stop
from service.telemetry import logging as logs
from service.telemetry.logging import LogQueue
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import TracingUnusable
from service.workers import cpus, listeners, open_files, supervisor
from service.workers.listeners import CannotListen
from service.workers.supervisor import CannotStart
from vae.bundle import BundleError

logger = logging.getLogger("service")

CANNOT_SERVE = (
    BundleError,
    RuntimeUnusable,
    UnknownModel,
    CannotListen,
    CannotStart,
    TracingUnusable,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes.

    The exit status is 0 after a signal, 2 for settings that cannot be used, and 1 if the models or
    the port cannot be.
    """
    environment.open_standard_streams()
    links = {name: os.environ.pop(name) for name in _misleading_links(os.environ)}
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        settings = CliApp.run(Settings, cli_args=arguments)
    except (ValidationError, SettingsError) as error:
        return _fail(2, _explain(error, arguments))
    lines = logs.configure(settings)
    _warn_of_variables(links)
    try:
        settings = _with_keys(_with_connections(_with_cpus(settings)))
        tls.context(settings)
    except (KeysUnusable, TlsUnusable) as error:
        return _fail(2, str(error))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the models are loaded
    try:
        if settings.workers > 1:
            return supervisor.run(settings)
        _serve(settings, lines)
    except CANNOT_SERVE as error:
        return _fail(1, str(error))
    return 0


def _serve(settings: Settings, lines: LogQueue) -> None:
    """Serve in this process. The port is bound before the models are loaded, which takes longer."""
    sockets = listeners.bind(settings.host, settings.port)
    metrics = Metrics()
    metrics.count_dropped_lines(lambda: lines.dropped)
    server = create_single_process_server(settings, metrics)
    logger.info("will serve on %s", listeners.url(settings, sockets[0].getsockname()[1]))
    server.run_until_stopped(sockets, StopTimeout(longest_stop(settings)))


def _fail(status: int, message: str) -> int:
    print(f"vae-serve: {logs.escape(message)}", file=sys.stderr)  # noqa: T201
    return status


def _misleading_links(variables: Mapping[str, str]) -> list[str]:
    """Settings that Kubernetes has set for a Service, such as VAE_PORT for one named ``vae``."""
    unknown = unknown_variables(variables)
    return [name for name in environment.service_links(variables) if name not in unknown]


def _warn_of_variables(links: Mapping[str, str]) -> None:
    for name, value in links.items():
        logger.warning("%s=%s is ignored: Kubernetes sets it for a Service", name, value)
    for name in unknown_variables(os.environ):
        logger.warning("%s is not a setting of this service", name)


def _with_cpus(settings: Settings) -> Settings:
    """The settings, with numbers for workers and threads that are ``auto``."""
    available = cpus.available()
    # One process owns a GPU: a second one would hold every model in its memory again.
    workers = 1 if settings.device == "cuda" else settings.workers
    plan = cpus.plan(workers, settings.threads, available.count)
    logger.info(
        "workers: %d, threads of each: %d, CPUs: %s", plan.workers, plan.threads, available.reason
    )
    return settings.model_copy(update={"workers": plan.workers, "threads": plan.threads})


def _with_connections(settings: Settings) -> Settings:
    """The settings, with as many connections as the limit of open files allows."""
    # With TLS as many more may be in their handshakes, which have ``head_seconds``.
    shares = 1 if settings.tls_cert is None else 2
    connections = open_files.make_room(shares * settings.max_connections) // shares
    if connections < settings.max_connections:
        logger.warning(
            "max_connections is %d instead of %d because of the limit of open files",
            connections,
            settings.max_connections,
        )
    return settings.model_copy(update={"max_connections": connections})


def _with_keys(settings: Settings) -> Settings:
    """The settings, with the keys of the key files in them: workers do not read the files again."""
    return settings.model_copy(
        update={
            "api_keys": (*settings.api_keys, *keys.read(settings.api_keys_file)),
            "admin_keys": (*settings.admin_keys, *keys.read(settings.admin_keys_file)),
            "api_keys_file": None,
            "admin_keys_file": None,
        }
    )


def _explain(error: ValidationError | SettingsError, arguments: Sequence[str]) -> str:
    """The first error in one line, with the flag or the variable that caused it."""
    if isinstance(error, SettingsError):  # of a variable that is a list
        named = re.search(r'field "(\w+)"', str(error))
        name = f"VAE_{named[1]}".upper() if named else "a variable"
        return f'{name} is not a JSON list, such as ["first", "second"]'
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    secret = name in ("api_keys", "admin_keys")
    given = "" if secret else f", not {first['input']!r}"
    return f"{_source(name, arguments)}: {message}{given}"


def _source(name: str, arguments: Sequence[str]) -> str:
    """The flag of a setting, or its variable if that is what was given."""
    flag, variable = f"--{name.replace('_', '-')}", f"VAE_{name}".upper()
    is_flag = any(argument.split("=")[0] == flag for argument in arguments)
    return variable if variable in os.environ and not is_flag else flag


if __name__ == "__main__":
    sys.exit(main())
