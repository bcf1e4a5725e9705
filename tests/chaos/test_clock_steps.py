"""The clock of the wall is set by hours and years while requests are answered."""

import asyncio
import json
import shutil
import struct
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tests.fakes import SLOW, write_fake_bundle
from tests.load import Load, Outcome, request
from tests.supervised import Service, workers

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(sys.platform != "linux", reason="preloads a library"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]

HOUR, DAY = 3600, 86400
STEPS = (HOUR, -HOUR, 2 * DAY, -30 * DAY, 400 * DAY, -4000 * DAY, 0)
CONNECTIONS = 16
DEADLINE = 0.25
ENCODE = request("/encode", json.dumps({"inputs": [[1] * 20]}).encode())


class Clock:
    """What the service's processes take for the time of day, in seconds from the right one."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = directory / "offset"
        self.set(0)
        library = directory / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", source, "-o", library, "-ldl"],
            check=True,
        )
        monkeypatch.setenv("CLOCK_OFFSET", str(self._file))
        monkeypatch.setenv("LD_PRELOAD", str(library))

    def set(self, offset: int) -> None:
        """In the one file that all of them see."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("q", offset))


async def expect_step(client: httpx.AsyncClient, offset: int) -> None:
    """Wait until replies are dated by the clock as it is set now; both workers write theirs."""
    async with asyncio.timeout(20):
        for _ in range(8):
            while True:
                date = parsedate_to_datetime((await client.get("/health/live")).headers["date"])
                if abs(date.timestamp() - time.time() - offset) < 5:
                    break
                await asyncio.sleep(0.1)


async def expect_deadline(client: httpx.AsyncClient) -> float:
    """Seconds until a request is given up that takes longer than its deadline."""
    headers = {"X-Timeout-Ms": str(int(1000 * DEADLINE))}
    started = time.monotonic()
    reply = await client.post("/encode", json={"inputs": [[SLOW] * 20]}, headers=headers)
    assert reply.status_code == 504
    return time.monotonic() - started


async def step(service: Service, clock: Clock) -> tuple[Outcome, list[float]]:
    """All steps under load; how long each deadline took right after one."""
    deadlines = []
    limits = httpx.Limits(max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=service.url, limits=limits) as client,
        Load(service.port, ENCODE, CONNECTIONS) as load,
    ):
        for offset in STEPS:
            waiting = asyncio.create_task(expect_deadline(client))
            await asyncio.sleep(DEADLINE / 2)
            clock.set(offset)
            deadlines.append(await waiting)
            await expect_step(client, offset)
    return load.outcome, deadlines


def test_steps_of_the_clock_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fake_bundle(tmp_path / "models")
    clock = Clock(tmp_path, monkeypatch)
    options = ("--runtime", "tests.fakes:SlowRuntime", "--inline-ms", "0")
    with workers(tmp_path / "models", *options) as service:
        starts = len(service.starts())
        outcome, deadlines = asyncio.run(step(service, clock))
        assert len(service.starts()) == starts
    print(
        f"\n{len(STEPS)} steps: {outcome.answered} answered, {len(outcome.lost)} lost; "
        f"deadlines of {DEADLINE} s passed after {min(deadlines):.2f} to {max(deadlines):.2f} s"
    )
    assert outcome.lost == []
    assert outcome.statuses.keys() == {200}
    assert min(deadlines) >= DEADLINE
    assert max(deadlines) < DEADLINE + 1
