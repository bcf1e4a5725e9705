"""The workers of a supervisor as a fleet: every one serves the same, from the same copies.

What all are to serve is the stock. A new bundle is tried by one worker before the others load it;
where one refuses, all go back. A worker that cannot follow is killed, and the one in its place
starts from the stock.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence

from service.errors import BundleRefused, ServiceError
from service.models.store import ModelVersion
from service.models.versions import VersionStatus
from service.workers.channel import Gone
from service.workers.process import Worker
from service.workers.snapshot import Copy, Snapshot
from vae.bundle import Bundle

logger = logging.getLogger(__name__)


class WorkerPool:
    """Workers that start, serve and end, and the stock that they serve."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._stock: dict[ModelVersion, Copy] = {}
        self._statuses: Sequence[VersionStatus] = ()
        self._living: list[Worker] = []
        self._ready: list[Worker] = []
        self._changing = asyncio.Condition()

    def load_initial(self, bundle: Bundle) -> None:
        """Copy a bundle that is to be served from the start. Raises OSError."""
        self._stock[_key(bundle)] = self._snapshot.add(bundle)

    async def recruit(
        self, start: Callable[[Mapping[ModelVersion, Copy]], Awaitable[Worker]]
    ) -> Worker:
        """A worker that starts with the stock; say ``dismiss`` when it ended."""
        async with self._changing:
            worker = await start(self._stock)
            self._living.append(worker)
            return worker

    async def join(self, worker: Worker) -> None:
        """A recruit that is ready catches up with the others, and is one of them from now on."""
        async with self._changing:
            await self._align(worker)
            worker.publish_statuses(self._statuses)
            self._ready.append(worker)
            self._changing.notify_all()

    def dismiss(self, worker: Worker) -> None:
        """It ended."""
        self._living.remove(worker)
        if worker in self._ready:
            self._ready.remove(worker)

    @property
    def is_ready(self) -> bool:
        """Whether any worker serves."""
        return bool(self._ready)

    async def load(self, bundle: Bundle) -> None:
        """Serve it in every worker. Raises BundleRefused, and then none serves it."""
        async with self._changing:
            await self._changing.wait_for(lambda: self._ready)
            try:
                copy = await asyncio.to_thread(self._snapshot.add, bundle)
                await self._try(_key(bundle), copy)
                self._stock[_key(bundle)] = copy
            except OSError as error:
                raise BundleRefused(f"no room for a private copy: {error.strerror}") from None
            finally:
                await self._align_all()
                await self._tidy()

    async def unload(self, key: ModelVersion) -> None:
        """Serve it in no worker."""
        async with self._changing:
            self._stock.pop(key, None)
            await self._align_all()
            await self._tidy()

    def publish_statuses(self, statuses: Sequence[VersionStatus]) -> None:
        """Let all workers know."""
        self._statuses = statuses
        for worker in self._ready:
            worker.publish_statuses(statuses)

    async def _try(self, key: ModelVersion, copy: Copy) -> None:
        """Have one worker load a copy, and when that went well the others."""
        first, *others = self._ready
        try:
            await first.load(key, copy)
        except Gone:
            raise BundleRefused("the worker that tried to load it ended") from None
        for result in await asyncio.gather(
            *(worker.load(key, copy) for worker in others), return_exceptions=True
        ):
            if isinstance(result, BaseException) and not isinstance(result, Gone):
                raise result

    async def _align_all(self) -> None:
        await asyncio.gather(*(self._align(worker) for worker in self._ready))

    async def _align(self, worker: Worker) -> None:
        """Have a worker serve the stock and nothing else."""
        try:
            for key, copy in self._stock.items():
                if worker.stock.get(key) != copy:
                    await worker.load(key, copy)
            for key in worker.stock.keys() - self._stock.keys():
                await worker.unload(key)
        except ServiceError as error:
            logger.error("process %d cannot follow: %s", worker.process.pid, error)
            worker.send(signal.SIGKILL)
        except Gone:
            pass

    async def _tidy(self) -> None:
        stocks = [self._stock, *(worker.stock for worker in self._living)]
        in_use = {copy for stock in stocks for copy in stock.values()}
        await asyncio.to_thread(self._snapshot.keep, in_use)


def _key(bundle: Bundle) -> ModelVersion:
    return ModelVersion(bundle.manifest.name, bundle.manifest.version)
