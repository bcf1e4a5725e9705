"""A connection without a socket, driven by random events, and what must hold after each of them."""

import asyncio
import random
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import uvicorn
from pydantic import SecretStr
from uvicorn.server import ServerState

from service.app import create_app
from service.http import connection as module
from service.http.connection import BODY, CLOSING, IDLE, Connection
from service.http.context import AppContext
from service.models.registry import ModelRegistry
from service.telemetry.metrics import Metrics
from tests.fakes import fake_settings

KEY: Final = "k-one"
BUDGET: Final = 64 * 1024
HIGH_WATER: Final = 4096
ROWS: Final = b'{"inputs": [[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]]}'


class Transport(asyncio.Transport):
    """Holds what is written until the client reads it, as a socket with its buffer does."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written = b""
        self.unread = 0
        self.closing = self.lost = self.reading_paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        assert not self.lost, "written to a connection that is gone"
        if self.closing:
            return
        self.written += bytes(data)
        self.unread += len(data)
        if self.unread > HIGH_WATER and not self.protocol.flow.write_paused:
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.unread

    def client_reads(self) -> None:
        self.unread = 0
        if self.protocol.flow.write_paused and not self.lost:
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True
        self.unread = 0

    def lose(self) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self.protocol.connection_lost(None)


class Clock:
    """The monotonic clock of the connections, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Drill:
    """Connections of one application under random events of one seed.

    Every request has an id of its own. ``step`` makes one event and checks the invariants.
    """

    def __init__(self, seed: int, repository: ModelRegistry, models: Path) -> None:
        self.random = random.Random(seed)
        self.clock = Clock()
        settings = fake_settings(
            models, api_keys=(SecretStr(KEY),), max_inflight_bytes=BUDGET, max_connections=6
        )
        app = create_app(repository, settings, Metrics())
        self.context: AppContext = app.state.context
        self.config = uvicorn.Config(app, log_config=None, ws="none", lifespan="off")
        self.config.load()
        self.state = ServerState()
        self.clients: list[Client] = []
        self.requests = 0

    async def step(self) -> None:
        choices: list[Callable[[], None]] = [self.connect] if len(self.clients) < 8 else []
        if self.clients:
            client = self.random.choice(self.clients)
            choices += 3 * [client.send] + [client.ask, client.ask, client.read, client.hang_up]
            choices += [self.wait, client.close_half]
        self.random.choice(choices)()
        for _ in range(self.random.choice((0, 1, 3))):
            await asyncio.sleep(0)
        self.check()

    def connect(self) -> None:
        self.clients.append(Client(self))

    def wait(self) -> None:
        """Time passes, and every deadline that has passed is kept."""
        self.clock.now += self.random.choice((0.1, 3.0, 40.0))
        for waiting in list(self.context.connection_deadlines):
            if waiting.deadline <= self.clock.now:
                waiting.expire()

    def check(self) -> None:
        used = 0
        for client in list(self.clients):
            used += client.check()
            if client.transport.lost:
                self.clients.remove(client)
        assert self.context.budget.used <= BUDGET + 2 * HIGH_WATER * 64
        assert len(self.state.connections) == len(self.clients)

    async def end(self) -> None:
        """All clients leave: nothing is held for any of them afterwards."""
        for client in self.clients:
            client.transport.lose()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert self.context.budget.used == 0
        assert self.context.metrics.in_flight == 0
        assert len(self.context.connection_deadlines) == 0
        assert len(self.context.request_deadlines) == 0
        assert not self.state.connections


