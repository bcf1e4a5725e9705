"""What both lanes share: who comes in, under which id, what answers, and who counts."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.deadlines import Deadlines
from service.departure import Departure
from service.endpoint import Endpoint
from service.guard import ApiKeys, RequestIds
from service.heads import Heads
from service.metrics import Metrics
from service.repository import Repository
from service.settings import Settings


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they stand in a reply's head."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class CommonLines:
    """The lines of the headers that every reply has; uvicorn makes a new list every second."""

    def __init__(self) -> None:
        self._headers: object = None
        self._lines = b""

    def of(self, headers: list[tuple[bytes, bytes]]) -> bytes:
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
    max_body_bytes: int
    fast_lane: bool
    heads: Heads
    cross_origin: bool  # pages of some other origins may ask, by the slow lane
    deadlines: Deadlines  # of requests
    idle: Deadlines  # of connections
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
            max_body_bytes=settings.max_body_bytes,
            fast_lane=settings.fast_lane,
            heads=Heads(),
            cross_origin=bool(settings.cors_origins),
            deadlines=Deadlines(tick_seconds=0.01),
            idle=Deadlines(tick_seconds=0.5),
            departure=Departure(),
        )
