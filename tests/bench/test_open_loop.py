"""Load at a constant rate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from bench.errors import BenchError
from bench.open_loop import Latency, OpenLoop


class SlowStart:
    """Answers over a socket; the first reply takes ``hold`` seconds."""

    def __init__(self, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") -> None:
        self.hold = 0.3
        self._head = head
        self._handlers: list[asyncio.Task[Any]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Yields the port."""
        async with await asyncio.start_server(self._handle, "127.0.0.1", 0) as listener:
            try:
                yield listener.sockets[0].getsockname()[1]
            finally:
                await asyncio.gather(*self._handlers)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers += filter(None, [asyncio.current_task()])
        with suppress(ConnectionError):
            while await reader.read(1024):
                await asyncio.sleep(self.hold)
                self.hold = 0
                writer.write(self._head + b"reply")
        writer.close()


def drive_open_loop(slow: SlowStart) -> Latency:
    async def run() -> Latency:
        async with slow.listening() as port:
            load = OpenLoop(b"ask", body_bytes=5, rate=100, count=100)
            return await load.run(port, connections=1)

    return asyncio.run(run())


def test_latency_counts_from_when_a_request_was_due() -> None:
    latency = drive_open_loop(SlowStart())
    # 30 of 100 requests are due in the first 0.3 s; a closed loop would see one slow request.
    assert latency.p99 > 0.25
    assert latency.late > 0.2


def test_a_refusal_ends_the_open_loop() -> None:
    with pytest.raises(BenchError, match="0 of 100 requests were answered; a reply starts with"):
        drive_open_loop(SlowStart(b"HTTP/1.1 429 No\r\n\r\n"))
