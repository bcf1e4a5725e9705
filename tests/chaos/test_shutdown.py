"""SIGTERM under load, again and again."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.fakes import write_fake_bundle
from tests.load import Load, Outcome, request
from tests.servers import Server, serving

pytestmark = pytest.mark.chaos

TIMES = 20
CONNECTIONS = 64
ENCODE = request("/encode", json.dumps({"inputs": [[1] * 20]}).encode())


async def stop_under_load(server: Server, *, obeys_close: bool) -> Outcome:
    async with Load(server.port, ENCODE, CONNECTIONS, obeys_close=obeys_close) as load:
        await asyncio.sleep(0.7)
        server.process.send_signal(signal.SIGTERM)
        await load.until_refused()
    return load.outcome


@pytest.mark.parametrize("obeys_close", [True, False], ids=["obey", "reconnect"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load(tmp_path: Path, workers: str, *, obeys_close: bool) -> None:
    """Clients that obey Connection: close lose nothing; of blind ones at most one a stop does."""
    write_fake_bundle(tmp_path)
    answered, lost = 0, []
    for _ in range(TIMES):
        options = ("--runtime", "tests.fakes:FakeRuntime", "--workers", workers)
        with serving(tmp_path, *options) as server:
            outcome = asyncio.run(stop_under_load(server, obeys_close=obeys_close))
            assert server.process.wait(10) == 0
        answered += outcome.statuses.pop(200)
        assert not outcome.statuses
        lost.append(outcome.lost)
    total = sum(map(len, lost))
    print(
        f"\nworkers {workers}, clients {'obey' if obeys_close else 'reconnect'}: "
        f"{TIMES} × SIGTERM, {answered} answered, {total} lost"
    )
    assert max(map(len, lost)) <= (0 if obeys_close else 1), lost
