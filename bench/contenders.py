"""The servers that are compared: started with the right arguments, and right before they count."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.exchange import Reply, Request, exchange
from bench.load import Run, drive
from bench.models import Reference
from bench.paths import BUILD
from bench.servers import Cores, Server, running
from bench.workloads import Workload, check

FIXED: Final = "fixed reply"
NAIVE: Final = "naive FastAPI"
FIXED_TUNED: Final = f"{FIXED}, tuned"
NAIVE_TUNED: Final = f"{NAIVE}, tuned"
SLOW_LANE: Final = "ours, no fast lane"
OURS: Final = "ours"
WITH_KEY: Final = "ours, API key"
WITH_LOG: Final = "ours, access log"
API_KEY: Final = "bench"
SHOWN_WITH_MORE: Final = ("W2", "W4")


@dataclass(frozen=True)
class Contender:
    """A running server with the request that it gets and the reply that was found right."""

    server: Server
    request: Request
    reply: Reply

    def drive(self, workload: Workload, seconds: int, cores: Cores) -> Run:
        """Load of so many seconds."""
        return drive(
            self.server,
            self.request,
            self.reply,
            connections=workload.connections,
            seconds=seconds,
            cores=cores,
        )


@dataclass(frozen=True)
class Entry:
    """How a server is started, what it is asked, and with which headers beside the usual."""

    name: str
    command: tuple[str, ...]
    workload: Workload
    headers: Mapping[str, str] = field(default_factory=dict)

    def enter(self, stack: ExitStack, reference: Reference, cores: Cores) -> Contender:
        """Start it. Raises BenchError when its reply is not right."""
        request = self.workload.request(self.headers)
        server = stack.enter_context(running(self.name, self.command, cores))
        reply = exchange(server.port, request)
        check(self.workload, reply, reference)
        return Contender(server, request, reply)


@contextmanager
def contenders_of(
    workload: Workload, bundle: Path, reference: Reference, cores: Cores
) -> Iterator[list[Contender]]:
    """All servers for a workload, the fixed replies first, until the block ends."""
    with ExitStack() as stack:
        found = [entry.enter(stack, reference, cores) for entry in entries(workload, bundle)]
        yield [*_fixed(stack, found[-1], cores), *found]


def entries(workload: Workload, bundle: Path) -> list[Entry]:
    """All but the fixed replies, which need the reply of one of these."""
    naive = ("bench.naive", "--bundle", str(bundle))
    found = [
        Entry(NAIVE, naive, workload.in_json()),
        Entry(NAIVE_TUNED, (*naive, "--tuned"), workload.in_json()),
        Entry(SLOW_LANE, (*ours(bundle), "--asgi-only"), workload),
        Entry(OURS, ours(bundle), workload),
    ]
    if workload.name in SHOWN_WITH_MORE:
        logging = (*ours(bundle), "--access-log", "--log-level", "info")
        found.append(Entry(WITH_LOG, logging, workload))
        keyed = (*ours(bundle), "--api-keys", f'["{API_KEY}"]')
        found.append(Entry(WITH_KEY, keyed, workload, {"X-API-Key": API_KEY}))
    return found


def ours(bundle: Path) -> tuple[str, ...]:
    """The service with its own defaults."""
    return ("service", "--models", str(bundle), "--log-level", "warning")


def _fixed(stack: ExitStack, other: Contender, cores: Cores) -> Iterator[Contender]:
    """The floor for the request and the reply of another server: as it comes, and tuned."""
    path = BUILD / "fixed-reply"
    path.write_bytes(other.reply.body)
    command = ("bench.fixed", "--reply", str(path), "--media-type", other.reply.media_type)
    for name, options in ((FIXED, ()), (FIXED_TUNED, ("--tuned",))):
        server = stack.enter_context(running(name, (*command, *options), cores))
        yield Contender(server, other.request, exchange(server.port, other.request))
