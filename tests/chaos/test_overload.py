"""More requests than can be answered, by a schedule that waits for nobody."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import write_fake_bundle
from tests.load import Load, request
from tests.open_loop import Reply, drive, poisson
from tests.servers import Server, serving

pytestmark = pytest.mark.chaos

TIMES = (2, 5, 10)
WARM_SECONDS, LOAD_SECONDS, QUIET_SECONDS = 1.0, 10.0, 3.0
QUIET_SHARE = 0.5  # of capacity
CONNECTIONS = 1000
TIMEOUT = 0.5  # seconds; the queue of the other case lasts about as long
GOODPUT = 0.85
REFUSED_SECONDS = 0.05
RECOVERED_SECONDS = 1.0
IN_A_ROW = 50
BODY = json.dumps({"inputs": [[1] * 20]}).encode()
CASES = {
    "bounded by time": ((), request("/encode", BODY, f"X-Timeout-Ms: {1000 * TIMEOUT:.0f}")),
    "bounded by rows": (
        ("--max-queue-rows", "64", "--max-request-rows", "64"),
        request("/encode", BODY),
    ),
}


@dataclass(frozen=True)
class Figures:
    """What one load got; rates in requests a second, times in seconds."""

    statuses: Counter[int]
    goodput: float
    refused_p50: float
    refused_p99: float
    recovered: float

    @classmethod
    def of(cls, replies: list[Reply]) -> "Figures":
        """``goodput`` counts answers that came in time while the load lasted, once it is steady."""
        loaded = [reply for reply in replies if reply.due < LOAD_SECONDS]
        ends = [r.due + r.seconds for r in replies if r.status == 200 and r.seconds <= TIMEOUT]
        steady = [end for end in ends if WARM_SECONDS <= end < LOAD_SECONDS]
        refused = [reply.seconds for reply in loaded if reply.status == 429]
        p50, p99 = np.percentile(refused, (50, 99))
        return cls(
            Counter(reply.status for reply in loaded),
            len(steady) / (LOAD_SECONDS - WARM_SECONDS),
            float(p50),
            float(p99),
            recovered(replies),
        )


def recovered(replies: list[Reply]) -> float:
    """Seconds from the end of the load to the first of many in a row that hardly wait."""
    row: list[float] = []
    for reply in sorted(replies):
        if reply.due >= LOAD_SECONDS and reply.status == 200 and reply.seconds < TIMEOUT / 2:
            row.append(reply.due - LOAD_SECONDS)
            if len(row) == IN_A_ROW:
                return row[0]
        else:
            row.clear()
    return float("inf")


async def capacity(server: Server, ask: bytes) -> float:
    """Answers a second when a few callers ask without pause."""
    seconds = 3.0
    async with Load(server.port, ask, 32) as load:
        await asyncio.sleep(1)
        before, started = load.outcome.answered, time.monotonic()
        await asyncio.sleep(seconds)
        answered, seconds = load.outcome.answered - before, time.monotonic() - started
    assert load.outcome.statuses.keys() == {200}
    return answered / seconds


@pytest.mark.parametrize("case", CASES)
def test_overload_costs_no_throughput(tmp_path: Path, case: str) -> None:
    write_fake_bundle(tmp_path)
    options, ask = CASES[case]
    options += ("--runtime", "tests.fakes:SleepyRuntime", "--max-batch-rows", "8")
    options += ("--keep-alive-seconds", "60", "--log-level", "error")
    with serving(tmp_path, *options) as server:
        most = asyncio.run(capacity(server, ask))
        print(f"\n{case}: capacity {most:.0f} requests/s")
        for times in TIMES:
            due = poisson([(times * most, LOAD_SECONDS), (QUIET_SHARE * most, QUIET_SECONDS)])
            replies = drive(server.port, ask, due, CONNECTIONS)
            figures = Figures.of(replies)
            share = figures.goodput / most
            print(
                f"{times} times: goodput {share:.2f} of it, {dict(figures.statuses)}; refused "
                f"after {1000 * figures.refused_p50:.1f} ms, 99% within "
                f"{1000 * figures.refused_p99:.1f} ms; recovered after {figures.recovered:.2f} s"
            )
            refusals = [reply for reply in replies if reply.status == 429]
            assert all(b"retry-after: " in reply.head for reply in refusals)
            assert share >= GOODPUT
            assert figures.refused_p99 < REFUSED_SECONDS
            assert figures.recovered < RECOVERED_SECONDS
