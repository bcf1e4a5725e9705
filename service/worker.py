"""``python -m service.worker``: one of several processes that serve on one port.

Started by the supervisor alone. Standard input is a socket to it: one line of JSON comes in, the
order; one line goes out when this process accepts connections; and when the other end closes, the
supervisor is gone and this process drains and ends as well.
"""

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from service import metrics
from service.errors import UnknownModel
from service.metrics import Metrics
from service.runtimes.runtime import RuntimeUnusable
from service.server import configure_logging, create_server
from service.settings import Settings
from vae.bundle import BundleError

READY: Final = b"ready\n"
CLOSING_SECONDS: Final = 5.0  # what a process may need to end after its requests did


@dataclass(frozen=True)
class Order:
    """What a worker is to serve, and as which of them.

    ``slot`` is its place among the workers, ``listeners`` are numbers of inherited descriptors, and
    ``private`` is the supervisor's directory.
    """

    slot: int
    listeners: tuple[int, ...]
    private: Path
    settings: Settings

    @property
    def snapshot(self) -> Path:
        """The verified bundles, at the same places as under ``settings.models``."""
        return self.private / "models"

    @property
    def metrics(self) -> Path:
        """The values of all workers' metrics."""
        return self.private / "metrics"

    def to_line(self) -> bytes:
        """One line of JSON, with the secrets of the settings in it."""
        fields = {**vars(self), "settings": self.settings.model_dump()}
        return json.dumps(fields, default=_plain).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Order":
        """What ``to_line`` wrote."""
        fields = json.loads(line)
        return cls(
            slot=fields["slot"],
            listeners=tuple(fields["listeners"]),
            private=Path(fields["private"]),
            settings=Settings(**fields["settings"]),
        )


def main() -> int:
    """Serve until told to stop, or until the supervisor is gone."""
    try:
        supervisor = socket.socket(fileno=sys.stdin.fileno())
    except OSError:
        print("service.worker is started by vae-serve --workers, not by hand", file=sys.stderr)  # noqa: T201
        return 2
    line = supervisor.makefile("rb").readline()
    if not line:
        return 1  # the supervisor ended while it started this process
    order = Order.from_line(line)
    settings = order.settings
    configure_logging(settings)
    threading.Thread(target=_end_with, args=(supervisor, order), daemon=True).start()
    metrics.share(order.metrics, order.slot)
    try:
        server = create_server(
            settings.model_copy(update={"models": order.snapshot}),
            Metrics(order.metrics),
            on_ready=lambda: supervisor.sendall(READY),
        )
    except (BundleError, RuntimeUnusable, UnknownModel) as error:
        # The user knows the original, and the snapshot is gone when this is read.
        message = str(error).replace(str(order.snapshot), str(settings.models))
        print(f"vae-serve: {message}", file=sys.stderr)  # noqa: T201
        return 1
    server.serve_until_told([socket.socket(fileno=number) for number in order.listeners])
    return 0


def _end_with(supervisor: socket.socket, order: Order) -> None:
    """Wait for the supervisor's end; then tidy up for it, drain, and end whatever hangs."""
    with suppress(ConnectionResetError):
        supervisor.recv(1)  # nothing more is ever sent
    shutil.rmtree(order.private, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(order.settings.drain_seconds + CLOSING_SECONDS)
    os._exit(1)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"This is a bug. A setting of type {type(value).__name__} cannot be passed on.")


if __name__ == "__main__":
    sys.exit(main())
