"""Measures rows on workloads, one server at a time, on one core."""

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.check import Question, check, post, question
from bench.errors import BenchError
from bench.load import Run, drive
from bench.models import Reference, bundle_of
from bench.results import Cell, Results, Startup
from bench.rows import Operation, Row
from bench.server import Server, running
from bench.workloads import Workload

WARM_UP_SECONDS: Final = 2
START_SECONDS: Final = 180
POOL: Final = {True: 16, False: 4}
"""Distinct requests that a load sends in turn: of one image, and of many."""
FIRST_SEED: Final = 1000
MAX_INTERFERENCE: Final = 0.05


@dataclass(frozen=True)
class Plan:
    """Runs of ``seconds``; ``runs`` of each cell in each of ``rounds``, and at most ``retries``
    more if other processes disturb them.
    """

    seconds: int
    runs: int
    rounds: int
    retries: int
    server_core: int
    load_core: int
    venvs: Path


def measure(rows: Sequence[Row], workloads: Sequence[Workload], plan: Plan) -> Results:
    """Every row on every workload; rounds alternate the order of the rows.

    A cell that fails keeps its error. This process stays on the core of the load.
    """
    os.sched_setaffinity(0, {plan.load_core})
    results = Results(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        machine=f"{_processor()}, Linux {platform.release()}",
        seconds=plan.seconds,
        titles={row.name: row.title for row in rows},
        notes={row.name: row.note for row in rows},
        ceilings=[row.name for row in rows if row.ceiling],
    )
    for index in range(plan.rounds):
        for row in rows if index % 2 == 0 else reversed(rows):
            for group in _groups(row, workloads):
                _measure_group(row, group, plan, results)
    return results


def _groups(row: Row, workloads: Sequence[Workload]) -> list[list[Workload]]:
    """The workloads that one process of the row's server can answer, by model and operation."""
    groups: dict[tuple[str, str], list[Workload]] = {}
    for workload in workloads:
        if workload.operation in row.operations:
            operation = workload.operation if row.one_operation else ""
            groups.setdefault((workload.model, operation), []).append(workload)
    return list(groups.values())


def _measure_group(row: Row, workloads: Sequence[Workload], plan: Plan, results: Results) -> None:
    bundle = bundle_of(workloads[0].model)
    reference = Reference(bundle)
    operation = workloads[0].operation if row.one_operation else ""
    began = time.monotonic()
    with running(row, bundle, plan.venvs, (plan.server_core,), operation=operation) as server:
        for workload in workloads:
            cell = results.cell(row.name, workload.name)
            try:
                wait_until_ready(server, workload, row.operations[workload.operation])
                started = time.monotonic() - began
                _measure_cell(row, workload, server, reference, plan, cell)
            except BenchError as error:
                cell.error = str(error)
                sys.stderr.write(f"{row.name:10} {workload.name:4} FAILED: {error}\n")
            else:
                results.startups.setdefault(row.name, Startup(seconds=started))
        results.startups.setdefault(row.name, Startup()).update(server)


def wait_until_ready(server: Server, workload: Workload, operation: Operation) -> None:
    """Wait until the operation is answered with 200. Raises BenchError if it is not."""
    asked = question(workload, operation, 0)

    def ready() -> bool:
        try:
            return post(server.port, operation.path, asked.body, asked.headers)[0] == 200
        except OSError:
            return False

    server.wait(ready, START_SECONDS)


def _measure_cell(
    row: Row, workload: Workload, server: Server, reference: Reference, plan: Plan, cell: Cell
) -> None:
    """Check, load, check again."""
    operation = row.operations[workload.operation]
    server.require_pinned((plan.server_core,))
    if not row.ceiling:
        cell.reply_bytes = check(server.port, workload, operation, reference)
    _load(server, workload, operation, plan, WARM_UP_SECONDS)
    runs = _undisturbed(server, workload, operation, plan)
    if not row.ceiling:
        check(server.port, workload, operation, reference)
    server.require_pinned((plan.server_core,))
    cell.runs += runs


def _undisturbed(server: Server, workload: Workload, operation: Operation, plan: Plan) -> list[Run]:
    """The runs with the least interference, when enough are below MAX_INTERFERENCE or after all
    retries.
    """
    runs: list[Run] = []
    while True:
        run = _load(server, workload, operation, plan, plan.seconds)
        runs = sorted([*runs, run], key=lambda each: each.interference)
        sys.stderr.write(
            f"{server.log.stem:10} {workload.name:4}{run.throughput:10,.1f} requests/s  "
            f"{run.capacity:10,.1f} a CPU second  core speed {run.speed:.1f}  "
            f"others {run.interference:.0%}\n"
        )
        quiet = sum(each.interference <= MAX_INTERFERENCE for each in runs)
        if quiet >= plan.runs or len(runs) >= plan.runs + plan.retries:
            return runs[: plan.runs]


def _load(
    server: Server, workload: Workload, operation: Operation, plan: Plan, seconds: int
) -> Run:
    return drive(
        server,
        operation.path,
        requests_of(workload, operation),
        connections=workload.connections,
        seconds=seconds,
        server_cores=(plan.server_core,),
        load_cores=(plan.load_core,),
    )


def requests_of(workload: Workload, operation: Operation) -> list[Question]:
    """The requests that a load sends in turn."""
    count = POOL[workload.rows == 1]
    return [question(workload, operation, FIRST_SEED + index) for index in range(count)]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
