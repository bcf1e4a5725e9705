"""Latency at a constant rate of half the capacity: ``python -m bench latency``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench import open_loop
from bench.check import check, post, question
from bench.load import drive
from bench.models import Reference, bundle_of
from bench.open_loop import Latency
from bench.rows import Row
from bench.serve import FIRST_SEED, WARM_UP_SECONDS, Plan, requests_of, wait_until_ready
from bench.server import running
from bench.table import table
from bench.workloads import Workload

DEFAULT: Final = "W2,W3,W4,W5,W6,W7,W7b"
"""Not W1, whose single connection is limited by its round trips and not by the core."""
CONNECTIONS: Final = 16
"""At least so many, so that a request rarely waits for a free connection."""


@dataclass(frozen=True)
class Measured:
    """The latencies of a row on a workload, one for each run."""

    row: Row
    workload: Workload
    runs: Sequence[Latency]


def measure(rows: Sequence[Row], workloads: Sequence[Workload], plan: Plan) -> list[Measured]:
    """Each row on each workload, ``plan.runs`` times. Raises BenchError on a wrong reply."""
    return [
        _measure(row, workload, plan)
        for workload in workloads
        for row in rows
        if workload.operation in row.operations
    ]


def markdown(found: Sequence[Measured]) -> str:
    """A line for each row and workload: the medians over its runs."""
    head = ("workload", "server", "requests/s", "p50 ms", "p99 ms", "sent late, p99 ms")
    lines = [
        (
            *(each.workload.name, each.row.title, f"{each.runs[0].rate:,.0f}"),
            *(
                f"{1e3 * median(figures):.3f}"
                for figures in zip(
                    *((run.p50, run.p99, run.late) for run in each.runs), strict=True
                )
            ),
        )
        for each in found
    ]
    return table(head, lines, names=2)


def _measure(row: Row, workload: Workload, plan: Plan) -> Measured:
    bundle = bundle_of(workload.model)
    operation = row.operations[workload.operation]
    cores = (plan.server_core,)
    with running(row, bundle, plan.venvs, cores, operation=workload.operation) as server:
        wait_until_ready(server, workload, operation)
        check(server.port, workload, operation, Reference(bundle))
        requests = requests_of(workload, operation)
        for seconds in (WARM_UP_SECONDS, plan.seconds):
            run = drive(
                server,
                operation.path,
                requests,
                connections=workload.connections,
                seconds=seconds,
                server_cores=cores,
                load_cores=(plan.load_core,),
            )
        runs = [_at_half(server.port, workload, row, run.capacity, plan) for _ in range(plan.runs)]
    return Measured(row, workload, runs)


def _at_half(port: int, workload: Workload, row: Row, capacity: float, plan: Plan) -> Latency:
    operation = row.operations[workload.operation]
    asked = question(workload, operation, FIRST_SEED)
    _, (body, _) = post(port, operation.path, asked.body, asked.headers)
    latency = open_loop.drive(
        port,
        operation.path,
        asked,
        len(body),
        connections=max(CONNECTIONS, workload.connections),
        rate=capacity / 2,
        seconds=plan.seconds,
        cores=(plan.load_core,),
    )
    sys.stderr.write(
        f"{row.name:10} {workload.name:4}{latency.rate:10,.0f} requests/s  "
        f"p50 {1e3 * latency.p50:.3f} ms  p99 {1e3 * latency.p99:.3f} ms\n"
    )
    return latency
