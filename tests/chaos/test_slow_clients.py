"""Clients by the thousand that hardly move, or not at all, while others go on."""

import asyncio
import json
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes import write_fake_bundle
from tests.load import Load, Outcome, request
from tests.servers import Server, resident, serving

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the state of a connection"),
]

ESTABLISHED = 1  # of TCP_INFO, its first byte
EACH = 250
IDLE = 10_000
PERIOD = 0.5  # seconds from one move of a slow client to the next
LATE = 3.0  # seconds after a deadline: the server's tick, a client's period, a busy machine
GOOD = 16
ENCODE = request("/encode", json.dumps({"inputs": [[1] * 20]}).encode())
OPTIONS = ("--runtime", "tests.fakes:FakeRuntime", "--log-level", "error")


@dataclass(frozen=True)
class Kind:
    """``opening`` is sent at once and ``drop`` every period; ``reads`` so many bytes then.

    The server's default settings close it after so many ``seconds``.
    """

    opening: bytes
    seconds: float
    drop: bytes = b""
    reads: int = 0


KINDS = {
    "silent": Kind(b"", 10),
    "slow head": Kind(b"POST /encode HTTP/1.1\r\nHost: a\r\n", 10, drop=b"X-Slow: 1\r\n"),
    "slow body": Kind(
        b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n[", 30, drop=b" "
    ),
    "slow reading": Kind(request("/sample", b'{"n": 2000}'), 20, reads=256),
}


@dataclass
class Client:
    """One connection, and how long it lasted."""

    kind: Kind
    address: tuple[str, int]
    source: str = ""
    lasted: float = 0.0
    connection: socket.socket = field(default_factory=socket.socket)

    def open(self) -> None:
        """With little room in the kernel, and so with little in the server's for it, too."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        if self.source:
            self.connection.bind((self.source, 0))
        self.connection.connect(self.address)
        self.connection.setblocking(False)
        self.opened = time.monotonic()
        self.connection.send(self.kind.opening)

    def move(self) -> bool:
        """Whether the connection still stands."""
        if self.lasted:
            return False
        state = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state != ESTABLISHED:
            self.lasted = time.monotonic() - self.opened
            return False
        try:
            self.connection.send(self.kind.drop)
            if self.kind.reads:
                self.connection.recv(self.kind.reads)
        except (BlockingIOError, ConnectionError):
            pass  # its state says more
        return True


async def endure(server: Server, clients: Sequence[Client], look: Callable[[], None]) -> Outcome:
    """Open all connections and wait for the last of them to be closed; what good clients got."""
    async with Load(server.port, ENCODE, GOOD) as load:
        for number, client in enumerate(clients):
            client.open()
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        look()
        deadline = time.monotonic() + 60
        while left := [client.kind for client in clients if client.move()]:
            assert time.monotonic() < deadline, (left[0], len(left))
            await asyncio.sleep(PERIOD)
    return load.outcome


@contextmanager
def closing_all(clients: Sequence[Client]) -> Iterator[None]:
    try:
        yield
    finally:
        for client in clients:
            client.connection.close()


def good(outcome: Outcome) -> str:
    return f"{outcome.answered} good requests, {len(outcome.lost)} lost, {outcome.slowest:.2f} s"


def test_a_thousand_slow_clients(tmp_path: Path) -> None:
    write_fake_bundle(tmp_path)
    rows = str(EACH * 2000)  # so that all replies are long ones
    with serving(tmp_path, *OPTIONS, "--max-queue-rows", rows) as server:
        address = ("127.0.0.1", server.port)
        clients = [Client(kind, address) for _ in range(EACH) for kind in KINDS.values()]
        memory = [sum(resident(server.process.pid))]
        with closing_all(clients):
            outcome = asyncio.run(
                endure(server, clients, lambda: memory.extend(resident(server.process.pid)))
            )
        memory += resident(server.process.pid)
    for name, kind in KINDS.items():
        lasted = [client.lasted for client in clients if client.kind is kind]
        print(f"\n{EACH} × {name}: closed after {min(lasted):.1f} to {max(lasted):.1f} s", end="")
        assert max(lasted) < kind.seconds + LATE
    print(
        f"\n{good(outcome)} at the most; MiB before, with all, after: {[m >> 20 for m in memory]}"
    )
    assert outcome.lost == []
    assert outcome.statuses.keys() == {200}


def test_ten_thousand_idle_connections(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may open {hard} files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    write_fake_bundle(tmp_path)
    with serving(tmp_path, *OPTIONS, "--max-connections", str(wanted)) as server:
        address, silent = ("127.0.0.1", server.port), KINDS["silent"]
        clients = [Client(silent, address, f"127.0.0.{2 + n % 4}") for n in range(IDLE)]
        memory = [sum(resident(server.process.pid))]
        with closing_all(clients):
            outcome = asyncio.run(
                endure(server, clients, lambda: memory.extend(resident(server.process.pid)))
            )
    lasted = [client.lasted for client in clients]
    print(
        f"\n{IDLE} idle: closed after {min(lasted):.1f} to {max(lasted):.1f} s, "
        f"{(memory[1] - memory[0]) / IDLE / 1024:.1f} KiB each; {good(outcome)} at the most"
    )
    assert max(lasted) < silent.seconds + LATE
    assert outcome.lost == []
    assert outcome.statuses.keys() == {200}
