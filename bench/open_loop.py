"""Open-loop load: requests when they are due, whether or not the last ones were answered.

A request that is sent late, because every connection was taken or the program was held up, counts
from the moment it was due: waiting that a slow server causes is never left out (coordinated
omission: Tene, "How NOT to Measure Latency", 2015). Runs in a process of its own:
``python -m bench.open_loop --help``.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import uvloop

from bench.arrivals import Times, arrivals
from bench.errors import BenchError
from bench.exchange import Reply, Request
from bench.paths import ROOT
from bench.servers import Cores, pinned

GRACE_SECONDS: Final = 10
END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True)
class Latency:
    """From due to answered, in seconds, at ``rate`` requests a second on average.

    ``late`` is the 99th percentile of due to sent: what the generator itself adds.
    """

    rate: float
    p50: float
    p99: float
    late: float


def drive(
    port: int,
    request: Request,
    reply: Reply,
    *,
    connections: int,
    rate: float,
    seconds: int,
    cores: Cores,
    burst: float = 1.0,
) -> Latency:
    """Send ``request`` at ``rate`` for so long, evenly or in bursts (see ``arrivals.py``).

    Raises BenchError when not all get a 200.
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(request.raw())
        file.flush()
        command = [
            *(*pinned(cores), sys.executable, "-m", "bench.open_loop", "--port", str(port)),
            *("--request", file.name, "--body-bytes", str(len(reply.body))),
            *("--connections", str(connections), "--rate", str(rate), "--seconds", str(seconds)),
            *("--burst", str(burst)),
        ]
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise BenchError(f"at {rate:,.0f} requests/s: {done.stderr.strip()[-500:]}")
    return Latency(**json.loads(done.stdout))


class Connection(asyncio.Protocol):
    """Sends the request when told, and counts bytes until the reply is whole.

    Heads differ in length from reply to reply, by the number in a request id; bodies do not.
    """

    def __init__(self, load: "OpenLoop") -> None:
        self._load = load
        self._missing: int | None = None
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, due: float) -> None:
        self._due = due
        self._missing = None
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            if not data.startswith(b"HTTP/1.1 200 "):
                return self._load.fail(f"a reply starts with {data[:300]!r}")
            # The first packet of a reply is long enough to hold the head.
            self._missing = data.index(END_OF_HEAD) + len(END_OF_HEAD) + self._load.body_bytes
        self._missing -= len(data)
        if self._missing == 0:
            self._load.answered(self, self._due)
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self._load.fail(f"a connection was lost: {error or 'the server closed it'}")


class OpenLoop:
    """Keeps the schedule: a request is sent at each of the times ``due``, or once it can be."""

    def __init__(self, request: bytes, body_bytes: int, due: Times) -> None:
        self.request = request
        self.body_bytes = body_bytes
        self._fault: str | None = None
        self._due = due.tolist()
        self._total = len(due)
        self._sent = 0
        self._free: deque[Connection] = deque()
        self._waits: list[float] = []
        self._latencies: list[float] = []

    async def run(self, port: int, connections: int) -> Latency:
        """Send everything. Raises BenchError when not all of it is answered."""
        loop = asyncio.get_running_loop()
        pairs = [
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            for _ in range(connections)
        ]
        self._free.extend(connection for _, connection in pairs)
        await self._keep_schedule()
        for transport, _ in pairs:
            transport.abort()
        if len(self._latencies) < self._total:
            raise BenchError(
                f"{len(self._latencies)} of {self._total} requests were answered; "
                f"{self._fault or 'the rest took too long'}"
            )
        p50, p99 = np.percentile(self._latencies, (50, 99))
        rate = self._total / max(self._due[-1], 1e-9)
        return Latency(rate, float(p50), float(p99), float(np.percentile(self._waits, 99)))

    def answered(self, connection: Connection, due: float) -> None:
        """A reply is whole."""
        self._latencies.append(time.perf_counter() - due)
        self._free.append(connection)

    def fail(self, fault: str) -> None:
        """Something went wrong; the first such thing ends the load."""
        self._fault = self._fault or fault

    async def _keep_schedule(self) -> None:
        self._start = time.perf_counter()
        end = self._start + self._due[-1] + GRACE_SECONDS
        while self._under_way() and time.perf_counter() < end:
            self._send_due()
            # No sleep: a timer of the loop is a thousand times as coarse as the schedule.
            await asyncio.sleep(0)

    def _under_way(self) -> bool:
        return len(self._latencies) < self._total and self._fault is None

    def _send_due(self) -> None:
        now = time.perf_counter()
        while self._free and self._sent < self._total:
            due = self._start + self._due[self._sent]
            if due > now:
                return
            self._sent += 1
            self._waits.append(now - due)
            self._free.popleft().send(due)


def main() -> None:
    """One line of JSON: a Latency."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--body-bytes", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--burst", type=float, default=1.0)
    given = parser.parse_args()
    due = arrivals(given.rate, given.seconds, given.burst)
    load = OpenLoop(given.request.read_bytes(), given.body_bytes, due)
    try:
        latency = uvloop.run(load.run(given.port, given.connections))
    except BenchError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(asdict(latency)) + "\n")


if __name__ == "__main__":
    main()
