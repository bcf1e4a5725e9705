"""One worker and two on the same cores: ``python -m bench scaling``.

With two cores the load generator shares them with the workers, so the requests a second show less
than a second worker can do. Both figures are given: the measured one, and the one that follows if
the load comes from another machine: the requests a CPU second of the servers, divided by the
busiest worker's share of that time, because this worker is the first to be full.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.check import check
from bench.load import Run, drive
from bench.models import Reference, bundle_of
from bench.paths import VENVS
from bench.rows import Row
from bench.serve import WARM_UP_SECONDS, requests_of, wait_until_ready
from bench.server import Cores, Server, running
from bench.table import table
from bench.workloads import Workload

DEFAULT: Final = "W2,W3,W4,W7"
WORKERS: Final = (1, 2)
CONNECTIONS: Final = 64


@dataclass(frozen=True)
class Scale:
    """Medians over the runs of one number of workers.

    ``throughput`` is in requests a second, ``capacity`` in requests a CPU second; ``busiest`` is
    the busiest worker's share of the servers' CPU time.
    """

    workload: Workload
    workers: int
    throughput: float
    capacity: float
    server_cores: float
    load_cores: float
    busiest: float

    @property
    def load_elsewhere(self) -> float:
        """Requests a second if the load came from another machine."""
        return self.capacity / self.busiest


def measure(
    ours: Row, workloads: Sequence[Workload], cores: Cores, *, seconds: int, runs: int
) -> list[Scale]:
    """Each workload with each number of workers, with 64 connections."""
    return [
        _measure(ours, workload, workers, cores, seconds, runs)
        for workload in workloads
        for workers in WORKERS
    ]


def markdown(found: Sequence[Scale]) -> str:
    """A line for each workload and number of workers."""
    one = {scale.workload.name: scale for scale in found if scale.workers == 1}
    head = (
        *("workload", "workers", "requests/s", "× one", "cores of the workers", "cores of wrk"),
        *("requests a CPU second", "busiest worker", "requests/s, load elsewhere", "× one"),
    )
    return table(head, [_line(scale, one[scale.workload.name]) for scale in found])


def _line(scale: Scale, one: Scale) -> Sequence[str]:
    return (
        scale.workload.name,
        str(scale.workers),
        f"{scale.throughput:,.0f}",
        f"{scale.throughput / one.throughput:.2f}",
        f"{scale.server_cores:.2f}",
        f"{scale.load_cores:.2f}",
        f"{scale.capacity:,.0f}",
        f"{scale.busiest:.0%}",
        f"{scale.load_elsewhere:,.0f}",
        f"{scale.load_elsewhere / one.load_elsewhere:.2f}",
    )


def _measure(
    ours: Row,
    workload: Workload,
    workers: int,
    cores: Cores,
    seconds: int,
    runs: int,
) -> Scale:
    bundle, operation = bundle_of(workload.model), ours.operations[workload.operation]
    requests = requests_of(workload, operation)
    found: list[tuple[Run, float]] = []
    arguments = ("--workers", str(workers))
    with running(ours, bundle, VENVS, cores, arguments=arguments) as server:
        wait_until_ready(server, workload, operation)
        check(server.port, workload, operation, Reference(bundle))
        for length in (WARM_UP_SECONDS, *(seconds for _ in range(runs))):
            before = server.cpu_by_process()
            run = drive(
                server,
                operation.path,
                requests,
                connections=CONNECTIONS,
                seconds=length,
                server_cores=cores,
                load_cores=cores,
            )
            found.append((run, _busiest(server, before)))
            sys.stderr.write(f"{workload.name}  {workers}{run.throughput:10,.0f} requests/s\n")
    return _scale(workload, workers, found[1:])


def _busiest(server: Server, before: dict[int, float]) -> float:
    """The busiest process's share of the CPU time since ``before``."""
    used = [seconds - before.get(pid, 0.0) for pid, seconds in server.cpu_by_process().items()]
    return max(used) / sum(used)


def _scale(workload: Workload, workers: int, found: Sequence[tuple[Run, float]]) -> Scale:
    runs = [run for run, _ in found]
    return Scale(
        workload,
        workers,
        throughput=median(run.throughput for run in runs),
        capacity=median(run.capacity for run in runs),
        server_cores=median(1e6 * run.server_seconds / run.counts.duration for run in runs),
        load_cores=median(1e6 * run.load_seconds / run.counts.duration for run in runs),
        busiest=median(share for _, share in found),
    )
