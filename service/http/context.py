"""What both lanes share: who comes in, under which id, what answers, and who counts."""

from collections.abc import Iterable
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.batching.work import Work
from service.errors import ServiceError
from service.http.deadlines import Deadlines
from service.http.endpoint import Endpoint, Reply, problem, service_error
from service.http.guard import ApiKeys, Head, RequestIds
from service.http.shutdown import GracefulShutdown
from service.models.registry import ModelRegistry
from service.settings import Settings
from service.telemetry.logging import AccessLog, RefusalLog
from service.telemetry.metrics import Metrics
from service.telemetry.record import RequestObserver, RequestRecord
from service.telemetry.tracing import tracer

Headers = list[tuple[bytes, bytes]]


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they stand in a reply's head."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class CommonLines:
    """The lines of the headers that every reply has; uvicorn makes a new list every second."""

    def __init__(self) -> None:
        self._headers: object = None
        self._lines = b""

    def of(self, headers: Headers) -> bytes:
        if headers is not self._headers:
            self._headers, self._lines = headers, lines(headers)
        return self._lines


@dataclass(frozen=True)
class AppContext:
    """One of each for the whole service."""

    endpoint: Endpoint
    keys: ApiKeys
    request_ids: RequestIds
    common_lines: CommonLines
    metrics: Metrics
    settings: Settings
    cross_origin: bool  # pages of some other origins may ask, by the slow lane
    deadlines: Deadlines  # of requests
    waits: Deadlines  # of connections that wait for their client
    shutdown: GracefulShutdown
    observers: tuple[RequestObserver, ...]  # told of every request
    refusals: RefusalLog

    @classmethod
    def open(cls, models: ModelRegistry, settings: Settings, metrics: Metrics) -> "AppContext":
        """By the settings."""
        return cls(
            endpoint=Endpoint(models, settings),
            keys=ApiKeys(key.get_secret_value() for key in settings.api_keys),
            request_ids=RequestIds(),
            common_lines=CommonLines(),
            metrics=metrics,
            settings=settings,
            cross_origin=bool(settings.cors_origins),
            deadlines=Deadlines(tick_seconds=0.01),
            waits=Deadlines(tick_seconds=0.5),
            shutdown=GracefulShutdown(),
            observers=_observers(settings),
            refusals=RefusalLog(),
        )

    def refuse(self, error: Exception, method: str, path: str) -> tuple[Reply, ServiceError]:
        """The reply to an error, which is counted; a bug of ours is logged and hidden."""
        refused = service_error(error, method, path)
        self.metrics.count_rejected(refused.kind)
        return problem(refused), refused

    def part(
        self,
        op: str,
        label: str,
        status: int,
        seconds: float,
        request_id: bytes,
        head: Head,
        work: Work[Reply] | None,
        error: ServiceError | None,
    ) -> None:
        """Count a request that is over, and tell of it whoever wants to know."""
        self.metrics.observe_request(op, label, status, seconds)
        if not self.observers and error is None:
            return
        visit = RequestRecord(
            op=op,
            label=label,
            status=status,
            seconds=seconds,
            queue_seconds=work.queue_seconds if work else 0.0,
            compute_seconds=work.compute_seconds if work else 0.0,
            request_id=request_id.decode(),
            traceparent=head.get(b"traceparent"),
            error=error,
        )
        self.refusals(visit)
        for observer in self.observers:
            observer(visit)

    def timing_of(self, queue_seconds: float, compute_seconds: float) -> bytes:
        """The value of Server-Timing (W3C), in milliseconds."""
        times = (1000 * queue_seconds, 1000 * compute_seconds)
        return b"queue;dur=%.3f, compute;dur=%.3f" % times

    def head_of_reply(
        self, reply: Reply, common: Headers, request_id: bytes, last_lines: bytes
    ) -> bytes:
        """The bytes before the body; ``common`` are uvicorn's default headers."""
        return b"%b%b%bcontent-length: %d\r\ncontent-type: %b\r\nx-request-id: %b\r\n%b\r\n" % (
            STATUS_LINE[reply.status],
            self.common_lines.of(common),
            lines(reply.headers),
            len(reply.body),
            reply.media_type,
            request_id,
            last_lines,
        )


def _observers(settings: Settings) -> tuple[RequestObserver, ...]:
    access = AccessLog() if settings.access_log else None
    return tuple(observer for observer in (access, tracer(settings)) if observer is not None)
