"""What both lanes share: who comes in, under which id, what answers, and who counts."""

from collections.abc import Iterable
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.deadlines import Deadlines
from service.departure import Departure
from service.endpoint import Endpoint, Reply
from service.guard import ApiKeys, RequestIds
from service.heads import Heads
from service.metrics import Metrics
from service.repository import Repository
from service.settings import Settings

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
class Reception:
    """One of each for the whole service."""

    endpoint: Endpoint
    keys: ApiKeys
    request_ids: RequestIds
    common_lines: CommonLines
    metrics: Metrics
    settings: Settings
    heads: Heads
    cross_origin: bool  # pages of some other origins may ask, by the slow lane
    deadlines: Deadlines  # of requests
    waits: Deadlines  # of connections that wait for their client
    departure: Departure

    @classmethod
    def open(cls, models: Repository, settings: Settings, metrics: Metrics) -> "Reception":
        """By the settings."""
        return cls(
            endpoint=Endpoint(models, settings),
            keys=ApiKeys(key.get_secret_value() for key in settings.api_keys),
            request_ids=RequestIds(),
            common_lines=CommonLines(),
            metrics=metrics,
            settings=settings,
            heads=Heads(),
            cross_origin=bool(settings.cors_origins),
            deadlines=Deadlines(tick_seconds=0.01),
            waits=Deadlines(tick_seconds=0.5),
            departure=Departure(),
        )

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