class Client:
    """One client: what it has sent and not, and the ids of the requests that it sent whole."""

    def __init__(self, drill: Drill) -> None:
        self.drill = drill
        self.transport = Transport()
        self.connection = Connection(drill.config, drill.state, {}, context=drill.context)
        self.transport.protocol = self.connection
        self.outgoing = b""
        self.sent_eof = False
        self.asked: deque[tuple[bytes, bool]] = deque()  # ids, and whether the key was right
        self.broken = False  # nonsense was sent, after which no more replies are owed
        self.connection.connection_made(self.transport)

    def ask(self) -> None:
        """Have one more request to send, or something that is none."""
        random_ = self.drill.random
        self.drill.requests += 1
        request_id = b"r-%d" % self.drill.requests
        keyed = random_.random() < 0.7
        key = b"X-API-Key: %b\r\n" % (KEY if keyed else "guess").encode()
        common = b"Host: a\r\nX-Request-Id: %b\r\n%b" % (request_id, key)
        kind = random_.randrange(9)
        if kind <= 2:
            head = b"POST /encode HTTP/1.1\r\n" + common
            request = head + b"Content-Length: %d\r\n\r\n" % len(ROWS) + ROWS
        elif kind == 3:
            chunks = b"%x\r\n%b\r\n0\r\nX-T: 1\r\n\r\n" % (len(ROWS), ROWS)
            head = b"POST /encode HTTP/1.1\r\n" + common
            request = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        elif kind == 4:
            request = b"GET /models HTTP/1.1\r\n" + common + b"\r\n"
        elif kind == 5:
            request = b"POST /sample?n=200 HTTP/1.1\r\n" + common + b"Content-Length: 0\r\n\r\n"
        elif kind == 6:
            request = b"POST /encode HTTP/1.1\r\n" + common + b"Content-Length: 1\r\n\r\n{"
        elif kind == 7:
            self.outgoing += b"\r\n"
            return
        else:
            if random_.random() < 0.2:
                self.outgoing += b"NONSENSE\r\n\r\n"
            return
        self.outgoing += request
        self.asked.append((request_id, keyed))

    def send(self) -> None:
        """Send some of what is to be sent."""
        size = self.drill.random.choice((1, 7, 60, 10_000))
        if self.sent_eof or self.transport.closing or self.transport.reading_paused:
            return
        piece, self.outgoing = self.outgoing[:size], self.outgoing[size:]
        if piece:
            self.connection.data_received(piece)

    def read(self) -> None:
        if not self.transport.lost:
            self.transport.client_reads()

    def hang_up(self) -> None:
        if self.drill.random.random() < 0.2:
            self.transport.lose()

    def close_half(self) -> None:
        paused = self.transport.reading_paused or self.sent_eof or self.transport.closing
        if self.drill.random.random() < 0.2 and not paused:
            self.sent_eof = True
            if not self.connection.eof_received():
                self.transport.close()

    def check(self) -> int:
        """The invariants of one connection; the bytes that it holds."""
        connection, transport = self.connection, self.transport
        if transport.closing and not transport.unread:
            transport.lose()  # as the event loop does, once all is written
        if transport.lost:
            assert connection.request is None
            return 0
        assert connection in self.drill.context.connection_deadlines
        assert connection.deadline <= self.drill.clock.now + 200, "a deadline always holds"
        assert transport.closing == (connection.state is CLOSING) or self.sent_eof
        if connection.state is IDLE:
            assert connection.answered
        if connection.state is not BODY and not connection.answered:
            assert connection.request is not None
        self._check_replies()
        return transport.unread

    def _check_replies(self) -> None:
        """Each is for a request of this client, in order, and for the key that it presented."""
        heads = re.findall(
            rb"HTTP/1\.1 ([2-5]\d\d) .*?\r\nx-request-id: (\S+)\r\n", self.transport.written, re.S
        )
        heads = [(int(status), given) for status, given in heads if int(status) != 102]
        own = [(status, given) for status, given in heads if given.startswith(b"r-")]
        asked = list(self.asked)
        assert [given for _, given in own] == [given for given, _ in asked[: len(own)]]
        for (status, _), (_, keyed) in zip(own, asked, strict=False):
            assert keyed or status in (401, 408), "nothing is answered before its key was checked"
            assert not keyed or status != 401
        assert len(heads) - len(own) <= 1, "one refusal, and then the connection closes"


async def run_drill(seed: int, steps: int, models: Path, registry: ModelRegistry) -> Drill:
    """``steps`` random events by ``seed``. Raises AssertionError when an invariant breaks."""
    drill = Drill(seed, registry, models)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "monotonic", drill.clock.monotonic)
        for _ in range(steps):
            await drill.step()
        await drill.end()
    return drill
