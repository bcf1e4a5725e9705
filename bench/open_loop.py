"""Open-loop load: requests at a constant rate, whether or not earlier ones were answered.

Latency counts from the moment a request was due, so that the wait which a slow server causes is
part of it (coordinated omission: Tene, "How NOT to Measure Latency", 2015). It runs in a process of
its own: ``python -m bench.open_loop --help``.
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

from bench.check import Question
from bench.errors import BenchError
from bench.paths import ROOT
from bench.server import Cores, pinned

GRACE_SECONDS: Final = 10
END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True)
class Latency:
    """Seconds from due to answered at ``rate`` requests a second.

    ``late`` is the 99th percentile from due to sent: what the generator adds.
    """

    rate: float
    p50: float
    p99: float
    late: float


def drive(
    port: int,
    path: str,
    asked: Question,
    reply_bytes: int,
    *,
    connections: int,
    rate: float,
    seconds: int,
    cores: Cores,
) -> Latency:
    """Send ``asked`` at ``rate``; every reply's body has ``reply_bytes``.

    Raises BenchError unless every request gets a 200.
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(_message(path, asked))
        file.flush()
        command = [
            *(*pinned(cores), sys.executable, "-m", "bench.open_loop", "--port", str(port)),
            *("--request", file.name, "--body-bytes", str(reply_bytes)),
            *("--connections", str(connections), "--rate", str(rate), "--seconds", str(seconds)),
        ]
        done = subprocess.run(  # noqa: S603
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise BenchError(f"at {rate:,.0f} requests/s: {done.stderr.strip()[-500:]}")
    return Latency(**json.loads(done.stdout))


def _message(path: str, asked: Question) -> bytes:
    """The request as it is sent."""
    headers = {"Host": "127.0.0.1", **asked.headers, "Content-Length": str(len(asked.body))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + asked.body


class Connection(asyncio.Protocol):
    """One connection of the load: sends the request, counts the bytes of its reply.

    The heads of replies may differ in length, their bodies do not.
    """

    def __init__(self, load: "OpenLoop") -> None:
        self._load = load
        self._missing: int | None = None
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, due: float) -> None:
        """Send the request that was due at this time of ``time.perf_counter``."""
        self._due = due
        self._missing = None
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            if not data.startswith(b"HTTP/1.1 200 "):
                return self._load.fail(f"a reply starts with {data[:300]!r}")
            # The first segment of a reply holds its whole head.
            self._missing = data.index(END_OF_HEAD) + len(END_OF_HEAD) + self._load.body_bytes
        self._missing -= len(data)
        if self._missing == 0:
            self._load.answered(self, self._due)
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self._load.fail(f"a connection was lost: {error or 'the server closed it'}")


class OpenLoop:
    """Sends ``count`` requests at ``rate``; a request waits only while no connection is free."""

    def __init__(self, request: bytes, body_bytes: int, rate: float, count: int) -> None:
        self.request = request
        self.body_bytes = body_bytes
        self._rate = rate
        self._count = count
        self._error: str | None = None
        self._free: deque[Connection] = deque()
        self._waits: list[float] = []
        self._latencies: list[float] = []

    async def run(self, port: int, connections: int) -> Latency:
        """Send everything. Raises BenchError unless every request is answered."""
        loop = asyncio.get_running_loop()
        pairs = [
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
            for _ in range(connections)
        ]
        self._free.extend(connection for _, connection in pairs)
        await self._keep_schedule()
        for transport, _ in pairs:
            transport.abort()
        if len(self._latencies) < self._count:
            raise BenchError(
                f"{len(self._latencies)} of {self._count} requests were answered; "
                f"{self._error or 'the others took too long'}"
            )
        p50, p99 = np.percentile(self._latencies, (50, 99))
        return Latency(self._rate, float(p50), float(p99), float(np.percentile(self._waits, 99)))

    def answered(self, connection: Connection, due: float) -> None:
        """Called when a reply is complete."""
        self._latencies.append(time.perf_counter() - due)
        self._free.append(connection)

    def fail(self, error: str) -> None:
        """End the load; the first error is reported."""
        self._error = self._error or error

    async def _keep_schedule(self) -> None:
        start = time.perf_counter()
        end = start + self._count / self._rate + GRACE_SECONDS
        while self._unfinished() and time.perf_counter() < end:
            self._send_due(start)
            # No longer sleep: timers of the loop are coarser than the schedule.
            await asyncio.sleep(0)

    def _unfinished(self) -> bool:
        return len(self._latencies) < self._count and self._error is None

    def _send_due(self, start: float) -> None:
        now = time.perf_counter()
        while self._free and len(self._waits) < self._count:
            due = start + len(self._waits) / self._rate
            if due > now:
                return
            self._waits.append(now - due)
            self._free.popleft().send(due)


def main() -> None:
    """Print a Latency as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--body-bytes", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    given = parser.parse_args()
    count = max(1, int(given.rate * given.seconds))
    load = OpenLoop(given.request.read_bytes(), given.body_bytes, given.rate, count)
    try:
        latency = uvloop.run(load.run(given.port, given.connections))
    except BenchError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(asdict(latency)) + "\n")


if __name__ == "__main__":
    main()
