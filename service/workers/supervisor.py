"""Several worker processes on one port: start them, watch them, replace them, stop them.

The supervisor verifies the bundles and copies them, and every worker loads the copies: if an
original is damaged later, a worker that is replaced still serves what the others serve. The
supervisor loads no model and answers no request, so that little can end it. Each worker has one end
of a socket pair, and stops when the supervisor's end closes, however the supervisor ended.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from service.models.manager import ModelManager
from service.models.registry import choose_default
from service.models.store import ModelVersion
from service.settings import Settings
from service.stop_timeout import longest_stop
from service.telemetry import metric_files
from service.telemetry.metrics import Metrics
from service.workers import listeners
from service.workers.bundle_copies import BundleCopies, BundleCopy, touch_all
from service.workers.config import WorkerConfig
from service.workers.listeners import CannotListen, Listeners
from service.workers.pool import WorkerPool
from service.workers.restart_delay import RestartDelay
from service.workers.worker_process import WorkerProcess
from vae.bundle import BundleError

logger = logging.getLogger(__name__)

PORT_SECONDS: Final = 2.0  # for the workers of a supervisor that was killed, after their notice
TOUCH_SECONDS: Final = 3600.0
KILL_SECONDS: Final = 5.0  # for the kernel to end a process that was killed


class CannotStart(Exception):
    """Workers cannot be started; the message says why."""


class Supervisor:
    """Keeps ``settings.workers`` workers running until a signal stops it.

    The first worker starts alone: if it fails then all would, and no port was opened yet.
    """

    def __init__(
        self, settings: Settings, private: Path, pool: WorkerPool, manager: ModelManager
    ) -> None:
        self._settings = settings
        self._private = private
        self._pool = pool
        self._manager = manager
        self._listeners = Listeners(settings.host, settings.port)
        self._delays = [RestartDelay() for _ in range(settings.workers)]
        self._workers: dict[int, WorkerProcess] = {}  # by slot
        self._first_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Serve; the exit status is 0 after a signal and 1 if no worker can serve.

        Raises CannotListen.
        """
        self._handle_signals()
        port = await self._listeners.find_port(self._settings.notice_seconds + PORT_SECONDS)
        logger.info("will serve on %s", listeners.url(self._settings, port))
        async with asyncio.TaskGroup() as group:
            slots = range(self._settings.workers)
            tasks = [group.create_task(self._keep_running(slot)) for slot in slots]
            tasks.append(group.create_task(self._manager.watch()))
            tasks.append(group.create_task(self._touch_private_files()))
            await self._stopping.wait()
            for task in tasks:
                task.cancel()
        # First: these sockets would still take connections after the workers closed theirs.
        self._listeners.close_all()
        await self._stop_workers()
        return self._status

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._manager.request_rescan)

    def _on_stop_signal(self) -> None:
        if self._stopping.is_set():  # the second signal
            self._status = 1
            self._send_signal(signal.SIGKILL)
        self._stopping.set()

    async def _keep_running(self, slot: int) -> None:
        """Start a worker in this slot, and another one whenever it ends."""
        if slot > 0:
            await self._first_ready.wait()
        while True:
            served_seconds = await self._run_worker(slot)
            delay = self._delays[slot].after(served_seconds)
            if self._has_failed():
                logger.error("no worker can serve")
                self._status = 1
                self._stopping.set()
            if delay > 0:  # meanwhile new connections go to the other workers
                self._listeners.close(slot)
            await asyncio.sleep(delay)

    def _has_failed(self) -> bool:
        return not self._pool.is_ready and (
            not self._first_ready.is_set() or all(delay.has_failed for delay in self._delays)
        )

    async def _run_worker(self, slot: int) -> float:
        """Run one worker from its start to its end; for how many seconds it served."""
        try:
            self._private.mkdir(mode=0o700, exist_ok=True)  # a program that cleans /tmp removed it
            worker = await self._pool.add(lambda bundles: self._start_worker(slot, bundles))
        except (OSError, CannotListen) as error:  # no memory, process, descriptor or disk space
            logger.error("worker %d cannot be started: %s", slot, error)
            return 0.0
        self._workers[slot] = worker
        served_seconds = 0.0
        if await worker.wait_until_ready():
            logger.info("worker %d serves as process %d", slot, worker.process.pid)
            served_seconds = await self._watch_worker(worker)
        status = await worker.close()
        logger.warning(
            "worker %d ended with status %d after serving for %.1f s", slot, status, served_seconds
        )
        if status == 0:  # a signal from outside stopped it: its sockets no longer accept
            self._listeners.close(slot)
        del self._workers[slot]
        self._pool.remove(worker)
        metric_files.remove_gauges(self._private / "metrics", slot)
        return served_seconds

    async def _watch_worker(self, worker: WorkerProcess) -> float:
        """Add a ready worker to the pool and wait for its end; for how many seconds it served.

        A load in the pool may make it wait, but not delay its replacement if it ends meanwhile.
        """
        async with asyncio.TaskGroup() as group:
            adding = group.create_task(self._add_ready(worker))
            served_seconds = await worker.wait_until_end()
            adding.cancel()
        return served_seconds

    async def _add_ready(self, worker: WorkerProcess) -> None:
        if not self._first_ready.is_set():
            for version, reason in worker.refused.items():
                self._refuse_initial(version, reason)
        await self._pool.add_ready(worker)
        self._first_ready.set()

    def _refuse_initial(self, version: ModelVersion, reason: str) -> None:
        """Serve the other versions, or stop if none is left or the setting ``strict`` says so."""
        self._pool.discard(version)
        try:
            self._manager.refuse_initial(version, reason)
        except BundleError as error:
            logger.error("%s", error)
            self._status = 1
            self._stopping.set()

    async def _start_worker(
        self, slot: int, bundles: Mapping[ModelVersion, BundleCopy]
    ) -> WorkerProcess:
        metric_files.reserve(self._private / "metrics", slot)
        config = WorkerConfig(
            slot=slot,
            listeners=self._listeners.open(slot),
            bundles=tuple(bundles.values()),
            private=self._private,
            settings=self._settings,
        )
        handlers = {"load": self._load, "unload": self._unload}
        return await WorkerProcess.start(config, bundles, handlers)

    async def _load(self, name: str, version: int) -> None:
        await self._manager.load(ModelVersion(name, version))

    async def _unload(self, name: str, version: int) -> None:
        await self._manager.unload(ModelVersion(name, version))

    async def _touch_private_files(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            await asyncio.to_thread(touch_all, self._private)

    async def _stop_workers(self) -> None:
        """Let the workers finish their requests, and kill those that take too long."""
        self._send_signal(signal.SIGTERM)
        if await self._have_ended(longest_stop(self._settings)):
            return
        logger.error("workers did not end in time and are killed")
        self._send_signal(signal.SIGKILL)
        if not await self._have_ended(KILL_SECONDS):
            logger.error("workers were killed and have not ended")

    async def _have_ended(self, seconds: float) -> bool:
        """Whether all workers end within so many seconds."""
        ends = [asyncio.create_task(worker.close()) for worker in self._workers.values()]
        if not ends:
            return True
        _, pending = await asyncio.wait(ends, timeout=seconds)
        for end in pending:
            end.cancel()
        return not pending

    def _send_signal(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            worker.send_signal(number)


def run(settings: Settings) -> int:
    """Verify and copy the bundles, and serve them with ``settings.workers`` processes.

    Returns the exit status. Raises CannotStart, CannotListen, BundleError for a bundle that cannot
    be used, and UnknownModel if the default model is not among the bundles.
    """
    if sys.platform == "win32":
        raise CannotStart("several workers share a port, which Windows does not offer")
    with ExitStack() as stack:
        try:
            private = Path(stack.enter_context(TemporaryDirectory(prefix="vae-serve-")))
            supervisor = _prepare(settings, private)
        except OSError as error:
            raise CannotStart(
                f"no space for private copies of the bundles and for metrics: {error}"
            ) from None
        return asyncio.run(supervisor.run())


def _prepare(settings: Settings, private: Path) -> Supervisor:
    """The supervisor, with copies of the bundles and space for metrics in ``private``."""
    metrics = private / "metrics"
    for slot in range(settings.workers + 1):  # the last one is the supervisor's own
        metric_files.reserve(metrics, slot)
    metric_files.share_values(metrics, settings.workers)
    count_load = Metrics(metrics).count_load
    pool = WorkerPool(BundleCopies(private / "models"))
    manager = ModelManager(settings, pool, count_load)
    names = manager.load_initial(pool.load_initial)
    # Chosen once: a worker that starts when there are more models must choose the same.
    default = choose_default(settings.default_model, names)
    settings = settings.model_copy(update={"default_model": default})
    return Supervisor(settings, private, pool, manager)
