"""Closed-loop load by wrk: every connection sends its next request when the reply has arrived."""

import json
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from bench.check import Question
from bench.cores import CoreSpeed, busy_seconds
from bench.errors import BenchError
from bench.server import Cores, Server, pinned

SCRIPT: Final = Path(__file__).parent / "load.lua"


class Counts(BaseModel):
    """What wrk counted; times in microseconds."""

    requests: int
    duration: int
    p50: int
    p99: int
    failed: int
    not_2xx: int


class Run(BaseModel):
    """A load and what it cost.

    ``interference`` is the largest share of a core that other processes took; ``speed`` is that of
    the server's core, see ``CoreSpeed``.
    """

    counts: Counts
    server_seconds: float
    load_seconds: float
    speed: float
    interference: float

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return self.counts.requests / self.counts.duration * 1e6

    @property
    def capacity(self) -> float:
        """Requests a CPU second of the server: what a core can do that does nothing else."""
        return self.counts.requests / self.server_seconds


def require_tools() -> None:
    """Raises BenchError if wrk or taskset is not installed."""
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            raise BenchError(f"{tool} is not installed; on Debian: apt-get install {package}")


def drive(
    server: Server,
    path: str,
    asked: Sequence[Question],
    *,
    connections: int,
    seconds: int,
    server_cores: Cores,
    load_cores: Cores,
) -> Run:
    """Send the requests in turn for so many seconds.

    Raises BenchError if a request fails or has a status other than 2xx.
    """
    with tempfile.NamedTemporaryFile() as bodies:
        for each in asked:
            bodies.write(b"%d\n%b" % (len(each.body), each.body))
        bodies.flush()
        url = f"http://127.0.0.1:{server.port}{path}"
        command = [
            *(*pinned(load_cores), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"),
            *("--timeout", "30s", "-s", str(SCRIPT), url, "--", bodies.name),
            *(f"{name}: {value}" for name, value in asked[0].headers.items()),
        ]
        began = time.perf_counter()
        used = server.cpu_seconds(), _children_seconds()
        busy = busy_seconds(server_cores), busy_seconds(load_cores)
        with CoreSpeed(server_cores[0]) as speed:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        busy = busy_seconds(server_cores) - busy[0], busy_seconds(load_cores) - busy[1]
        used = server.cpu_seconds() - used[0], _children_seconds() - used[1]
        elapsed = time.perf_counter() - began
    if done.returncode != 0:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()[-500:]}")
    others = max(all_of_it - own for all_of_it, own in zip(busy, used, strict=True))
    return Run(
        counts=parse(done.stdout),
        server_seconds=used[0],
        load_seconds=used[1],
        speed=speed.million_turns,
        interference=max(others / elapsed, 0.0),
    )


def parse(output: str) -> Counts:
    """The line that ``load.lua`` prints at the end.

    Raises BenchError if there is none, or if a request failed.
    """
    try:
        counts = Counts.model_validate(json.loads(output.strip().splitlines()[-1]))
    except (IndexError, ValueError, ValidationError):
        raise BenchError(f"unexpected output of wrk: {output[-500:]!r}") from None
    if counts.requests == 0:
        raise BenchError("no request was answered")
    if counts.failed or counts.not_2xx:
        raise BenchError(f"{counts.failed} requests failed, {counts.not_2xx} had no status 2xx")
    return counts


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
