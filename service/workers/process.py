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

from service.models.store import ModelVersion
from service.models.versions import VersionStatus
from service.settings import Settings
from service.workers.channel import MAX_LINE, Answer, Channel, Gone
from service.workers.snapshot import Copy
from service.workers.worker import WorkerConfig

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5


class Worker:
    """A process with a channel to it. It ends when the channel closes.

    ``stock`` is what it serves, or will from its start.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stock: Mapping[ModelVersion, Copy],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        answers: Mapping[str, Answer],
        settings: Settings,
    ) -> None:
        self.process = process
        self.stock = dict(stock)
        self._settings = settings
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._silent_ticks = 0
        own = {"ready": self._on_ready, "beat": self._on_beat}
        self._channel = Channel(*streams, {**answers, **own})
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, order: WorkerConfig, stock: Mapping[ModelVersion, Copy], answers: Mapping[str, Answer]
    ) -> "Worker":
        """Start a process and give it its order; ``answers`` are to what it may ask."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "service.workers.worker"),
                # It imports from where this process does, whatever the current directory holds.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=theirs.fileno(),
                pass_fds=order.listeners,
                process_group=0,  # Ctrl+C is for the supervisor, which tells the workers
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
        writer.write(order.to_line())
        return cls(process, stock, (reader, writer), answers, order.settings)

    async def is_ready(self) -> bool:
        """Wait until it accepts connections, or kill it when it does not; False when it ended."""
        limit = self._settings.start_seconds
        await self._bear_with(self._ready, limit, f"is not ready after {limit:g} s")
        return self._ready.done() and self._ready.result()

    async def live(self) -> float:
        """Wait until it ended, or kill it when it hangs; for how many seconds it served."""
        started = time.monotonic()
        await self._bear_with(self._listening, self._settings.hang_seconds, "does not answer")
        await self.process.wait()
        return time.monotonic() - started

    async def _bear_with(self, event: asyncio.Future[Any], seconds: float, fault: str) -> None:
        """Wait for an event, or kill the process when it is silent for too long.

        Silence is counted and not timed, so that a pause of everything, supervisor and all, is
        nobody's fault.
        """
        self._silent_ticks = 0
        while not event.done():
            await asyncio.wait((event,), timeout=TICK_SECONDS)
            self._silent_ticks += 1
            if self._silent_ticks * TICK_SECONDS > seconds and not event.done():
                self._kill(fault)
                return

    def _kill(self, fault: str) -> None:
        logger.error("process %d %s and is killed", self.process.pid, fault)
        self.send(signal.SIGKILL)

    async def end(self) -> int:
        """Wait until it ended; its exit status."""
        status = await self.process.wait()
        self._channel.close()
        return status

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it lives."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def load(self, key: ModelVersion, copy: Copy) -> None:
        """Have it serve a copy. Raises BundleRefused, and Gone when it ended.

        It shows signs of life meanwhile, and is killed when it takes as long as no start may.
        """
        try:
            async with asyncio.timeout(self._settings.start_seconds):
                await self._channel.call("load", directory=copy.directory, origin=copy.origin)
        except TimeoutError:
            self._kill(f"does not get {key.name}/{key.version} loaded")
            raise Gone from None
        self.stock[key] = copy

    async def unload(self, key: ModelVersion) -> None:
        """Have it serve a version no more. Raises Gone when it ended."""
        await self._channel.call("unload", name=key.name, version=key.version)
        del self.stock[key]

    def show(self, entries: Sequence[VersionStatus]) -> None:
        """Let it know of every version."""
        self._channel.tell("show", entries=[asdict(entry) for entry in entries])

    async def _listen(self) -> None:
        await self._channel.run(self._on_line)
        if not self._ready.done():
            self._ready.set_result(False)

    def _on_line(self) -> None:
        self._silent_ticks = 0

    async def _on_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(True)

    async def _on_beat(self) -> None:
        """That the line came is enough."""
