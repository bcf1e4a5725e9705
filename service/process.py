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
from typing import Final

from service.catalog import Entry
from service.channel import MAX_LINE, Answer, Channel
from service.shelf import Key
from service.snapshot import Copy
from service.worker import Order

logger = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.5


class Worker:
    """A process with a channel to it. It ends when the channel closes.

    ``stock`` is what it serves, or will from its start.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stock: Mapping[Key, Copy],
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        answers: Mapping[str, Answer],
    ) -> None:
        self.process = process
        self.stock = dict(stock)
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._silent_ticks = 0
        own = {"ready": self._on_ready, "beat": self._on_beat}
        self._channel = Channel(*streams, {**answers, **own})
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(
        cls, order: Order, stock: Mapping[Key, Copy], answers: Mapping[str, Answer]
    ) -> "Worker":
        """Start a process and give it its order; ``answers`` are to what it may ask."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "service.worker"),
                # It imports from where this process does, whatever the current directory holds.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=theirs.fileno(),
                pass_fds=order.listeners,
                process_group=0,  # Ctrl+C is for the supervisor, which tells the workers
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
        writer.write(order.to_line())
        return cls(process, stock, (reader, writer), answers)

    async def is_ready(self) -> bool:
        """Wait until it accepts connections; False when it ended before."""
        return await asyncio.shield(self._ready)

    async def live(self, hang_seconds: float) -> float:
        """Wait until it ended, or kill it when it hangs; for how many seconds it served.

        Silence is counted and not timed, so that a pause of everything, supervisor and all, is
        nobody's fault.
        """
        started = time.monotonic()
        self._silent_ticks = 0
        while not self._listening.done():
            await asyncio.wait((self._listening,), timeout=TICK_SECONDS)
            self._silent_ticks += 1
            if self._silent_ticks * TICK_SECONDS > hang_seconds:
                logger.error("process %d does not answer and is killed", self.process.pid)
                self.send(signal.SIGKILL)
                break
        await self.process.wait()
        return time.monotonic() - started

    async def end(self) -> int:
        """Wait until it ended; its exit status."""
        status = await self.process.wait()
        self._channel.close()
        return status

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it lives."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def load(self, key: Key, copy: Copy) -> None:
        """Have it serve a copy. Raises BundleRefused, and Gone when it ended."""
        await self._channel.call("load", directory=copy.directory, origin=copy.origin)
        self.stock[key] = copy

    async def unload(self, key: Key) -> None:
        """Have it serve a version no more. Raises Gone when it ended."""
        await self._channel.call("unload", name=key.name, version=key.version)
        del self.stock[key]

    def show(self, entries: Sequence[Entry]) -> None:
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
