"""Requests of all kinds and sizes: the memory stays, and every one of them is counted."""

import asyncio
import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from tests.load import LENGTH, request
from tests.servers import resident
from tests.supervised import Service, workers

pytestmark = pytest.mark.chaos

CONNECTIONS = 16
LOOKS = 100  # at the memory
WARM = 100_000  # requests until allocators have seen all sizes together, or
WARM_SHARE = 0.7  # of fewer requests
GROWTH = 0.05
END = 0.3  # of the requests
SLOPE = 1.0  # MiB a worker for each 100,000 requests, towards the end of many
MANY = 500_000
COUNTED = re.compile(r'^vae_requests_total\{code="(\d+)",.*?op="(\w+)".*\} (\S+)$', re.MULTILINE)
NPY = "Content-Type: application/x-npy"
SAFETENSORS = "Content-Type: application/x-safetensors"


@dataclass(frozen=True)
class Ask:
    """A request, what it is counted as, and the answer's status; None: nobody waits for one."""

    data: bytes
    op: str
    status: int | None


def npy_of(rows: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def png_of(rows: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(rows[0].astype(np.uint8).reshape(8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


def asks_of(count: int, draw: random.Random) -> list[Ask]:
    """One of each kind for so many rows; only who hangs up asks to decode."""
    x = np.random.default_rng(count).integers(0, 17, (count, 64)).astype(np.float32)
    text = json.dumps({"inputs": x.tolist()}).encode()
    decode = request("/decode", json.dumps({"latents": [[0.5] * 10] * count}).encode())
    return [
        Ask(request("/encode", text), "encode", 200),
        Ask(request("/encode", npy_of(x), NPY, "Accept: application/x-npy"), "encode", 200),
        Ask(request("/score", save({"inputs": x}), SAFETENSORS), "score", 200),
        Ask(request("/reconstruct", npy_of(x), NPY, "Accept: image/png"), "reconstruct", 200),
        Ask(request("/reconstruct", png_of(x), "Content-Type: image/png"), "reconstruct", 200),
        Ask(request(f"/sample?n={count}", b"", "Accept: image/png"), "sample", 200),
        Ask(request("/sample", json.dumps({"n": count}).encode()), "sample", 200),
        Ask(request("/models/digits/encode", text), "encode", 200),
        Ask(request("/encode", text[:-1]), "encode", 400),
        Ask(request("/score", npy_of(x[:, 1:]), NPY), "score", 422),
        Ask(request("/encode", text, "Content-Type: text/html"), "encode", 415),
        Ask(request("/sample", b'{"n": 99999}'), "sample", 422),
        Ask(request("/reconstruct", text, "Accept: text/html"), "reconstruct", 406),
        Ask(request("/nothing", text), "unknown", 404),
        Ask(decode, "decode", None),
        Ask(decode[: -draw.randint(1, 20)], "decode", None),
    ]


class Soak:
    """So many requests by a few clients, by turns on connections that are kept and new ones."""

    def __init__(self, service: Service, requests: int) -> None:
        self._service = service
        self._requests = self._left = requests
        self._every = requests // LOOKS
        self._draw = random.Random(1)
        self._asks = [ask for n in (1, 2, 7, 30, 200) for ask in asks_of(n, self._draw)]
        self.seen: Counter[tuple[str, int | None]] = Counter()
        self.memory: list[list[int]] = []

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CONNECTIONS)))

    async def _client(self) -> None:
        while self._left > 0:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._service.port)
            try:
                while self._left > 0 and await self._ask(reader, writer):
                    pass
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection is still of use."""
        self._left -= 1
        if self._left % self._every == 0:
            self._look()
        ask = self._draw.choice(self._asks)
        writer.write(ask.data)
        if ask.status is None:
            await writer.drain()
            self.seen[ask.op, None] += 1
            return False
        head = await reader.readuntil(b"\r\n\r\n")
        found = LENGTH.search(head)
        assert found
        await reader.readexactly(int(found[1]))
        status = int(head[9:12])
        assert status == ask.status, (ask, head)
        self.seen[ask.op, status] += 1
        return b"connection: close" not in head

    def _look(self) -> None:
        """Keep and print the memory; what is printed is kept whatever comes."""
        self.memory.append(resident(self._service.process.pid))
        done = self._requests - self._left
        print(f"{done} requests: {[each >> 10 for each in self.memory[-1]]} KiB", flush=True)


def counted(service: Service) -> Counter[tuple[str, int | None]]:
    """What all workers counted of the operations of a Soak; who hung up stands under None."""
    found: Counter[tuple[str, int | None]] = Counter()
    for code, op, value in COUNTED.findall(httpx.get(f"{service.url}/metrics").text):
        if op != "scrape":  # which is how it is asked
            found[op, None if op == "decode" else int(code)] += int(float(value))
    return found


def reconcile(service: Service, seen: Counter[tuple[str, int | None]]) -> None:
    """Workers tell of what they counted a few times a second."""
    deadline = time.monotonic() + 10
    while (found := counted(service)) != seen:
        assert time.monotonic() < deadline, (found - seen, seen - found)
        time.sleep(0.2)


def draw_memory(path: Path, memory: list[list[int]], every: int) -> None:
    """The curve of each worker, of one look in so many requests."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    looks = every * np.arange(1, len(memory) + 1)
    for number, worker in enumerate(np.transpose(memory)):
        axes.plot(looks, worker / 2**20, label=f"worker {number}")
    axes.set(xlabel="requests", ylabel="resident MiB", ylim=(0, None))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=100)


def growth_of(memory: np.ndarray, requests: int) -> float:
    """The share by which all workers together grew from when they were warm."""
    warm = min(WARM, int(WARM_SHARE * requests)) * len(memory) // requests
    total = memory.sum(axis=1)
    return float(total[-1] / total[warm] - 1)


def slopes_of(memory: np.ndarray, requests: int) -> list[float]:
    """MiB for each 100,000 requests of each worker over the end, by least squares."""
    end = memory[-max(int(END * len(memory)), 2) :] / 2**20
    lines = np.polyfit(np.arange(len(end)) * requests / len(memory) / 100_000, end, 1)
    return [float(slope) for slope in lines[0]]


def test_memory_stays_and_all_is_counted(digits_bundle: Path, pytestconfig: pytest.Config) -> None:
    requests = int(pytestconfig.getoption("--soak-requests"))
    picture = pytestconfig.getoption("--soak-picture")
    with workers(digits_bundle) as service:
        soak = Soak(service, requests)
        started = time.monotonic()
        try:
            asyncio.run(soak.run())
        finally:
            if picture:
                draw_memory(Path(picture), soak.memory, requests // LOOKS)
        seconds = time.monotonic() - started
        reconcile(service, soak.seen)
    memory = np.array(soak.memory)
    growth, slopes = growth_of(memory, requests), slopes_of(memory, requests)
    print(
        f"\n{soak.seen.total()} requests in {seconds:.0f} s: {dict(soak.seen)}\n"
        f"MiB of each worker: {(memory[:: LOOKS // 5] // 2**20).tolist()}, "
        f"then {(memory[-1] // 2**20).tolist()}; growth {growth:.1%}, at the end "
        f"{', '.join(f'{slope:.2f}' for slope in slopes)} MiB for each 100,000"
    )
    assert soak.seen.total() == requests
    assert growth < GROWTH
    assert requests < MANY or max(slopes) < SLOPE
