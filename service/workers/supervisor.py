"""Several worker processes on one port: start, watch, restart, drain.

The supervisor verifies bundles and copies them, and starts every worker from the copies: a bundle
that is damaged later harms no worker that has to be started again. It loads no model and answers no
request, so that there is little it could die of. Each worker holds one end of a socket pair and
ends when the supervisor's end is closed, by whatever death.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from service.models.manager import ModelManager
from service.models.registry import choose_default
from service.models.store import ModelVersion
from service.settings import Settings
from service.telemetry import metrics
from service.telemetry.metrics import Metrics, remove_gauges
from service.workers.listeners import Listeners
from service.workers.pool import WorkerPool
from service.workers.process import Worker
from service.workers.restarts import Restarts
from service.workers.snapshot import Copy, Snapshot
from service.workers.worker import WorkerConfig, longest_drain

logger = logging.getLogger(__name__)


class CannotStart(Exception):
    """Workers cannot be had here; the message says why."""


class Supervisor:
    """Keeps ``settings.workers`` workers running until it is told to stop.

    The first one starts alone: where it fails so would all, and nothing has listened yet.
    """

    def __init__(
        self, settings: Settings, private: Path, fleet: WorkerPool, manager: ModelManager
    ) -> None:
        self._settings = settings
        self._private = private
        self._fleet = fleet
        self._manager = manager
        self._listeners = Listeners(settings.host, settings.port)
        self._restarts = [Restarts() for _ in range(settings.workers)]
        self._workers: dict[int, Worker] = {}  # by slot
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
            tasks.append(group.create_task(self._manager.watch()))
            await self._over.wait()
            for task in tasks:
                task.cancel()
        self._listeners.close_all()  # before the workers do, or connections would wait for nobody
        await self._drain()
        return self._status

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._manager.request_rescan)

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
        return not self._fleet.is_ready and (
            not self._proven.is_set() or all(slot.hopeless for slot in self._restarts)
        )

    async def _live(self, slot: int) -> float:
        """One worker from its start to its end; for how many seconds it served."""
        try:
            worker = await self._fleet.recruit(lambda stock: self._start(slot, stock))
        except OSError as error:  # no memory, process or descriptor is to be had
            logger.error("worker %d cannot be started: %s", slot, error)
            return 0.0
        self._workers[slot] = worker
        served = 0.0
        if await worker.is_ready():
            async with asyncio.TaskGroup() as group:
                living = group.create_task(worker.live())
                await self._fleet.join(worker)
                logger.info("worker %d serves as process %d", slot, worker.process.pid)
                self._proven.set()
            served = living.result()
        status = await worker.end()
        logger.warning("worker %d ended with status %d, served %.1f s", slot, status, served)
        if status == 0:  # somebody else told it to leave, so it closed its door for good
            self._listeners.close(slot)
        del self._workers[slot]
        self._fleet.dismiss(worker)
        remove_gauges(self._private / "metrics", slot)
        return served

    async def _start(self, slot: int, stock: Mapping[ModelVersion, Copy]) -> Worker:
        order = WorkerConfig(
            slot=slot,
            listeners=await self._listeners.open(slot),
            stock=tuple(stock.values()),
            private=self._private,
            settings=self._settings,
        )
        return await Worker.start(order, stock, {"load": self._load, "unload": self._unload})

    async def _load(self, name: str, version: int) -> None:
        await self._manager.load(ModelVersion(name, version))

    async def _unload(self, name: str, version: int) -> None:
        await self._manager.unload(ModelVersion(name, version))

    async def _drain(self) -> None:
        """Let the workers finish what they have; kill those that take too long."""
        self._send(signal.SIGTERM)
        ended = asyncio.gather(*(worker.end() for worker in self._workers.values()))
        try:
            await asyncio.wait_for(asyncio.shield(ended), longest_drain(self._settings))
        except TimeoutError:
            logger.error("workers did not end in time and are killed")
            self._send(signal.SIGKILL)
            await ended

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            worker.send(number)


def run(settings: Settings) -> int:
    """Verify and copy the bundles, then serve them with ``settings.workers`` processes.

    Returns the exit status. Raises CannotStart, CannotListen, BundleError for a bundle that cannot
    be trusted, and UnknownModel when the default model is not among them.
    """
    if sys.platform == "win32":
        raise CannotStart("several workers share a port, which Windows does not offer")
    with ExitStack() as stack:
        try:
            private = Path(stack.enter_context(TemporaryDirectory(prefix="vae-serve-")))
            supervisor = _prepare(settings, private)
        except OSError as error:
            raise CannotStart(f"no room for a private copy of the bundles: {error}") from None
        return asyncio.run(supervisor.run())


def _prepare(settings: Settings, private: Path) -> Supervisor:
    """The supervisor over copies of the bundles in its ``private`` directory."""
    (private / "metrics").mkdir()
    metrics.share_values(private / "metrics", settings.workers)  # as if in one slot more
    count = Metrics(private / "metrics").count_load
    fleet = WorkerPool(Snapshot(private / "models"))
    manager = ModelManager(settings, fleet, count)
    names = manager.load_initial(fleet.load_initial)
    # Found once: a worker that starts when there are more models must not find another.
    default = choose_default(settings.default_model, names)
    settings = settings.model_copy(update={"default_model": default})
    return Supervisor(settings, private, fleet, manager)
