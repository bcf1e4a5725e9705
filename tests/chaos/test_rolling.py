"""Services that are replaced one after the other behind a balancer, under load."""

import asyncio
import json
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.balancer import Backend, Balancer
from tests.fakes import write_fake_bundle
from tests.load import Load, Outcome, request
from tests.servers import Server, serving

pytestmark = pytest.mark.chaos

TIMES = 10
CONNECTIONS = 64
ENCODE = request("/encode", json.dumps({"inputs": [[1] * 20]}).encode())


class Deployment:
    """Two services of the same models."""

    def __init__(self, stack: ExitStack, models: Path) -> None:
        self._stack = stack
        self._models = models
        self.servers = [self.start(), self.start()]

    def start(self) -> Server:
        options = ("--runtime", "tests.fakes:FakeRuntime", "--log-level", "error")
        return self._stack.enter_context(serving(self._models, *options))

    async def replace(self, slot: int, balancer: Balancer) -> None:
        """SIGTERM, and another when it has ended."""
        old = self.servers[slot].process
        old.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(old.wait, 30) == 0
        self.servers[slot] = await asyncio.to_thread(self.start)
        balancer.backends[slot] = Backend(self.servers[slot].port)
        await balancer.until_ready()


async def roll(deployment: Deployment) -> tuple[Outcome, list[str]]:
    async with Balancer(*(server.port for server in deployment.servers)) as balancer:
        await balancer.until_ready()
        async with Load(balancer.port, ENCODE, CONNECTIONS) as load:
            for number in range(TIMES):
                await deployment.replace(number % 2, balancer)
        return load.outcome, balancer.failures


def test_rolling_restarts_lose_nothing(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    with ExitStack() as stack:
        outcome, failures = asyncio.run(roll(Deployment(stack, tmp_path)))
    print(
        f"\n{TIMES} replacements under {CONNECTIONS} connections: {outcome.answered} answered, "
        f"{len(outcome.lost) + len(failures)} lost, the slowest took {outcome.slowest:.2f} s"
    )
    assert failures == []
    assert outcome.lost == []
    assert outcome.statuses.keys() == {200}
