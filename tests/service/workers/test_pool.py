"""A pool of hand-written workers: all serve the same, whatever happens to some of them."""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.errors import BundleRefused
from service.models.store import ModelVersion
from service.workers.bundle_copies import BundleCopies, BundleCopy
from service.workers.channel import ChannelClosed
from service.workers.pool import MAX_LOAD_ATTEMPTS, WorkerPool
from tests.fakes import write_fake_bundle
from vae.bundle import Bundle, open_bundle

FIRST = ModelVersion("fake", 1)


class FakeWorker:
    """Loads what it is given, unless ``errors`` says what it raises; counts its loads."""

    def __init__(self, bundles: Mapping[ModelVersion, BundleCopy]) -> None:
        self.process = SimpleNamespace(pid=1)
        self.bundles = dict(bundles)
        self.errors: list[Exception] = []
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.loads = 0
        self.has_begun = asyncio.Event()
        self.statuses: Any = None
        self.killed = False

    async def load(self, key: ModelVersion, copy: BundleCopy) -> None:
        self.loads += 1
        self.has_begun.set()
        await self.may_load.wait()
        if self.errors:
            raise self.errors.pop(0)
        assert copy.open().manifest.name == key.name
        self.bundles[key] = copy

    async def unload(self, key: ModelVersion) -> None:
        del self.bundles[key]

    def publish_statuses(self, statuses: Any) -> None:
        self.statuses = statuses

    def send_signal(self, number: signal.Signals) -> None:
        self.killed = number == signal.SIGKILL


class Pool:
    """A pool, its workers, and the bundles that it may load."""

    def __init__(self, directory: Path) -> None:
        self.models = directory / "models"
        self.directory = directory / "copies"
        self.pool = WorkerPool(BundleCopies(self.directory))
        self.workers: list[FakeWorker] = []

    async def start(self) -> Any:
        async def start(bundles: Mapping[ModelVersion, BundleCopy]) -> Any:
            return FakeWorker(bundles)

        return await self.pool.add(start)

    async def add(self, number: int = 3) -> None:
        for _ in range(number):
            worker = await self.start()
            await self.pool.add_ready(worker)
            self.workers.append(worker)

    def remove(self, worker: Any) -> None:
        self.workers.remove(worker)
        self.pool.remove(worker)

    def bundle(self) -> Bundle:
        return open_bundle(write_fake_bundle(self.models))

    def versions(self) -> list[list[int]]:
        return [sorted(key.version for key in worker.bundles) for worker in self.workers]

    def copies(self) -> int:
        return len(list(self.directory.iterdir()))


