"""Workers that are killed under load, with nothing good left on the disk."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.fakes import write_fake_bundle
from tests.load import Load, Outcome, request
from tests.supervised import Service, workers

pytestmark = pytest.mark.chaos

KILLS = 20
CONNECTIONS = 64
BACK_SECONDS = 5.0
ENCODE = request("/encode", json.dumps({"inputs": [[1] * 20]}).encode())


async def kill_under_load(service: Service, port: int) -> tuple[Outcome, list[float]]:
    """Kill a worker again and again; how long each took to be replaced."""
    seconds = []
    async with Load(port, ENCODE, CONNECTIONS) as load:
        for number in range(KILLS):
            await asyncio.sleep(1.2)  # more than what makes a worker steady
            latest = dict(service.starts())[str(number % 2)]
            expected = len(service.starts()) + 1
            started = time.monotonic()
            os.kill(latest, signal.SIGKILL)
            while len(service.starts()) < expected:
                assert time.monotonic() < started + 30
                await asyncio.sleep(0.01)
            seconds.append(time.monotonic() - started)
    return load.outcome, seconds


def test_a_killed_worker_costs_what_it_was_answering(tmp_path: Path) -> None:
    bundle = write_fake_bundle(tmp_path)
    with workers(tmp_path, "--runtime", "tests.fakes:FakeRuntime") as service:
        for file in bundle.iterdir():
            file.write_bytes(b"damaged")
        outcome, seconds = asyncio.run(kill_under_load(service, service.port))
    print(
        f"\n{KILLS} × kill -9 under {CONNECTIONS} connections: {outcome.answered} answered, "
        f"{len(outcome.lost)} lost, back after {max(seconds):.1f} s at the most"
    )
    assert outcome.statuses.keys() == {200}
    assert outcome.refused == 0
    assert len(outcome.lost) <= KILLS * CONNECTIONS  # one for each connection of a dead worker
    assert max(seconds) <= BACK_SECONDS
