"""Latency under bursts, measured and simulated: ``python -m bench bursts``.

The line of ``simulate.py`` comes from this machine in the same run: the bare model's calls, and the
server's capacity with one connection and with many. Then both, the server and the simulation, get
the same arrivals.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bench import bare, open_loop
from bench.arrivals import arrivals
from bench.compare import WARM_UP_SECONDS
from bench.contenders import Contender, Entry, ours
from bench.models import Reference, bundle_of
from bench.open_loop import Latency
from bench.simulate import Line, fit, simulate
from bench.workloads import Workload

DEFAULT: Final = "W7b"
LOADS: Final = (0.3, 0.5, 0.7)
BURSTS: Final = (1.0, 8.0, 32.0)


@dataclass(frozen=True)
class Case:
    """One load and mean burst: latencies measured and simulated, in seconds."""

    load: float
    burst: float
    measured: Latency
    p50: float
    p99: float


@dataclass(frozen=True)
class Bursts:
    """A workload's line, the capacities it was fitted to, and its cases."""

    workload: Workload
    line: Line
    alone: float
    together: float
    cases: Sequence[Case]


def measure(
    workload: Workload, server_core: int, load_core: int, *, seconds: int, repetitions: int
) -> Bursts:
    """Fit the line, then compare; the server on one core, the load on the other.

    Each case is the run with the lowest p99 of ``repetitions``: what else a machine does can only
    make it later.
    """
    bundle = bundle_of(workload.model)
    reference = Reference(bundle)
    with ExitStack() as stack:
        entry = Entry("ours", ours(bundle), workload)
        server = entry.enter(stack, reference, (server_core,))
        line, alone, together = _fit(workload, server, reference, server_core, load_core, seconds)
        cases = [
            _case(workload, server, line, together, load, burst, load_core, seconds, repetitions)
            for load, burst in _plan()
        ]
    return Bursts(workload, line, alone, together, cases)


def markdown(found: Bursts) -> str:
    """The line, and a row for each case."""
    line = found.line
    told = (
        f"{found.workload.name}, {found.workload.title}: {found.alone:,.0f} requests a CPU second "
        f"with one connection and {found.together:,.0f} with {found.workload.connections}, so a "
        f"turn costs {line.turn * 1e6:.0f} µs, a request {line.request * 1e6:.0f} µs, a batch "
        f"{line.fixed * 1e6:.0f} µs and a row {line.per_row * 1e6:.1f} µs."
    )
    head = ("load", "mean burst", "p50 ms", "simulated", "p99 ms", "simulated", "sent late, p99 ms")
    rule = ["---:"] * len(head)
    rows = [_cells(case) for case in found.cases]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
    return f"{told}\n\n{table}"


def _plan() -> Iterator[tuple[float, float]]:
    return ((load, burst) for burst in BURSTS for load in LOADS)


def _cells(case: Case) -> Sequence[str]:
    milliseconds = (case.measured.p50, case.p50, case.measured.p99, case.p99, case.measured.late)
    return (f"{case.load:.0%}", f"{case.burst:g}", *(f"{1e3 * each:.2f}" for each in milliseconds))


def _fit(
    workload: Workload,
    server: Contender,
    reference: Reference,
    server_core: int,
    load_core: int,
    seconds: int,
) -> tuple[Line, float, float]:
    """The line, and the capacities in requests a CPU second that it comes from."""
    server.drive(workload, WARM_UP_SECONDS, (load_core,))
    one = replace(workload, connections=1)
    alone = server.drive(one, seconds, (load_core,)).capacity
    together = server.drive(workload, seconds, (load_core,)).capacity
    connections = workload.connections
    calls = [
        sum(
            bare.call(reference, graph, workload.rows * count, server_core)
            for graph in workload.graphs
        )
        for count in (1, connections)
    ]
    line = fit(alone, together, connections=connections, rows=workload.rows, calls=calls)
    return line, alone, together


def _case(
    workload: Workload,
    server: Contender,
    line: Line,
    capacity: float,
    load: float,
    burst: float,
    load_core: int,
    seconds: int,
    repetitions: int,
) -> Case:
    rate = load * capacity
    runs = [
        open_loop.drive(
            server.server.port,
            server.request,
            server.reply,
            connections=workload.connections,
            rate=rate,
            burst=burst,
            seconds=seconds,
            cores=(load_core,),
        )
        for _ in range(repetitions)
    ]
    best = min(runs, key=lambda run: run.p99)
    due = arrivals(rate, seconds, burst)
    waited = simulate(due, line, connections=workload.connections, rows=workload.rows)
    p50, p99 = np.percentile(waited, (50, 99)).tolist()
    sys.stderr.write(
        f"{workload.name}  load {load:.0%}, bursts of {burst:g}: p99 {1e3 * best.p99:.2f} ms, "
        f"simulated {1e3 * p99:.2f} ms\n"
    )
    return Case(load, burst, best, p50, p99)
