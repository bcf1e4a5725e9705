"""The CPUs that this process may really use: its affinity and the quota of its cgroup.

``os.cpu_count()`` counts the machine. In a container with a quota of two CPUs on a machine of 64 it
says 64, and as many busy processes are stopped by the scheduler for most of every 100 ms.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/")


@dataclass(frozen=True)
class Cpus:
    """How many CPUs there are to use, and how that was found."""

    count: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """Processes, and threads of one batch's computation in each."""

    workers: int
    threads: int


def plan(workers: int, threads: int, cpus: int) -> Plan:
    """Fill in what is 0 so that ``workers`` × ``threads`` are at most ``cpus``, where that goes.

    Where both are 0 every CPU gets a process of one thread: processes also share the reading and
    writing of requests, which takes longer than a small network does.
    """
    workers = workers or max(1, cpus // max(1, threads))
    return Plan(workers, threads or max(1, cpus // workers))


def available() -> Cpus:
    """The CPUs of the affinity mask, or of the cgroup's quota where that is less."""
    return choose(_affinity(), cgroup_quota())


def choose(affinity: int, quota: float | None) -> Cpus:
    """The smaller of the two. A quota is rounded down: a process more would be throttled."""
    if quota is None or quota >= affinity:
        return Cpus(affinity, f"{affinity} by affinity")
    return Cpus(max(1, int(quota)), f"the cgroup's quota is {quota:g}, of {affinity} by affinity")


def cgroup_quota(root: Path = ROOT) -> float | None:
    """CPUs' worth of time that the cgroup (version 1 or 2) may use, or None where none is set.

    An ancestor's quota binds, too: the smallest counts.
    """
    quotas = [quota for directory in _directories(root) if (quota := _quota(directory)) is not None]
    return min(quotas, default=None)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _directories(root: Path) -> Iterator[Path]:
    """Where the quotas of this process and of its ancestors may be found.

    A container may see the path of its cgroup on the host and have its own group mounted as the
    root, so that directories that do not exist are to be expected.
    """
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            hierarchy = mount
        elif "cpu" in controllers.split(","):
            hierarchy = mount / "cpu"
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for part in (inside, *inside.parents):
            yield hierarchy / part


def _quota(directory: Path) -> float | None:
    """``cpu.max`` of version 2 is "max 100000" or "150000 100000": microseconds of each period."""
    try:
        if (directory / "cpu.max").exists():
            quota, period = (directory / "cpu.max").read_text().split()
        else:
            quota = (directory / "cpu.cfs_quota_us").read_text().strip()
            period = (directory / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return None
    return int(quota) / int(period) if quota not in ("max", "-1") else None
