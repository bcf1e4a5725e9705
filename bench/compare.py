"""One workload, side by side: every server answers it in turn, round after round.

What a machine does beside the benchmark changes from minute to minute, so that only what was
measured within one round is like for like: each round visits all servers, and medians are taken
over rounds.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench import bare, open_loop
from bench.contenders import FIXED_TUNED, OURS, Contender, contenders_of
from bench.load import Run
from bench.models import Reference, bundle_of
from bench.open_loop import Latency
from bench.servers import Cores, Server
from bench.workloads import Workload

WARM_UP_SECONDS: Final = 1
OPEN_CONNECTIONS: Final = 16


@dataclass(frozen=True)
class Plan:
    """How long, how often and where."""

    seconds: int
    repetitions: int
    server_cores: Cores
    load_cores: Cores


@dataclass(frozen=True)
class Figures:
    """Medians over rounds of one server; seconds, MiB, requests a second.

    ``capacity`` is in requests a CPU second of the server, and ``spread`` is the distance of its
    extremes over its median.
    """

    capacity: float
    spread: float
    throughput: float
    p50: float
    p99: float
    memory: float


@dataclass(frozen=True)
class Comparison:
    """All figures of one workload.

    ``calls`` are the CPU seconds of bare onnxruntime by graph and rows, and ``half`` the latencies
    at a constant rate of half the capacity.
    """

    workload: Workload
    servers: Mapping[str, Figures]
    calls: Mapping[str, bare.Costs]
    half: Mapping[str, Latency]

    def model_seconds(self, rows: int) -> float:
        """CPU seconds of all graphs for one call of so many rows."""
        return sum(calls[rows] for calls in self.calls.values())

    def limit(self, fixed: str = FIXED_TUNED) -> float:
        """The capacity of a server that costs no more than this fixed reply and the model in its
        best batch.
        """
        model_seconds = self.workload.rows * sum(map(bare.best_row, self.calls.values()))
        return 1 / (1 / self.servers[fixed].capacity + model_seconds)


@dataclass(frozen=True)
class Round:
    """One run of each server, in order, and bare onnxruntime's calls by graph."""

    runs: Sequence[Run]
    calls: Mapping[str, bare.Costs]


def compare(workload: Workload, plan: Plan, *, half: bool) -> Comparison:
    """Measure everything on one workload; ``half`` asks for the latencies at half the capacity.

    Raises BenchError when a server does not start or a reply is not right.
    """
    bundle = bundle_of(workload.model)
    reference = Reference(bundle)
    with contenders_of(workload, bundle, reference, plan.server_cores) as contenders:
        for contender in contenders:
            contender.drive(workload, WARM_UP_SECONDS, plan.load_cores)
        rounds = [_round(workload, contenders, reference, plan) for _ in range(plan.repetitions)]
        servers = {
            contender.server.name: summarise(
                [each.runs[index] for each in rounds], contender.server
            )
            for index, contender in enumerate(contenders)
        }
        # One connection alone is bound by its round trips, not by what the core can do.
        asked = half and workload.connections > 1
        latencies = _at_half(workload, contenders, servers, plan) if asked else {}
    calls = {
        graph.name: bare.typical([each.calls[graph.name] for each in rounds])
        for graph in workload.graphs
    }
    return Comparison(workload, servers, calls, latencies)


def summarise(runs: Sequence[Run], server: Server) -> Figures:
    """The medians of a server's runs."""
    capacities = [run.capacity for run in runs]
    return Figures(
        capacity=median(capacities),
        spread=(max(capacities) - min(capacities)) / median(capacities),
        throughput=median(run.throughput for run in runs),
        p50=median(run.load.p50 for run in runs),
        p99=median(run.load.p99 for run in runs),
        memory=server.memory_mib(),
    )


def _round(
    workload: Workload, contenders: Sequence[Contender], reference: Reference, plan: Plan
) -> Round:
    core = plan.server_cores[0]
    calls = {graph.name: bare.costs(reference, graph, core) for graph in workload.graphs}
    runs = []
    for contender in contenders:
        run = contender.drive(workload, plan.seconds, plan.load_cores)
        sys.stderr.write(
            f"{workload.name}  {contender.server.name:20}{run.capacity:10,.0f} requests/CPU-s"
            f"{run.throughput:10,.0f} requests/s  p50 {run.load.p50 * 1e3:.3f} ms\n"
        )
        runs.append(run)
    return Round(runs, calls)


def _at_half(
    workload: Workload, contenders: Sequence[Contender], servers: Mapping[str, Figures], plan: Plan
) -> dict[str, Latency]:
    """Of the floor and of ours: what the machine adds is in both."""
    return {
        contender.server.name: open_loop.drive(
            contender.server.port,
            contender.request,
            contender.reply,
            connections=max(OPEN_CONNECTIONS, workload.connections),
            rate=servers[contender.server.name].capacity / 2,
            seconds=plan.seconds,
            cores=plan.load_cores,
        )
        for contender in contenders
        if contender.server.name in (FIXED_TUNED, OURS)
    }
