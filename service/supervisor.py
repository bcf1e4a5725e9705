"""Several worker processes on one port: start, watch, restart, drain.

The supervisor verifies the bundles and copies them, and starts every worker from that copy: a
bundle that is damaged later harms no worker that has to be started again. It loads no model and
answers no request, so that there is little it could die of. Each worker holds one end of a socket
pair and ends when the supervisor's end is closed, by whatever death.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from service import repository
from service.listeners import Listeners
from service.metrics import forget_gauges
from service.restarts import Restarts
from service.settings import Settings
from service.snapshot import write_snapshot
from service.worker import CLOSING_SECONDS, READY, Order

logger = logging.getLogger(__name__)


class CannotStart(Exception):
    """Workers cannot be had here; the message says why."""


@dataclass
class Worker:
    """A worker process, as its supervisor sees it. It ends when ``writer`` closes."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, order: Order) -> "Worker":
        """Start a process and give it its order."""
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
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(order.to_line())
        return cls(process, reader, writer)

    async def is_ready(self) -> bool:
        """Wait until it accepts connections; False when it ended before."""
        try:
            return await self.reader.readline() == READY
        except ConnectionResetError:
            return False

    async def end(self) -> int:
        """Wait until it ended; its exit status."""
        status = await self.process.wait()
        self.writer.close()
        return status


class Supervisor:
    """Keeps ``settings.workers`` workers running until it is told to stop.

    The first one starts alone: where it fails so would all, and nothing has listened yet.
    """

    def __init__(self, settings: Settings, private: Path) -> None:
        self._settings = settings
        self._private = private
        self._listeners = Listeners(settings.host, settings.port)
        self._restarts = [Restarts() for _ in range(settings.workers)]
        self._workers: dict[int, Worker] = {}  # by slot
        self._ready: set[int] = set()  # slots
        self._proven = asyncio.Event()  # a worker was ready once
        self._over = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Serve; the exit status is 0 after a signal and 1 when nothing can serve.

        Raises CannotListen.
        """
        self._heed_signals()
        port = await self._listeners.find_port()
        logger.info("will serve on http://%s:%d", self._settings.host, port)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(slot)) for slot in range(len(self._restarts))]
            await self._over.wait()
            for task in tasks:
                task.cancel()
        self._listeners.close_all()  # before the workers do, or connections would wait for nobody
        await self._drain()
        return self._status

    def _heed_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # and so do the workers, by inheritance

    def _on_signal(self) -> None:
        if self._over.is_set():  # the second one
            self._status = 1
            self._send(signal.SIGKILL)
        self._over.set()

    async def _keep(self, slot: int) -> None:
        """One worker after the other in this slot."""
        if slot > 0:
            await self._proven.wait()
        while True:
            delay = self._restarts[slot].delay(await self._live(slot))
            if self._nothing_can_serve():
                logger.error("no worker can serve")
                self._status = 1
                self._over.set()
            if delay > 0:  # connections go to the other workers for as long
                self._listeners.close(slot)
            await asyncio.sleep(delay)

    def _nothing_can_serve(self) -> bool:
        return not self._ready and (
            not self._proven.is_set() or all(slot.hopeless for slot in self._restarts)
        )

    async def _live(self, slot: int) -> float:
        """One worker from its start to its end; for how many seconds it served."""
        try:
            order = Order(slot, await self._listeners.open(slot), self._private, self._settings)
            worker = await Worker.start(order)
        except OSError as error:  # no memory, process or descriptor is to be had
            logger.error("worker %d cannot be started: %s", slot, error)
            return 0.0
        self._workers[slot] = worker
        served = 0.0
        if await worker.is_ready():
            logger.info("worker %d serves as process %d", slot, worker.process.pid)
            self._ready.add(slot)
            self._proven.set()
            ready = time.monotonic()
            await worker.end()
            served = time.monotonic() - ready
        status = await worker.end()
        logger.warning("worker %d ended with status %d, served %.1f s", slot, status, served)
        del self._workers[slot]
        self._ready.discard(slot)
        forget_gauges(order.metrics, slot)
        return served

    async def _drain(self) -> None:
        """Let the workers finish what they have; kill those that take too long."""
        self._send(signal.SIGTERM)
        ended = asyncio.gather(*(worker.end() for worker in self._workers.values()))
        try:
            await asyncio.wait_for(
                asyncio.shield(ended), self._settings.drain_seconds + CLOSING_SECONDS
            )
        except TimeoutError:
            logger.error("workers did not end in time and are killed")
            self._send(signal.SIGKILL)
            await ended

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)


def run(settings: Settings) -> int:
    """Verify and copy the bundles, then serve them with ``settings.workers`` processes.

    Returns the exit status. Raises CannotStart, CannotListen, and BundleError for a bundle that
    cannot be trusted.
    """
    if sys.platform == "win32":
        raise CannotStart("several workers share a port, which Windows does not offer")
    with ExitStack() as stack:
        try:
            private = Path(stack.enter_context(TemporaryDirectory(prefix="vae-serve-")))
            (private / "metrics").mkdir()
            bundles = repository.verified(settings.models)
            write_snapshot(bundles, settings.models, private / "models")
        except OSError as error:
            raise CannotStart(f"no room for a private copy of the bundles: {error}") from None
        return asyncio.run(Supervisor(settings, private).run())
