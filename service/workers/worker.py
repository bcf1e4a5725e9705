"""``python -m service.workers.worker``: one of several processes that serve on one port.

Started by the supervisor alone. Standard input is a socket to it: one line of JSON comes in, the
order; after that it is a channel (``channel.py``) for the agent. When the other end
closes, the supervisor is gone and this process drains and ends as well.
"""

import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from service.errors import BundleRefused, UnknownModel
from service.models.loader import ModelLoader
from service.runtimes.runtime import RuntimeUnusable
from service.server import create_server
from service.settings import Settings
from service.telemetry import logging as logs
from service.telemetry import metrics
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import TracingUnusable
from service.workers.agent import WorkerAgent
from service.workers.snapshot import Copy
from vae.bundle import BundleError

CLOSING_SECONDS: Final = 5.0  # what a process may need to end after its requests did


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker is to serve, and as which of them.

    ``slot`` is its place among the workers, ``listeners`` are numbers of inherited descriptors,
    ``stock`` are verified bundles, and ``private`` is the supervisor's directory.
    """

    slot: int
    listeners: tuple[int, ...]
    stock: tuple[Copy, ...]
    private: Path
    settings: Settings

    @property
    def metrics(self) -> Path:
        """The values of all workers' metrics."""
        return self.private / "metrics"

    def to_line(self) -> bytes:
        """One line of JSON, with the secrets of the settings in it."""
        fields = {**vars(self), "settings": self.settings.model_dump()}
        return json.dumps(fields, default=_plain).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "WorkerConfig":
        """What ``to_line`` wrote."""
        fields = json.loads(line)
        return cls(
            slot=fields["slot"],
            listeners=tuple(fields["listeners"]),
            stock=tuple(Copy(*copy) for copy in fields["stock"]),
            private=Path(fields["private"]),
            settings=Settings(**fields["settings"]),
        )


def main() -> int:
    """Serve until told to stop, or until the supervisor is gone."""
    try:
        supervisor = socket.socket(fileno=sys.stdin.fileno())
    except OSError:
        print("a worker is started by vae-serve --workers, not by hand", file=sys.stderr)  # noqa: T201
        return 2
    line = supervisor.makefile("rb", buffering=0).readline()  # and not a byte of what follows
    if not line:
        return 1  # the supervisor ended while it started this process
    order = WorkerConfig.from_line(line)
    settings = order.settings
    lines = logs.configure(settings)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of a terminal; the supervisor heeds it for all
    threading.Thread(target=_end_with, args=(supervisor, order), daemon=True).start()
    metrics.share_values(order.metrics, order.slot)
    counts = Metrics(order.metrics)
    counts.count_dropped_lines(lambda: lines.dropped)
    try:
        loader = ModelLoader(settings, counts)
        for copy in order.stock:
            loader.load_initial(copy.open())
        loader.models.default = settings.default_model
    except (BundleError, BundleRefused, RuntimeUnusable, TracingUnusable, UnknownModel) as error:
        print(f"vae-serve: {error}", file=sys.stderr)  # noqa: T201
        return 1
    agent = WorkerAgent(supervisor, loader)
    server = create_server(loader, agent, agent.run, settings, counts, supervised=True)
    server.serve_until_told([socket.socket(fileno=number) for number in order.listeners])
    return 0


def _end_with(supervisor: socket.socket, order: WorkerConfig) -> None:
    """Wait for the supervisor's end; then tidy up for it, drain, and end whatever hangs.

    In a thread, since the event loop may be what hangs.
    """
    end = select.poll()
    end.register(supervisor, 0)  # for nothing but the other end's closing, which is always told
    end.poll()
    shutil.rmtree(order.private, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(longest_drain(order.settings))
    os._exit(1)


def longest_drain(settings: Settings) -> float:
    """Seconds from SIGTERM after which a worker that still runs does not end by itself."""
    return settings.notice_seconds + settings.drain_seconds + CLOSING_SECONDS


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"This is a bug. A setting of type {type(value).__name__} cannot be passed on.")


if __name__ == "__main__":
    sys.exit(main())
