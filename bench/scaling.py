"""What a second worker brings on two cores: ``python -m bench scaling``.

With two cores the load generator takes its time from the same cores as the workers, so requests a
second show less than a second worker can do. Both figures are given: what was seen, and what
follows when the load comes from another machine, which is the requests a CPU second of the servers
over the busiest worker's share of that time, since this worker is full first.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.compare import WARM_UP_SECONDS
from bench.contenders import Entry, ours
from bench.load import Run
from bench.models import Reference, bundle_of
from bench.servers import Cores, Server
from bench.workloads import Workload

DEFAULT: Final = "W2,W3,W4,W7"
WORKERS: Final = (1, 2)


@dataclass(frozen=True)
class Scale:
    """Medians of one number of workers: requests a second, CPUs in use, the busiest's share."""

    workers: int
    throughput: float
    capacity: float
    server_cpus: float
    wrk_cpus: float
    busiest: float

    @property
    def elsewhere(self) -> float:
        """Requests a second with the load on another machine."""
        return self.capacity / self.busiest


def measure(workload: Workload, cores: Cores, *, seconds: int, repetitions: int) -> list[Scale]:
    """One Scale for each of WORKERS, whose servers take turns. All of it runs on ``cores``."""
    bundle = bundle_of(workload.model)
    reference = Reference(bundle)
    with ExitStack() as stack:
        contenders = [
            Entry(f"workers {count}", (*ours(bundle), "--workers", str(count)), workload).enter(
                stack, reference, cores
            )
            for count in WORKERS
        ]
        for contender in contenders:
            contender.drive(workload, WARM_UP_SECONDS, cores)
        runs: list[list[tuple[Run, float]]] = [[] for _ in WORKERS]
        for _ in range(repetitions):
            for contender, found in zip(contenders, runs, strict=True):
                before = contender.server.cpu_by_process()
                run = contender.drive(workload, seconds, cores)
                found.append((run, _busiest(contender.server, before)))
                sys.stderr.write(
                    f"{workload.name}  {contender.server.name}{run.throughput:10,.0f} requests/s\n"
                )
    return [_scale(count, found) for count, found in zip(WORKERS, runs, strict=True)]


def markdown(found: Sequence[tuple[Workload, list[Scale]]]) -> str:
    """A row for each workload and number of workers."""
    head = (
        *("workload", "workers", "requests/s", "× one", "CPUs of the workers", "CPUs of wrk"),
        *("requests a CPU second", "busiest worker", "requests/s, load elsewhere", "× one"),
    )
    rule = ["---", *("---:" for _ in head[1:])]
    lines = [_cells(workload, scale, scales[0]) for workload, scales in found for scale in scales]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def _cells(workload: Workload, scale: Scale, one: Scale) -> Sequence[str]:
    return (
        workload.name,
        str(scale.workers),
        f"{scale.throughput:,.0f}",
        f"{scale.throughput / one.throughput:.2f}",
        f"{scale.server_cpus:.2f}",
        f"{scale.wrk_cpus:.2f}",
        f"{scale.capacity:,.0f}",
        f"{scale.busiest:.0%}",
        f"{scale.elsewhere:,.0f}",
        f"{scale.elsewhere / one.elsewhere:.2f}",
    )


def _busiest(server: Server, before: dict[int, float]) -> float:
    """The busiest process's share of the CPU time since ``before``."""
    used = [seconds - before.get(pid, 0.0) for pid, seconds in server.cpu_by_process().items()]
    return max(used) / sum(used)


def _scale(workers: int, found: Sequence[tuple[Run, float]]) -> Scale:
    runs = [run for run, _ in found]
    return Scale(
        workers,
        throughput=median(run.throughput for run in runs),
        capacity=median(run.capacity for run in runs),
        server_cpus=median(run.server_seconds / run.load.seconds for run in runs),
        wrk_cpus=median(run.wrk_seconds / run.load.seconds for run in runs),
        busiest=median(share for _, share in found),
    )
