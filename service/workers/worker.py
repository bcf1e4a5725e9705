"""``python -m service.workers.worker``: one of several processes that serve on one port.

Only the supervisor starts it. Standard input is a socket to the supervisor: the first line is the
WorkerConfig, and then the socket is a channel (``channel.py``) for the WorkerAgent. If the other
end closes, the supervisor has ended, and this process drains and ends, too.
"""

import os
import select
import shutil
import signal
import socket
import sys
import threading
import time

from service.errors import UnknownModel
from service.models.loader import ModelLoader
from service.runtimes.runtime import RuntimeUnusable
from service.server import create_server
from service.stop_timeout import StopTimeout, longest_stop
from service.telemetry import logging as logs
from service.telemetry import metric_files
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import TracingUnusable
from service.workers.agent import WorkerAgent
from service.workers.config import WorkerConfig
from service.workers.listeners import CannotListen
from vae.bundle import BundleError

UNUSABLE = (BundleError, CannotListen, OSError, RuntimeUnusable, TracingUnusable, UnknownModel)


def main() -> int:
    """Serve until a signal comes or the supervisor ends; the exit status."""
    try:
        supervisor = socket.socket(fileno=sys.stdin.fileno())
    except OSError:
        print("a worker is started by vae-serve --workers, not by hand", file=sys.stderr)  # noqa: T201
        return 2
    line = supervisor.makefile("rb", buffering=0).readline()  # unbuffered: the rest is the agent's
    if not line:
        return 1  # the supervisor ended while it started this process
    config = WorkerConfig.from_line(line)
    lines = logs.configure(config.settings)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor handles it for all workers
    threading.Thread(target=_stop_with, args=(supervisor, config), daemon=True).start()
    try:
        metric_files.share_values(config.metrics, config.slot)
        metrics = Metrics(config.metrics)
        metrics.count_dropped_lines(lambda: lines.dropped)
        _serve(config, supervisor, metrics)
    except UNUSABLE as error:
        print(f"vae-serve: {logs.escape(str(error))}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _serve(config: WorkerConfig, supervisor: socket.socket, metrics: Metrics) -> None:
    loader = ModelLoader(config.settings, metrics)
    loader.models.default = config.settings.default_model
    agent = WorkerAgent(supervisor, loader)
    for copy in config.bundles:
        agent.load_initial(copy.open())
    server = create_server(loader, agent, agent.run, config.settings, metrics, supervised=True)
    sockets = [socket.socket(fileno=number) for number in config.listeners]
    server.run_until_stopped(sockets, StopTimeout(longest_stop(config.settings)))


def _stop_with(supervisor: socket.socket, config: WorkerConfig) -> None:
    """Wait until the supervisor has ended; then remove its files, drain, and end what hangs.

    In a thread, since the event loop may be what hangs.
    """
    end = select.poll()
    end.register(supervisor, 0)  # no events: poll reports a closed other end in any case
    end.poll()
    shutil.rmtree(config.private, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(longest_stop(config.settings))
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
