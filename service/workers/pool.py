"""The workers of a supervisor: all serve the same bundles, from the same private copies.

One worker tries a new bundle before the others load it. If any worker refuses the bundle, the
others unload it again. A worker that cannot load what the others serve is killed, and its successor
starts with the pool's bundles.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from service.errors import BundleRefused, ServiceError
from service.models.store import ModelVersion
from service.models.versions import VersionStatus
from service.workers.bundle_copies import BundleCopies, BundleCopy
from service.workers.channel import ChannelClosed
from service.workers.worker_process import WorkerProcess
from vae.bundle import Bundle, BundleError

logger = logging.getLogger(__name__)

Bundles = dict[ModelVersion, BundleCopy]
Start = Callable[[Mapping[ModelVersion, BundleCopy]], Awaitable[WorkerProcess]]
MAX_LOAD_ATTEMPTS: Final = 2  # a bundle that ends workers must not end all of them


class WorkerPool:
    """Workers that start, serve and end, and the bundles that all of them serve."""

    def __init__(self, copies: BundleCopies) -> None:
        self._copies = copies
        self._bundles: Bundles = {}
        self._statuses: Sequence[VersionStatus] = ()
        self._starting: list[Bundles] = []
        self._workers: list[WorkerProcess] = []
        self._ready: list[WorkerProcess] = []
        self._changed = asyncio.Condition()

    def load_initial(self, bundle: Bundle) -> None:
        """Copy a bundle that is served from the start. Raises OSError."""
        self._bundles[_version_of(bundle)] = self._copies.add(bundle)

    def discard(self, version: ModelVersion) -> None:
        """Forget a bundle that the first worker refused at its start."""
        self._bundles.pop(version, None)

    async def add(self, start: Start) -> WorkerProcess:
        """Start a worker with the pool's bundles; call ``remove`` when it has ended.

        It does not wait for a load that is under way. Raises OSError.
        """
        bundles = dict(self._bundles)
        self._starting.append(bundles)  # so that the copies are kept meanwhile
        try:
            worker = await start(await asyncio.to_thread(self._restore, bundles))
        finally:
            self._starting.remove(bundles)
        self._workers.append(worker)
        return worker

    async def add_ready(self, worker: WorkerProcess) -> None:
        """Bring a worker that has started up to date; later changes go to it as well."""
        async with self._changed:
            await self._align(worker)
            worker.publish_statuses(self._statuses)
            self._ready.append(worker)
            self._changed.notify_all()

    def remove(self, worker: WorkerProcess) -> None:
        """Forget a worker that has ended."""
        self._workers.remove(worker)
        if worker in self._ready:
            self._ready.remove(worker)

    @property
    def is_ready(self) -> bool:
        """Whether any worker serves."""
        return bool(self._ready)

    async def load(self, bundle: Bundle) -> None:
        """Load a bundle in every worker. Raises BundleRefused, and then no worker serves it."""
        key = _version_of(bundle)
        async with self._changed:
            try:
                copy = await asyncio.to_thread(self._copies.add, bundle)
                await self._load_in_one(key, copy)
                await self._load_in_all(key, copy)
                self._bundles[key] = copy
            except OSError as error:
                raise BundleRefused(f"no room for a private copy: {error.strerror}") from None
            finally:
                await self._align_all()
                await self._remove_unused_copies()

    async def unload(self, key: ModelVersion) -> None:
        """Unload a version in every worker."""
        async with self._changed:
            self._bundles.pop(key, None)
            await self._align_all()
            await self._remove_unused_copies()

    def publish_statuses(self, statuses: Sequence[VersionStatus]) -> None:
        """Send the status of every version to all workers."""
        self._statuses = statuses
        for worker in self._ready:
            worker.publish_statuses(statuses)

    async def _load_in_one(self, key: ModelVersion, copy: BundleCopy) -> None:
        """Try the bundle in one worker.

        If that worker ends, the cause may be another one, such as a kill from outside. The bundle
        is then tried once more, by a worker that became ready since: a bundle that does end
        workers meets no more than MAX_LOAD_ATTEMPTS of them.
        """
        known: list[WorkerProcess] = []
        for _ in range(MAX_LOAD_ATTEMPTS):
            worker = await self._wait_for_worker(known)
            try:
                return await worker.load(key, copy)
            except ChannelClosed:
                logger.warning("process %d ended while it loaded %s", worker.process.pid, key)
                known = list(self._ready)
        raise BundleRefused(f"{MAX_LOAD_ATTEMPTS} workers ended while they loaded it")

    async def _wait_for_worker(self, known: Sequence[WorkerProcess]) -> WorkerProcess:
        """A ready worker that is not among the ``known`` ones."""

        def others() -> list[WorkerProcess]:
            return [worker for worker in self._ready if worker not in known]

        return (await self._changed.wait_for(others))[0]

    async def _load_in_all(self, key: ModelVersion, copy: BundleCopy) -> None:
        others = [worker for worker in self._ready if worker.bundles.get(key) != copy]
        for result in await asyncio.gather(
            *(worker.load(key, copy) for worker in others), return_exceptions=True
        ):
            if isinstance(result, BaseException) and not isinstance(result, ChannelClosed):
                raise result

    async def _align_all(self) -> None:
        await asyncio.gather(*(self._align(worker) for worker in self._ready))

    async def _align(self, worker: WorkerProcess) -> None:
        """Have a worker serve the pool's bundles, but for those that are lost, and nothing else."""
        try:
            for key, copy in self._bundles.items():
                if worker.bundles.get(key) != copy and copy.is_complete:
                    await worker.load(key, copy)
            for key in worker.bundles.keys() - self._bundles.keys():
                await worker.unload(key)
        except ServiceError as error:
            logger.error(
                "process %d cannot serve what the others serve and is killed: %s",
                worker.process.pid,
                error,
            )
            worker.send_signal(signal.SIGKILL)
        except ChannelClosed:
            pass

    def _restore(self, bundles: Bundles) -> Bundles:
        """Restore copies that were removed from the disk; the result lacks those that are lost."""
        restored: Bundles = {}
        for key, copy in bundles.items():
            try:
                self._copies.restore(copy)
                restored[key] = copy
            except BundleError as error:
                logger.error("a worker starts without %s: %s", key, error)
        return restored

    async def _remove_unused_copies(self) -> None:
        used = [self._bundles, *self._starting, *(worker.bundles for worker in self._workers)]
        copies = {copy for bundles in used for copy in bundles.values()}
        await asyncio.to_thread(self._copies.remove_except, copies)


def _version_of(bundle: Bundle) -> ModelVersion:
    return ModelVersion(bundle.manifest.name, bundle.manifest.version)