def run(directory: Path, body: Callable[[Pool], Awaitable[None]]) -> None:
    async def main() -> None:
        pool = Pool(directory)
        pool.pool.load_initial(pool.bundle())
        await body(pool)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_all_workers_load_and_unload_and_unused_copies_are_removed(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add()
        await pool.pool.load(pool.bundle())
        assert pool.versions() == [[1, 2]] * 3
        await pool.pool.unload(FIRST)
        assert pool.versions() == [[2]] * 3
        assert pool.copies() == 1

    run(tmp_path, body)


def test_a_bundle_that_the_first_worker_refuses_never_reaches_the_others(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add()
        pool.workers[0].errors = [BundleRefused("bad")]
        with pytest.raises(BundleRefused, match="bad"):
            await pool.pool.load(pool.bundle())
        assert pool.versions() == [[1]] * 3
        assert [worker.loads for worker in pool.workers] == [1, 0, 0]
        assert pool.copies() == 1

    run(tmp_path, body)


def test_a_bundle_that_one_worker_refuses_is_unloaded_from_all(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add()
        pool.workers[2].errors = [BundleRefused("no memory")]
        with pytest.raises(BundleRefused, match="no memory"):
            await pool.pool.load(pool.bundle())
        assert pool.versions() == [[1]] * 3
        assert pool.copies() == 1

    run(tmp_path, body)


async def replace(pool: Pool, worker: FakeWorker, *errors: Exception) -> None:
    """What the supervisor does after a worker ended while it loaded a bundle."""
    await worker.has_begun.wait()
    pool.remove(worker)
    await pool.add(1)
    pool.workers[-1].errors = list(errors)


def test_a_worker_that_is_killed_while_it_tries_a_bundle_does_not_make_it_refused(
    tmp_path: Path,
) -> None:
    async def body(pool: Pool) -> None:
        await pool.add()
        killed = pool.workers[0]
        killed.errors = [ChannelClosed()]
        await asyncio.gather(pool.pool.load(pool.bundle()), replace(pool, killed))
        assert pool.versions() == [[1, 2]] * 3

    run(tmp_path, body)


def test_a_bundle_that_ends_workers_is_refused_before_it_ends_all(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add()
        ended = pool.workers[0]
        ended.errors = [ChannelClosed()]
        loading, _ = await asyncio.gather(
            pool.pool.load(pool.bundle()),
            replace(pool, ended, *[ChannelClosed()] * 100),
            return_exceptions=True,
        )
        assert isinstance(loading, BundleRefused)
        assert f"{MAX_LOAD_ATTEMPTS} workers ended" in loading.detail
        assert [worker.loads for worker in pool.workers] == [0, 0, 1]

    run(tmp_path, body)


def test_another_worker_that_is_killed_during_a_load_changes_nothing(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add()
        pool.workers[1].errors = [ChannelClosed()]
        await pool.pool.load(pool.bundle())
        assert [versions[-1] for versions in pool.versions()] == [2, 2, 2]

    run(tmp_path, body)


def test_a_worker_starts_while_another_one_loads(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add(1)
        pool.workers[0].may_load.clear()
        loading = asyncio.create_task(pool.pool.load(pool.bundle()))
        await pool.workers[0].has_begun.wait()
        late = await asyncio.wait_for(pool.start(), 5)
        assert list(late.bundles) == [FIRST]
        joining = asyncio.create_task(pool.pool.add_ready(late))
        pool.workers[0].may_load.set()
        await asyncio.gather(loading, joining)
        assert late.bundles == pool.workers[0].bundles

    run(tmp_path, body)


def test_a_worker_that_is_late_catches_up_and_keeps_its_copies_meanwhile(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add(1)
        late = await pool.start()
        await pool.pool.load(pool.bundle())
        await pool.pool.unload(FIRST)
        assert [copy.open().manifest.version for copy in late.bundles.values()] == [1]
        pool.pool.publish_statuses(["status"])  # type: ignore[list-item]
        await pool.pool.add_ready(late)
        assert list(late.bundles) == [ModelVersion("fake", 2)]
        assert late.statuses == ["status"]
        pool.pool.remove(late)
        assert pool.pool.is_ready

    run(tmp_path, body)


def test_a_worker_that_cannot_catch_up_is_killed(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        await pool.add(1)
        late = await pool.start()
        await pool.pool.load(pool.bundle())
        late.errors = [BundleRefused("no memory")]
        await pool.pool.add_ready(late)
        assert late.killed

    run(tmp_path, body)


def test_a_load_waits_for_the_first_worker(tmp_path: Path) -> None:
    async def body(pool: Pool) -> None:
        loading = asyncio.create_task(pool.pool.load(pool.bundle()))
        await asyncio.sleep(0.02)
        assert not loading.done()
        await pool.add()
        await loading
        assert pool.versions() == [[1, 2]] * 3

    run(tmp_path, body)


def test_a_worker_starts_after_all_copies_were_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(pool: Pool) -> None:
        second = pool.bundle()
        pool.pool.load_initial(second)
        shutil.rmtree(pool.directory)
        await pool.add(1)
        assert [copy.open().manifest.version for copy in pool.workers[0].bundles.values()] == [1, 2]
        shutil.rmtree(pool.directory)
        (second.path / "golden.npz").write_bytes(b"damaged")
        await pool.add(1)
        assert list(pool.workers[1].bundles) == [FIRST]
        assert "a worker starts without fake/2: " in caplog.text

    run(tmp_path, body)
