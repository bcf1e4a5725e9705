"""Closed-loop load: wrk, each connection with one request under way, as fast as replies come."""

import json
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import BenchError
from bench.exchange import Reply, Request
from bench.paths import POST_SCRIPT
from bench.servers import Cores, Server, pinned

GROWN_HEAD_BYTES: Final = 16


@dataclass(frozen=True)
class Load:
    """What wrk counted; latencies in seconds, ``bytes`` with heads and unfinished replies."""

    requests: int
    bytes: int
    seconds: float
    p50: float
    p99: float
    failed: int
    not_2xx: int


@dataclass(frozen=True)
class Run:
    """A load and the CPU time that it took from the server and from wrk."""

    load: Load
    server_seconds: float
    wrk_seconds: float

    @property
    def throughput(self) -> float:
        """Requests a second of wall clock."""
        return self.load.requests / self.load.seconds

    @property
    def capacity(self) -> float:
        """Requests a CPU second of the server: what a core that does nothing else can do."""
        if self.server_seconds == 0:
            raise BenchError("the server used no CPU time that could be measured: run longer")
        return self.load.requests / self.server_seconds


def require_tools() -> None:
    """Raises BenchError when wrk or taskset is not installed."""
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            raise BenchError(f"{tool} is not installed; on Debian: apt-get install {package}")


def drive(
    server: Server, request: Request, reply: Reply, *, connections: int, seconds: int, cores: Cores
) -> Run:
    """Send ``request`` for so long, and count the answers that are like ``reply``.

    Raises BenchError when one failed, was no 2xx, or had another length.
    """
    with tempfile.NamedTemporaryFile() as body:
        body.write(request.body)
        body.flush()
        command = _command(server, request, Path(body.name), connections, seconds, cores)
        server_before, wrk_before = server.cpu_seconds(), _children_seconds()
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        used = server.cpu_seconds() - server_before, _children_seconds() - wrk_before
    if done.returncode != 0:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()[-500:]}")
    load = parse(done.stdout)
    require_right(server.name, load, reply.wire_bytes, connections)
    return Run(load, *used)


def parse(output: str) -> Load:
    """The figures in the line that post.lua ends with. Raises BenchError when there is none."""
    try:
        figures = json.loads(output.strip().splitlines()[-1])
        return Load(
            requests=figures["requests"],
            bytes=figures["bytes"],
            seconds=figures["duration"] / 1e6,
            p50=figures["p50"] / 1e6,
            p99=figures["p99"] / 1e6,
            failed=figures["failed"],
            not_2xx=figures["not_2xx"],
        )
    except (IndexError, ValueError, KeyError, TypeError):
        raise BenchError(f"wrk's output is not understood: {output[-500:]!r}") from None


def require_right(name: str, load: Load, reply_bytes: int, connections: int) -> None:
    """Raises BenchError unless every reply was a 2xx of the length of the one that was checked."""
    if load.requests == 0:
        raise BenchError(f"{name}: no request was answered")
    if load.failed or load.not_2xx:
        raise BenchError(
            f"{name}: {load.failed} requests failed and {load.not_2xx} were answered with no 2xx"
        )
    # The reply that each connection had begun to read when the time was over is counted, too, and a
    # request id may hold a number that grows.
    surplus = load.bytes - load.requests * reply_bytes
    if not 0 <= surplus <= connections * reply_bytes + load.requests * GROWN_HEAD_BYTES:
        raise BenchError(
            f"{name}: {load.requests} replies had {load.bytes} bytes; "
            f"the one that was checked had {reply_bytes}"
        )


def _command(
    server: Server, request: Request, body: Path, connections: int, seconds: int, cores: Cores
) -> list[str]:
    return [
        *(*pinned(cores), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"),
        *("--latency", "-s", str(POST_SCRIPT), f"http://127.0.0.1:{server.port}{request.path}"),
        *("--", str(body), *(f"{name}: {value}" for name, value in request.headers.items())),
    ]


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
