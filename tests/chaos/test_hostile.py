"""Requests that are meant to hurt, again and again, while others ask and look at the health."""

import asyncio
import gzip
import json
import re
import struct
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes import write_fake_bundle
from tests.load import Load, Outcome, request
from tests.servers import Server, resident, serving

pytestmark = pytest.mark.chaos

REPEATS = 20
MIB = 2**20
CAP = 32 * MIB  # of a body, by default
SLOWEST, HEALTH = 1.0, 0.25  # seconds
ANSWER = 8192  # bytes
MEMORY = 4 * CAP
ROW = [1] * 20
ENCODE = request("/encode", json.dumps({"inputs": [ROW]}).encode())
HEALTHY = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"


def encode(body: bytes, *headers: str) -> bytes:
    return request("/encode", body, *headers)


def png_bomb(side: int) -> bytes:
    """The head of a picture of so many pixels on a side, and a kilobyte of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(MIB))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BODIES = {
    "cut": encode(b'{"inputs": [[1, 2'),
    "wrong shape": encode(json.dumps({"inputs": [ROW[1:]] * 1000}).encode()),
    "ragged": encode(json.dumps({"inputs": [[ROW, [1] * 19, 1]] * 1000}).encode()),
    "NaN": encode(b'{"inputs": [[' + b"NaN," * 19 + b"NaN]]}"),
    "1e999": encode(b'{"inputs": [[' + b"1e999," * 19 + b"1]]}"),
    "integers of 5,000 digits": encode(b'{"inputs": [[' + b"9" * 5000 + b",1" * 19 + b"]]}"),
    "100,000 deep": encode(b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "100,000 keys": encode(json.dumps({f"key {n}": n for n in range(100_000)}).encode()),
    "a key twice": encode(b'{"inputs": [[1]], "inputs": [[2]]}'),
    "a lone surrogate": encode(b'{"inputs": "\\ud800"}'),
    "a byte order mark": encode(b"\xef\xbb\xbf" + json.dumps({"inputs": [ROW]}).encode()),
    "UTF-16": encode(json.dumps({"inputs": [ROW]}).encode("utf-16")),
    "a megabyte of null": encode(b'{"inputs": [' + b"null," * 200_000 + b"null]}"),
    "30 MB of zeros": encode(b'{"inputs": [' + b"0," * 15_000_000 + b"0]}"),
    "a gzip bomb": encode(gzip.compress(bytes(64 * MIB)), "Content-Encoding: gzip"),
    "a PNG bomb": encode(png_bomb(30_000), "Content-Type: image/png"),
    "n of a billion": request("/sample", b'{"n": 1000000000}'),
}
HEADS = {
    "5,000 headers": b"POST /encode HTTP/1.1\r\n" + b"X-A: 1\r\n" * 5000 + b"\r\n",
    "a URL of 200 KB": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "64 KiB of a header without end": b"GET / HTTP/1.1\r\nX-A: " + b"a" * 65_000,
    "two lengths": encode(b"{}", "Content-Length: 5"),
    "length and chunks": encode(b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunks, badly spelt": encode(b"0\r\n\r\n", "Transfer-Encoding: xchunked"),
}
LARGE = {
    "a body of 1 GiB, by its length": b"POST /encode HTTP/1.1\r\nHost: a\r\n"
    b"Content-Length: 1073741824\r\n\r\n",
    "the same in chunks": b"POST /encode HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@dataclass
class Wounds:
    """What was seen of one kind of request at the worst; ``sent`` is up to when it was cut."""

    statuses: set[int] = field(default_factory=set)
    seconds: float = 0.0
    answer: int = 0
    sent: int = 0

    def note(self, reply: bytes, seconds: float, sent: int) -> None:
        if found := re.match(rb"HTTP/1\.1 (\d+)", reply):
            self.statuses.add(int(found[1]))
        self.seconds = max(self.seconds, seconds)
        self.answer = max(self.answer, len(reply))
        self.sent = max(self.sent, sent)

    def __str__(self) -> str:
        return f"{self.statuses}, {self.seconds:.3f} s, {self.answer} bytes, {self.sent} sent"


class Health:
    """Looks again and again; keeps the slowest answer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.slowest = 0.0
        self.most = 0

    async def __aenter__(self) -> "Health":
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._task.cancel()

    async def _look(self) -> None:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
            started = time.monotonic()
            writer.write(HEALTHY)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.most = max(self.most, *resident(self._server.process.pid))
            writer.close()
            await asyncio.sleep(0.01)


async def hurt(server: Server, data: bytes, more: bytes, wounds: Wounds) -> None:
    """Send, and then send more, until there is an answer or nobody takes any more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    started, sent = time.monotonic(), 0
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    try:
        writer.write(data)
        await writer.drain()
        sent += len(data)
        await asyncio.wait({answer}, timeout=0.05)
        while more and not answer.done() and sent < 2**30:
            writer.write(more)
            await writer.drain()
            sent += len(more)
        head = await answer
        length = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        wounds.note(head + body, time.monotonic() - started, sent)
    except (OSError, asyncio.IncompleteReadError):
        wounds.note(b"", time.monotonic() - started, sent)
    finally:
        answer.cancel()
        writer.close()


async def attack(
    server: Server, requests: dict[str, bytes], more: bytes = b""
) -> tuple[dict[str, Wounds], Outcome, Health]:
    found = {name: Wounds() for name in requests}
    async with Health(server) as health, Load(server.port, ENCODE, 4) as load:
        for _ in range(REPEATS):
            for name, data in requests.items():
                await hurt(server, data, more, found[name])
    return found, load.outcome, health


@pytest.mark.parametrize(
    ("requests", "more"),
    [(BODIES, b""), (HEADS, b""), (LARGE, b"10000\r\n" + bytes(65536) + b"\r\n")],
    ids=["bodies", "heads", "large"],
)
def test_who_wants_to_hurt_is_refused(
    tmp_path: Path, requests: dict[str, bytes], more: bytes
) -> None:
    write_fake_bundle(tmp_path)
    options = ("--runtime", "tests.fakes:FakeRuntime", "--log-level", "error")
    with serving(tmp_path, *options) as server:
        before = sum(resident(server.process.pid))
        found, outcome, health = asyncio.run(attack(server, requests, more))
        after = sum(resident(server.process.pid))
    for name, wounds in found.items():
        print(f"\n{REPEATS} × {name}: {wounds}", end="")
    print(
        f"\nhealth within {health.slowest:.3f} s; {outcome.answered} good requests, "
        f"{len(outcome.lost)} lost; MiB {before >> 20}, {health.most >> 20} at the most, "
        f"then {after >> 20}"
    )
    for name, wounds in found.items():
        assert all(400 <= status < 500 for status in wounds.statuses), name
        assert wounds.seconds < SLOWEST or more, name
        assert wounds.answer < ANSWER, name
    assert health.slowest < HEALTH
    assert health.most - before < MEMORY
    assert outcome.lost == []
    assert outcome.statuses.keys() == {200}
