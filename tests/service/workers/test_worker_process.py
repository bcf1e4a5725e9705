"""A worker as its supervisor sees it, without a process: what is too slow is killed."""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import BundleRefused
from service.models.store import ModelVersion
from service.workers import worker_process
from service.workers.bundle_copies import BundleCopy
from service.workers.channel import MAX_LINE, Channel
from service.workers.worker_process import WorkerProcess
from tests.fakes import fake_settings

KEY, COPY = ModelVersion("fake", 1), BundleCopy("copies/1", (), "fake/1", "00")
SOON = 0.05


class FakeProcess:
    """Ends by SIGKILL, and its end of the channel closes then."""

    pid = 4711

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.killed = False
        self.channel: Channel

    def send_signal(self, number: signal.Signals) -> None:
        assert number == signal.SIGKILL
        self.killed = True
        self.end()

    def end(self) -> None:
        self.channel.close()
        self.ended.set()

    async def wait(self) -> int:
        await self.ended.wait()
        return -9 if self.killed else 0


Body = Callable[[WorkerProcess, FakeProcess], Awaitable[None]]


@pytest.fixture(autouse=True)
def short_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "TICK_SECONDS", 0.01)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., None]:
    """``run(body, **settings)`` with a worker whose other end answers nothing."""

    async def never(**arguments: Any) -> None:
        await asyncio.sleep(60)

    async def main(body: Body, settings: Any) -> None:
        near, far = socket.socketpair()
        fake = FakeProcess()
        fake.channel = await Channel.connect(far, {"load": never})
        running = asyncio.create_task(fake.channel.run())
        streams = await asyncio.open_unix_connection(sock=near, limit=MAX_LINE)
        worker: Any = WorkerProcess(fake, {}, streams, {}, fake_settings(tmp_path, **settings))  # type: ignore[arg-type]
        await body(worker, fake)
        fake.end()
        await worker.close()
        await running

    return lambda body, **settings: asyncio.run(asyncio.wait_for(main(body, settings), 20))


def test_one_that_is_not_ready_in_time_is_killed(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def body(worker: WorkerProcess, fake: FakeProcess) -> None:
        assert not await worker.wait_until_ready()
        assert fake.killed

    caplog.set_level(logging.ERROR)
    run(body, start_seconds=SOON)
    assert caplog.messages == ["process 4711 is not ready after 0.05 s and is killed"]


def test_one_that_ends_before_is_not_waited_for(run: Callable[..., None]) -> None:
    async def body(worker: WorkerProcess, fake: FakeProcess) -> None:
        fake.end()
        assert not await worker.wait_until_ready()
        assert not fake.killed

    run(body)


def test_one_that_is_ready_may_be_silent_for_hang_seconds(run: Callable[..., None]) -> None:
    async def body(worker: WorkerProcess, fake: FakeProcess) -> None:
        fake.channel.notify("ready")
        assert await worker.wait_until_ready()
        assert not fake.killed
        assert await worker.wait_until_end() > 0
        assert fake.killed

    run(body, start_seconds=60, hang_seconds=SOON)


def test_one_that_does_not_get_a_bundle_loaded_is_killed(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def body(worker: WorkerProcess, fake: FakeProcess) -> None:
        with pytest.raises(BundleRefused):
            await worker.load(KEY, COPY)
        assert fake.killed
        assert worker.bundles == {}

    caplog.set_level(logging.ERROR)
    run(body, start_seconds=SOON)
    assert caplog.messages == ["process 4711 has not loaded fake/1 after 0.05 s and is killed"]
