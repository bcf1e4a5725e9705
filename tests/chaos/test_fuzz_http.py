"""Damaged HTTP, fed to connections without sockets: answered by name, or closed."""

import asyncio
import json
import logging
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.http.connection import Connection
from tests.fakes import fake_service
from tests.mutations import SLOWEST_SECONDS, Mutator, bounded, repair_length

FEW, MANY = 300, 150_000
TOGETHER = 50  # connections before anybody waits for what runs on the event loop
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")
BODY = json.dumps({"inputs": [[1] * 20], "seed": None}).encode()


def http(line: str, body: bytes, *headers: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: a", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


WHOLES = [
    http("POST /encode", BODY, f"Content-Length: {len(BODY)}"),
    http("POST /sample?n=2&seed=1", b"", "Content-Length: 0", "Accept: image/png, */*;q=0.1"),
    http("POST /models/fake/versions/1/score", BODY, f"Content-Length: {len(BODY)}", "Expect: x"),
    http(
        "POST /encode", b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), "Transfer-Encoding: chunked"
    ),
    http("GET /models/fake", b"", "X-Request-Id: abc", "Connection: keep-alive"),
    http("GET /health/ready", b"", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
]
TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\xff", b"%00", b"%2f", b"/../"),
    *(b"Content-Length: 1\r\n", b"Content-Length: 99999999999\r\n", b"Content-Length: -1\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity, chunked\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Upgrade: websocket\r\n"),
    *(
        b"X-Timeout-Ms: 0\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Type: application/x-npy\r\n",
    ),
    *(b"Accept: \r\n", b"HTTP/1.0", b"HTTP/2.0", b"CONNECT", b"HEAD", b"OPTIONS", b"PRI * "),
    *(b"/models/", b"/versions/0/", b"/versions/99999999999999999999/", b"*", b"http://b/", b"?&;"),
    *(b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"5;x=y\r\n", b": ", b"A" * 4000),
]


class Wire(asyncio.Transport):
    """A transport that goes nowhere; whoever is written to reads at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Ground:
    """The whole application, and connections to it without sockets."""

    def __init__(self, models: Path) -> None:
        service = fake_service(models, inline_ms=1000)
        self._calls = service.runtime.calls
        self._context = service.app.state.context
        self._config = uvicorn.Config(service.app, log_config=None, access_log=False, ws="none")
        self._state = ServerState()
        self.statuses: Counter[int] = Counter()

    def feed(self, pieces: Iterator[bytes]) -> Connection:
        """A connection that receives the pieces, as long as it does not close."""
        connection = Connection(
            config=self._config, server_state=self._state, app_state={}, context=self._context
        )
        connection.connection_made(Wire())
        for piece in pieces:
            if piece and not connection.transport.is_closing():
                connection.data_received(piece)
        return connection

    async def settle(self, connections: list[Connection]) -> None:
        """Wait for what began, then hang up and count what was answered."""
        await asyncio.sleep(0)
        while running := [task for task in self._state.tasks if not task.done()]:
            await asyncio.wait(running, timeout=0.002)
            if len(running) == len([task for task in running if not task.done()]):
                break  # those wait for the rest of a body, which never comes
        for connection in connections:
            connection.connection_lost(None)
            self._count(cast(Wire, connection.transport).sent)
        if self._state.tasks:
            await asyncio.wait(self._state.tasks)
        self._calls.clear()
        assert not self._state.connections
        assert self._context.metrics.in_flight == 0
        assert len(self._context.connection_deadlines) == 0
        assert len(self._context.request_deadlines) == 0

    def _count(self, sent: bytes) -> None:
        found = [int(each) for each in STATUS_LINE.findall(sent)]
        assert not sent or sent.startswith(b"HTTP/1.1 ")
        self.statuses.update(found)


def cut(data: bytes, draw: random.Random) -> Iterator[bytes]:
    """The packets that a request comes in."""
    places = sorted(draw.randint(0, len(data)) for _ in range(draw.choice((0, 0, 1, 2))))
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        yield data[start:end]


async def hunt(models: Path, count: int) -> Counter[int]:
    """Feed so many requests; nothing may be raised, not even into the event loop."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    ground, draw = Ground(models), random.Random(1)
    requests = iter(Mutator(WHOLES, TOKENS, repair_length))
    for _ in range(0, count, TOGETHER):
        batch = [next(requests) for _ in range(TOGETHER)]
        started = time.process_time()
        with bounded():
            await ground.settle([ground.feed(cut(data, draw)) for data in batch])
        assert time.process_time() - started < SLOWEST_SECONDS, batch
        assert not raised, (raised, batch)
    return ground.statuses


def expect_no_crash(models: Path, count: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        statuses = asyncio.run(hunt(models, count))
    print(f"\nHTTP: {count} connections: {dict(statuses.most_common())}")
    assert caplog.text == ""
    assert {200, 400}.issubset(statuses)
    assert not [status for status in statuses if status >= 500]


def test_a_few_damaged_requests(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expect_no_crash(tmp_path, FEW, caplog)


@pytest.mark.chaos
def test_many_damaged_requests(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expect_no_crash(tmp_path, MANY, caplog)
