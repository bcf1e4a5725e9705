"""What both lanes share: who comes in, under which id, what answers, and who counts."""

from dataclasses import dataclass

from service.deadlines import Deadlines
from service.endpoint import Endpoint
from service.guard import ApiKeys, RequestIds
from service.metrics import Metrics
from service.repository import Repository
from service.settings import Settings


@dataclass(frozen=True)
class Reception:
    """One of each for the whole service."""

    endpoint: Endpoint
    keys: ApiKeys
    request_ids: RequestIds
    metrics: Metrics
    max_body_bytes: int
    fast_lane: bool
    deadlines: Deadlines  # of requests
    idle: Deadlines  # of connections

    @classmethod
    def open(cls, models: Repository, settings: Settings, metrics: Metrics) -> "Reception":
        """By the settings."""
        return cls(
            endpoint=Endpoint(models, settings),
            keys=ApiKeys(key.get_secret_value() for key in settings.api_keys),
            request_ids=RequestIds(),
            metrics=metrics,
            max_body_bytes=settings.max_body_bytes,
            fast_lane=settings.fast_lane,
            deadlines=Deadlines(tick_seconds=0.01),
            idle=Deadlines(tick_seconds=0.5),
        )
