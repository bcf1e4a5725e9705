"""What a request costs in Python alone: ``python -m bench turns``.

The servers' protocol classes in this process, the bytes of requests in and those of replies out,
and no sockets in between. All connections of a workload ask at once, so that what they ask is one
batch. Figures are microseconds of CPU time a request.
"""

import asyncio
import time
from collections.abc import Sequence
from email.utils import formatdate
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import uvicorn
import uvloop
from uvicorn.server import ServerState

from bench.bare import thread_on
from bench.contenders import FIXED_TUNED, OURS, SLOW_LANE
from bench.exchange import Reply, read_reply
from bench.fixed import Fixed
from bench.models import Reference, bundle_of
from bench.table import table
from bench.workloads import Workload, check
from service.server import create_single_process_server
from service.settings import Settings
from service.telemetry.metrics import Metrics

DEFAULT: Final = "W1,W2,W4"
REQUESTS: Final = 20_000
LEAST_TURNS: Final = 100
Row = tuple[str, dict[str, float]]


class Wire(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.reply = b""

    def write(self, data: Any) -> None:
        self.reply += data

    def writelines(self, list_of_data: Any) -> None:
        self.reply += b"".join(list_of_data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Idle for too long, while others were measured."""

    def pause_reading(self) -> None:
        """Nothing comes before the reply is out."""

    def resume_reading(self) -> None:
        """As for pause_reading."""


class Client(NamedTuple):
    """One connection, both ends."""

    protocol: Any  # uvicorn's HttpToolsProtocol, or ours
    wire: Wire


def measure(workloads: Sequence[Workload], core: int) -> list[Row]:
    """Microseconds of each server, by workload. Raises BenchError on a reply that is wrong."""
    found: list[Row] = [(FIXED_TUNED, {}), (OURS, {}), (SLOW_LANE, {})]
    with thread_on((core,)), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for workload in workloads:
            for (_, figures), seconds in zip(found, runner.run(_of(workload)), strict=True):
                figures[workload.name] = 1e6 * seconds
    return found


def markdown(found: Sequence[Row], workloads: Sequence[Workload]) -> str:
    """A table with one row a server."""
    names = [workload.name for workload in workloads]
    head = ["µs of CPU time a request", *names]
    rows = [[server, *(f"{figures[name]:.1f}" for name in names)] for server, figures in found]
    return table(head, rows, names=1)


async def _of(workload: Workload) -> list[float]:
    """CPU seconds of a request to the fixed reply, to ours, and to ours without the fast lane."""
    bundle = bundle_of(workload.model)
    ours, slow = (_service(bundle, fast_lane=fast_lane) for fast_lane in (True, False))
    reference = Reference(bundle)
    for config in (ours, slow):
        reply = await ask(config, workload)
        check(workload, reply, reference)
    fixed = uvicorn.Config(Fixed(reply.body, reply.media_type), http="httptools", log_config=None)
    return [await seconds_of(config, workload) for config in (fixed, ours, slow)]


def _service(bundle: Path, *, fast_lane: bool) -> uvicorn.Config:
    settings = Settings.model_validate({"models": bundle, "fast_lane": fast_lane})
    return create_single_process_server(settings, Metrics()).config


async def ask(config: uvicorn.Config, workload: Workload) -> Reply:
    """The reply to one request."""
    (client,) = _connect(config, 1)
    await _turn([client], workload.request().raw())
    return read_reply(BytesIO(client.wire.reply), workload.name)


async def seconds_of(config: uvicorn.Config, workload: Workload) -> float:
    """CPU seconds of a request, the median over the turns that are no warm-up."""
    clients, request = _connect(config, workload.connections), workload.request().raw()
    turns = max(REQUESTS // workload.connections, LEAST_TURNS)
    taken = [await _turn(clients, request) for _ in range(turns)]
    return median(taken[len(taken) // 10 :]) / len(clients)


async def _turn(clients: Sequence[Client], request: bytes) -> float:
    """CPU seconds from the moment when all ask at once to the last reply."""
    for client in clients:
        client.wire.reply = b""
    started = time.thread_time()
    for client in clients:
        client.protocol.data_received(request)
    # An event would take some of the time that is measured.
    while not all(client.protocol.cycle.response_complete for client in clients):  # noqa: ASYNC110
        await asyncio.sleep(0)
    return time.thread_time() - started


def _connect(config: uvicorn.Config, connections: int) -> list[Client]:
    """As uvicorn's server does."""
    if not config.loaded:
        config.load()
    connection: Any = config.http_protocol_class
    state = ServerState()
    state.default_headers = [(b"date", formatdate(usegmt=True).encode()), *config.encoded_headers]
    clients = []
    for _ in range(connections):
        client = Client(connection(config=config, server_state=state, app_state={}), Wire())
        client.protocol.connection_made(client.wire)
        clients.append(client)
    return clients
