"""A fleet of hand-made workers: all serve the same, whatever some of them do."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.errors import BundleRefused
from service.models.store import ModelVersion
from service.workers.channel import Gone
from service.workers.pool import WorkerPool
from service.workers.snapshot import Copy, Snapshot
from tests.fakes import write_fake_bundle
from vae.bundle import Bundle, open_bundle

KEY = ModelVersion("fake", 1)


class FakeWorker:
    """Serves what it is told, unless ``fails`` says what it raises; counts its loads."""

    def __init__(self, stock: Mapping[ModelVersion, Copy]) -> None:
        self.process = SimpleNamespace(pid=1)
        self.stock = dict(stock)
        self.fails: list[Exception] = []
        self.loads = 0
        self.shown: Any = None
        self.killed = False

    async def load(self, key: ModelVersion, copy: Copy) -> None:
        self.loads += 1
        if self.fails:
            raise self.fails.pop(0)
        assert copy.open().manifest.name == key.name
        self.stock[key] = copy

    async def unload(self, key: ModelVersion) -> None:
        del self.stock[key]

    def publish_statuses(self, statuses: Any) -> None:
        self.shown = statuses

    def send(self, number: signal.Signals) -> None:
        self.killed = number == signal.SIGKILL


class Loader:
    """A fleet of three, and the bundles that it may load."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fleet = WorkerPool(Snapshot(directory / "copies"))
        self.workers: list[FakeWorker] = []

    async def recruit(self) -> FakeWorker:
        async def start(stock: Mapping[ModelVersion, Copy]) -> Any:
            return FakeWorker(stock)

        worker: Any = await self.fleet.recruit(start)
        return worker  # type: ignore[no-any-return]

    async def hire(self, number: int = 3) -> None:
        for _ in range(number):
            worker = await self.recruit()
            await self.fleet.join(worker)  # type: ignore[arg-type]
            self.workers.append(worker)

    def bundle(self) -> Bundle:
        return open_bundle(write_fake_bundle(self.directory / "models"))

    def stocks(self) -> list[list[int]]:
        return [sorted(key.version for key in worker.stock) for worker in self.workers]

    def copies(self) -> int:
        return len(list((self.directory / "copies").iterdir()))


def run(directory: Path, body: Callable[[Loader], Awaitable[None]]) -> None:
    async def main() -> None:
        fleet = Loader(directory)
        fleet.fleet.load_initial(fleet.bundle())
        await body(fleet)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_all_load_and_unload_and_the_copies_follow(tmp_path: Path) -> None:
    async def body(fleet: Loader) -> None:
        await fleet.hire()
        await fleet.fleet.load(fleet.bundle())
        assert fleet.stocks() == [[1, 2]] * 3
        await fleet.fleet.unload(KEY)
        assert fleet.stocks() == [[2]] * 3
        assert fleet.copies() == 1

    run(tmp_path, body)


def test_what_the_first_refuses_the_others_never_see(tmp_path: Path) -> None:
    async def body(fleet: Loader) -> None:
        await fleet.hire()
        fleet.workers[0].fails = [BundleRefused("bad")]
        with pytest.raises(BundleRefused, match="bad"):
            await fleet.fleet.load(fleet.bundle())
        assert fleet.stocks() == [[1]] * 3
        assert [worker.loads for worker in fleet.workers] == [1, 0, 0]
        assert fleet.copies() == 1

    run(tmp_path, body)


def test_what_one_refuses_all_give_back(tmp_path: Path) -> None:
    async def body(fleet: Loader) -> None:
        await fleet.hire()
        fleet.workers[2].fails = [BundleRefused("no memory")]
        with pytest.raises(BundleRefused, match="no memory"):
            await fleet.fleet.load(fleet.bundle())
        assert fleet.stocks() == [[1]] * 3
        assert fleet.copies() == 1

    run(tmp_path, body)


def test_a_bundle_that_its_first_worker_dies_of_is_refused(tmp_path: Path) -> None:
    async def body(fleet: Loader) -> None:
        await fleet.hire()
        fleet.workers[0].fails = [Gone()]
        with pytest.raises(BundleRefused, match="the worker that tried to load it ended"):
            await fleet.fleet.load(fleet.bundle())
        fleet.workers[1].fails = [Gone()]  # of another death, while the first serves it
        await fleet.fleet.load(fleet.bundle())
        assert [versions[-1] for versions in fleet.stocks()] == [3, 3, 3]

    run(tmp_path, body)


def test_one_that_starts_meanwhile_catches_up_and_keeps_its_copies(tmp_path: Path) -> None:
    async def body(fleet: Loader) -> None:
        await fleet.hire(1)
        late = await fleet.recruit()
        await fleet.fleet.load(fleet.bundle())
        await fleet.fleet.unload(KEY)
        assert [copy.open().manifest.version for copy in late.stock.values()] == [1]
        fleet.fleet.publish_statuses(["entry"])  # type: ignore[list-item]
        await fleet.fleet.join(late)  # type: ignore[arg-type]
        assert list(late.stock) == [ModelVersion("fake", 2)]
        assert late.shown == ["entry"]
        fleet.fleet.dismiss(late)  # type: ignore[arg-type]
        assert fleet.fleet.is_ready

    run(tmp_path, body)


def test_one_that_cannot_follow_is_killed(tmp_path: Path) -> None:
    async def body(fleet: Loader) -> None:
        await fleet.hire(1)
        late = await fleet.recruit()
        await fleet.fleet.load(fleet.bundle())
        late.fails = [BundleRefused("no memory")]
        await fleet.fleet.join(late)  # type: ignore[arg-type]
        assert late.killed

    run(tmp_path, body)


def test_a_load_waits_for_the_first_worker(tmp_path: Path) -> None:
    async def body(fleet: Loader) -> None:
        loading = asyncio.create_task(fleet.fleet.load(fleet.bundle()))
        await asyncio.sleep(0.02)
        assert not loading.done()
        await fleet.hire()
        await loading
        assert fleet.stocks() == [[1, 2]] * 3

    run(tmp_path, body)
