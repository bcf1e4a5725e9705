"""Load on a real server: many connections that ask without pause, and count what they get."""

import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass, field

LENGTH = re.compile(rb"content-length: (\d+)")


def request(path: str, body: bytes, *headers: str) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Outcome:
    """What became of the requests of all connections.

    ``refused`` are connections that were never made: what was not accepted is not lost. ``lost``
    are requests on a connection that was made, and that got no whole answer.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    answers: set[tuple[str, bytes]] = field(default_factory=set)  # models, and what each said
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    slowest: float = 0.0

    @property
    def answered(self) -> int:
        return self.statuses.total()


class Load:
    """``connections`` clients of one port. Each keeps its connection as long as the server does.

    A client that is told ``Connection: close`` connects again, or with ``obeys_close`` goes away.
    """

    def __init__(
        self, port: int, ask: bytes, connections: int = 64, *, obeys_close: bool = False
    ) -> None:
        self._obeys_close = obeys_close
        self._port = port
        self._ask = ask
        self._connections = connections
        self._stopping = False
        self._closed = False  # the server has told a client to close
        self.outcome = Outcome()

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self._connections)]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def until_refused(self) -> None:
        """Wait until nobody is let in any more."""
        await asyncio.gather(*self._tasks)

    async def _client(self) -> None:
        """Ask until told to stop, or until the port is closed."""
        while not self._stopping:
            try:
                streams = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.outcome.refused += 1
                return
            await self._talk(*streams)
            if self._obeys_close and self._closed:
                return

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ask on one connection until one side closes it."""
        asked = 0
        try:
            while not self._stopping:
                started = time.monotonic()
                writer.write(self._ask)
                asked += 1
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                assert length
                body = await reader.readexactly(int(length[1]))
                self._note(head, body, time.monotonic() - started)
                if b"connection: close" in head:
                    self._closed = True
                    return
        except (OSError, asyncio.IncompleteReadError) as error:
            self.outcome.lost.append(f"request {asked} of a connection: {error!r}")
        finally:
            writer.close()

    def _note(self, head: bytes, body: bytes, seconds: float) -> None:
        outcome = self.outcome
        outcome.statuses[int(head[9:12])] += 1
        if model := re.search(rb"x-model: (\S+)", head):
            outcome.answers.add((model[1].decode(), body))
        outcome.slowest = max(outcome.slowest, seconds)
