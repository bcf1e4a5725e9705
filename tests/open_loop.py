"""Load by a schedule: requests are sent when they are due, whatever became of those before.

A request counts from when it was due, so that what waits for a free connection is not left out.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import uvloop

from tests.load import LENGTH

END_OF_HEAD = b"\r\n\r\n"
GRACE_SECONDS = 20.0


class Reply(NamedTuple):
    """Times in seconds from the start of the load; ``status`` 0 is no whole reply."""

    due: float
    seconds: float  # from due to answered
    status: int
    head: bytes


def poisson(rates: Sequence[tuple[float, float]], seed: int = 1) -> list[float]:
    """Arrivals of independent callers: for each (rate, seconds) so many a second for so long."""
    random = np.random.default_rng(seed)
    due: list[float] = []
    start = 0.0
    for rate, seconds in rates:
        count = random.poisson(rate * seconds)
        due.extend(start + np.sort(random.uniform(0, seconds, count)))
        start += seconds
    return due


def drive(port: int, ask: bytes, due: Sequence[float], connections: int) -> list[Reply]:
    """Send ``ask`` at each of these times on whichever connection is free."""
    gc.collect()
    gc.freeze()  # going through all that the tests imported would hold the schedule up
    return uvloop.run(Schedule(port, ask, due, connections).run())


@dataclass(eq=False)
class Line(asyncio.Protocol):
    """One connection: a request at a time."""

    schedule: "Schedule"
    due: float | None = None
    data: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def send(self, due: float) -> None:
        self.due, self.data = due, b""
        self.transport.write(self.schedule.ask)

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, found, body = self.data.partition(END_OF_HEAD)
        if found and (length := LENGTH.search(head)) and len(body) == int(length[1]):
            self._note(int(head[9:12]), head)
            self.schedule.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.due is not None:
            self._note(0, b"")

    def _note(self, status: int, head: bytes) -> None:
        assert self.due is not None
        self.schedule.note(self.due, status, head)
        self.due = None


class Schedule:
    """Sends what is due, in order, and notes what came back."""

    def __init__(self, port: int, ask: bytes, due: Sequence[float], connections: int) -> None:
        self.ask = ask
        self.free: deque[Line] = deque()
        self._port = port
        self._due = due
        self._connections = connections
        self._replies: list[Reply] = []

    async def run(self) -> list[Reply]:
        """All replies, in the order in which they came."""
        self._loop = asyncio.get_running_loop()
        lines = [await self._connect() for _ in range(self._connections)]
        self.free.extend(lines)
        self._start = self._loop.time()
        await self._send_all()
        await self._wait_for_the_rest()
        for line in lines:
            line.transport.abort()
        await asyncio.sleep(0)  # for the transports to go
        return self._replies

    def note(self, due: float, status: int, head: bytes) -> None:
        now = self._loop.time() - self._start
        self._replies.append(Reply(due, now - due, status, head))

    async def _connect(self) -> Line:
        _, line = await self._loop.create_connection(lambda: Line(self), "127.0.0.1", self._port)
        return line

    async def _send_all(self) -> None:
        sent = 0
        while sent < len(self._due):
            now = self._loop.time() - self._start
            while sent < len(self._due) and self._due[sent] <= now and self.free:
                self.free.popleft().send(self._due[sent])
                sent += 1
            await asyncio.sleep(0.001)

    async def _wait_for_the_rest(self) -> None:
        deadline = self._loop.time() + GRACE_SECONDS
        while len(self._replies) < len(self._due):
            assert self._loop.time() < deadline, f"{len(self._replies)} of {len(self._due)} replies"
            await asyncio.sleep(0.01)
