"""The CPUs that this process may use: its affinity and the quota of its cgroup.

``os.cpu_count()`` counts the CPUs of the machine. In a container with a quota of two CPUs on a
machine with 64 it returns 64; the scheduler would stop 64 busy processes for most of every 100 ms.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/")


@dataclass(frozen=True)
class Cpus:
    """How many CPUs this process may use, and why."""

    count: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """The number of processes, and of the threads that compute one batch in each of them."""

    workers: int
    threads: int


def plan(workers: int, threads: int, cpus: int) -> Plan:
    """Replace each 0 so that ``workers`` × ``threads`` is at most ``cpus``, if that is possible.

    If both are 0, each CPU gets a process with one thread: processes also divide the reading and
    writing of requests, which takes longer than a small network does.
    """
    workers = workers or max(1, cpus // max(1, threads))
    return Plan(workers, threads or max(1, cpus // workers))


def available() -> Cpus:
    """The CPUs of the affinity mask, or the cgroup's quota if that is less."""
    return choose(_affinity(), cgroup_quota())


def choose(affinity: int, quota: float | None) -> Cpus:
    """The smaller of the two. A quota is rounded down: one more process would be throttled."""
    if quota is None or quota >= affinity:
        return Cpus(affinity, f"{affinity} by affinity")
    return Cpus(max(1, int(quota)), f"the cgroup's quota is {quota:g}, of {affinity} by affinity")


def cgroup_quota(root: Path = ROOT) -> float | None:
    """The quota of the cgroup (version 1 or 2) in CPUs, or None if it has none.

    The quotas of its ancestors hold as well, so it is the smallest of them.
    """
    quotas = [quota for directory in _directories(root) if (quota := _quota(directory)) is not None]
    return min(quotas, default=None)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _directories(root: Path) -> Iterator[Path]:
    """Directories that may have the quotas of this process's cgroup and of its ancestors.

    Some do not exist: a container may see the path of its cgroup on the host, but have its own
    cgroup mounted as the root.
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
