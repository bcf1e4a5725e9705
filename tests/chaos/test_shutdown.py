"""SIGTERM under load, again and again."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.fakes import write_fake_bundle
from tests.load import Load, Outcome, request
from tests.servers import AS_IT_IS, WITHOUT_RIGHTS, Server, serving

pytestmark = pytest.mark.chaos

TIMES = 20
CONNECTIONS = 64
ENCODE = request("/encode", json.dumps({"inputs": [[1] * 20]}).encode())


async def stop_under_load(server: Server) -> Outcome:
    async with Load(server.port, ENCODE, CONNECTIONS) as load:
        await asyncio.sleep(0.7)
        server.process.send_signal(signal.SIGTERM)
        await load.until_refused()
    return load.outcome


@pytest.mark.parametrize("under", [AS_IT_IS, WITHOUT_RIGHTS])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_loses_nothing(
    tmp_path: Path, workers: str, under: tuple[str, ...]
) -> None:
    write_fake_bundle(tmp_path)
    answered, lost = 0, []
    for _ in range(TIMES):
        options = ("--runtime", "tests.fakes:FakeRuntime", "--workers", workers)
        with serving(tmp_path, *options, under=under) as server:
            outcome = asyncio.run(stop_under_load(server))
            assert server.process.wait(10) == 0
        answered += outcome.statuses.pop(200)
        assert not outcome.statuses
        lost += outcome.lost
    rights = "with the rights there are" if under == AS_IT_IS else "without CAP_NET_ADMIN"
    print(
        f"\nworkers {workers}, {rights}: {TIMES} × SIGTERM, {answered} answered, {len(lost)} lost"
    )
    assert lost == []
