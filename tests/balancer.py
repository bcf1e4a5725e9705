"""A balancer before services: asks whether each is ready, keeps connections, retries nothing."""

import asyncio
from collections import deque

from tests.load import LENGTH

ASK_SECONDS = 0.1
READY = b"GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"
CLOSE = b"connection: close\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Backend:
    """One service, whether it takes requests, and the connections to it that nobody uses."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ready = False
        self._idle: deque[Streams] = deque()

    async def look(self) -> None:
        """Ask on a new connection whether it is ready."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(READY)
            self.ready = (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
        except OSError:
            self.ready = False
        if not self.ready:
            self.forget()

    async def forward(self, request: bytes) -> bytes:
        """The reply. Raises OSError or IncompleteReadError when there is none."""
        reader, writer = await self._connection()
        writer.write(request)
        reply = await read_message(reader)
        if CLOSE in reply:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return reply.replace(CLOSE, b"", 1)

    def forget(self) -> None:
        """Close what is not in use."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _connection(self) -> Streams:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)


class Balancer:
    """Sends each request to the next backend that is ready; ``failures`` are those that it lost."""

    def __init__(self, *ports: int) -> None:
        self.backends = [Backend(port) for port in ports]
        self.failures: list[str] = []
        self._turn = 0

    async def __aenter__(self) -> "Balancer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1")
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._looking.cancel()
        self._server.close()
        for backend in self.backends:
            backend.forget()

    async def until_ready(self) -> None:
        """Wait until all backends take requests."""
        async with asyncio.timeout(30):
            while not all(backend.ready for backend in self.backends):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.01)

    async def _look(self) -> None:
        while True:
            await asyncio.gather(*(backend.look() for backend in self.backends))
            await asyncio.sleep(ASK_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await self._answer(await read_message(reader)))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()  # the client is gone

    async def _answer(self, request: bytes) -> bytes:
        ready = [backend for backend in self.backends if backend.ready]
        self._turn += 1
        try:
            return await ready[self._turn % len(ready)].forward(request)
        except (OSError, asyncio.IncompleteReadError, ZeroDivisionError) as error:
            self.failures.append(repr(error))
            return BAD_GATEWAY


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """A head and its body, whose length it says. Raises IncompleteReadError."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head.lower())
    return head + (await reader.readexactly(int(length[1])) if length else b"")
