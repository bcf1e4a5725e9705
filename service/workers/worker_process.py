"""A worker process, as its supervisor sees it."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from service.errors import BundleRefused
from service.models.store import ModelVersion
from service.models.versions import VersionStatus
from service.settings import Settings
from service.workers.bundle_copies import BundleCopy
from service.workers.channel import MAX_LINE, Channel, Handler
from service.workers.config import WorkerConfig

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5


class WorkerProcess:
    """A process with a channel to it. The process ends when the channel closes.

    ``bundles`` are the versions that it serves, or will serve once it has started. ``refused`` are
    those that it could not load at its start, with the reason.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        bundles: Mapping[ModelVersion, BundleCopy],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        handlers: Mapping[str, Handler],
        settings: Settings,
    ) -> None:
        self.process = process
        self.bundles = dict(bundles)
        self.refused: dict[ModelVersion, str] = {}
        self._settings = settings
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._silent_ticks = 0
        own = {"ready": self._on_ready, "heartbeat": self._on_heartbeat}
        self._channel = Channel(*streams, {**handlers, **own})
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls,
        config: WorkerConfig,
        bundles: Mapping[ModelVersion, BundleCopy],
        handlers: Mapping[str, Handler],
    ) -> "WorkerProcess":
        """Start a process and send it its configuration; ``handlers`` are for its calls.

        Raises OSError if there is no memory, process or file descriptor left.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "service.workers.worker"),
                # The same import path as here, whatever the current directory contains.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=theirs.fileno(),
                pass_fds=config.listeners,
                process_group=0,  # Ctrl+C goes to the supervisor alone, which stops the workers
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
        writer.write(config.to_line())
        return cls(process, bundles, (reader, writer), handlers, config.settings)

    async def wait_until_ready(self) -> bool:
        """Whether it accepts connections. It is killed if it does not within ``start_seconds``."""
        limit = self._settings.start_seconds
        await self._kill_if_silent(self._ready, limit, f"is not ready after {limit:g} s")
        return self._ready.done() and self._ready.result()

    async def wait_until_end(self) -> float:
        """Seconds that it served. It is killed if it is silent for ``hang_seconds``."""
        started = time.monotonic()
        await self._kill_if_silent(self._listening, self._settings.hang_seconds, "does not answer")
        await self.process.wait()
        return time.monotonic() - started

    async def _kill_if_silent(
        self, event: asyncio.Future[Any], seconds: float, problem: str
    ) -> None:
        """Wait for an event, or kill the process if it sends nothing for so many seconds.

        Ticks of this loop are counted instead of time: if supervisor and workers are all paused,
        no time passes for any of them.
        """
        self._silent_ticks = 0
        while not event.done():
            await asyncio.wait((event,), timeout=TICK_SECONDS)
            self._silent_ticks += 1
            if self._silent_ticks * TICK_SECONDS > seconds and not event.done():
                self._kill(problem)
                return

    def _kill(self, problem: str) -> None:
        logger.error("process %d %s and is killed", self.process.pid, problem)
        self.send_signal(signal.SIGKILL)

    async def close(self) -> int:
        """Wait until the process has ended and close the channel; the exit status."""
        status = await self.process.wait()
        self._channel.close()
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def load(self, key: ModelVersion, copy: BundleCopy) -> None:
        """Load a copy.

        Raises BundleRefused, also if it takes longer than ``start_seconds``, after which the
        process is killed; and ChannelClosed if the process ended.
        """
        limit = self._settings.start_seconds
        try:
            async with asyncio.timeout(limit):
                await self._channel.call("load", copy=copy.to_json())
        except TimeoutError:
            self._kill(f"has not loaded {key} after {limit:g} s")
            raise BundleRefused(f"a worker has not loaded it after {limit:g} s") from None
        self.bundles[key] = copy

    async def unload(self, key: ModelVersion) -> None:
        """Unload a version. Raises ChannelClosed if the process ended."""
        await self._channel.call("unload", name=key.name, version=key.version)
        del self.bundles[key]

    def publish_statuses(self, statuses: Sequence[VersionStatus]) -> None:
        """Send the status of every version."""
        self._channel.notify("publish_statuses", statuses=[asdict(status) for status in statuses])

    async def _listen(self) -> None:
        await self._channel.run(self._on_message)
        if not self._ready.done():
            self._ready.set_result(False)

    def _on_message(self) -> None:
        self._silent_ticks = 0

    async def _on_ready(self, refused: Sequence[tuple[str, int, str]] = ()) -> None:
        self.refused = {ModelVersion(name, version): reason for name, version, reason in refused}
        for version in self.refused:
            self.bundles.pop(version, None)
        if not self._ready.done():
            self._ready.set_result(True)

    async def _on_heartbeat(self) -> None:
        """``_on_message`` has already counted it."""
