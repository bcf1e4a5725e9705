"""Several worker processes on the same listening sockets: start, watch, restart, drain.

The supervisor binds the sockets, verifies the bundles and copies them, and starts every worker from
that copy: a bundle that is damaged later harms no worker that has to be started again. It loads no
model and answers no request, so that there is little it could die of. Each worker holds one end of
a socket pair and ends when the supervisor's end is closed, by whatever death.
"""

import asyncio
import logging
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service import repository
from service.metrics import forget_gauges
from service.settings import Settings
from service.snapshot import write_snapshot
from service.worker import CLOSING_SECONDS, READY, Order

logger = logging.getLogger(__name__)


STEADY_SECONDS: Final = 1.0
FIRST_DELAY: Final = 0.25
LONGEST_DELAY: Final = 30.0
GIVE_UP_AFTER: Final = 5


class CannotStart(Exception):
    """The supervisor cannot start any worker; the message says why."""


@dataclass
class Restarts:
    """When a slot's worker is replaced, from how long its predecessors served.

    One that served for STEADY_SECONDS is replaced at once. Others wait, each twice as long as the
    one before, up to LONGEST_DELAY: what fails at every start shall not take the CPUs.
    """

    in_vain: int = 0  # workers in a row that did not serve for STEADY_SECONDS

    def delay(self, served: float) -> float:
        """Seconds to wait after a worker that served for ``served`` seconds; 0 if it never did."""
        if served >= STEADY_SECONDS:
            self.in_vain = 0
            return 0.0
        self.in_vain += 1
        return min(FIRST_DELAY * 2.0 ** (self.in_vain - 1), LONGEST_DELAY)

    @property
    def hopeless(self) -> bool:
        """So many in a row that the next is unlikely to do better."""
        return self.in_vain >= GIVE_UP_AFTER


class Worker:
    """A worker process, as its supervisor sees it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process = process
        self._reader = reader
        self._writer = writer  # closed with this object, and the worker ends by that

    @classmethod
    async def start(cls, order: Order) -> "Worker":
        """Start a process and give it its order."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service.worker"),
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
            return await self._reader.readline() == READY
        except ConnectionResetError:
            return False

    async def end(self) -> int:
        """Wait until it ended; its exit status."""
        status = await self.process.wait()
        self._writer.close()
        return status


class Supervisor:
    """Keeps ``settings.workers`` workers running until it is told to stop.

    The first one starts alone: where it fails so would all, and nothing has listened yet.
    """

    def __init__(self, settings: Settings, private: Path) -> None:
        self._settings = settings
        self._private = private
        self._listeners: tuple[int, ...] = ()
        self._restarts = [Restarts() for _ in range(settings.workers)]
        self._workers: dict[int, Worker] = {}  # by slot
        self._ready: set[int] = set()  # slots
        self._proven = asyncio.Event()  # a worker was ready once
        self._over = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Serve; the exit status is 0 after a signal and 1 when nothing can serve.

        Raises CannotStart when the address cannot be listened on.
        """
        self._heed_signals()
        bound = await _bind(self._settings.host, self._settings.port)
        self._listeners = tuple(listener.fileno() for listener in bound.sockets)
        async with asyncio.TaskGroup() as group:
            slots = [group.create_task(self._keep(slot)) for slot in range(len(self._restarts))]
            await self._over.wait()
            for slot in slots:
                slot.cancel()
        bound.close()  # before the workers close theirs, or connections would wait for nobody
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
            await asyncio.sleep(delay)

    def _nothing_can_serve(self) -> bool:
        return not self._ready and (
            not self._proven.is_set() or all(slot.hopeless for slot in self._restarts)
        )

    async def _live(self, slot: int) -> float:
        """One worker from its start to its end; for how many seconds it served."""
        order = Order(slot, self._listeners, self._private, self._settings)
        try:
            worker = await Worker.start(order)
        except OSError as error:  # no process or no memory for one is to be had
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

    Returns the exit status. Raises BundleError for a bundle that cannot be trusted and CannotStart.
    """
    if sys.platform == "win32":
        raise CannotStart("workers are processes that share a socket, which Windows does not have")
    with tempfile.TemporaryDirectory(prefix="vae-serve-") as directory:
        private = Path(directory)
        (private / "metrics").mkdir()
        bundles = repository.verified(settings.models)
        try:
            write_snapshot(bundles, settings.models, private / "models")
        except OSError as error:
            raise CannotStart(f"the bundles cannot be copied to {private}: {error}") from None
        return asyncio.run(Supervisor(settings, private).run())


async def _bind(host: str, port: int) -> asyncio.Server:
    """Sockets that are bound and do not listen yet: that is for the first worker to do."""
    loop = asyncio.get_running_loop()
    try:
        bound = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}") from None
    for listener in bound.sockets:
        logger.info("will serve on http://%s:%d", *listener.getsockname()[:2])
    return bound
