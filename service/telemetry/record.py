"""One request, when it is over."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from service.errors import ServiceError

MOST_DETAIL: Final = 200  # characters


class RequestRecord(NamedTuple):
    """What logs and traces tell of a request; nothing of it but the id was chosen by the client.

    ``label`` is the name and version of the model, or empty; ``traceparent`` the header (W3C Trace
    Context), as it came. Times in seconds; those of queues and batches are summed over the graphs.
    ``left_out`` visits of the same kind came before this one and are not told of. Its text is what
    a log says to people, its fields are what a log says to machines.
    """

    op: str
    label: str
    status: int
    seconds: float
    queue_seconds: float
    compute_seconds: float
    request_id: str
    traceparent: bytes | None
    error: ServiceError | None
    left_out: int = 0

    def __str__(self) -> str:
        model = f" {self.label}" if self.label else ""
        reason = f": {self.error.detail[:MOST_DETAIL]!r}" if self.error is not None else ""
        took = f"{1000 * self.seconds:.1f} ms"
        return f"{self.status} {self.op}{model} in {took}, request {self.request_id}{reason}"

    def fields(self) -> dict[str, Any]:
        """As members of a JSON object; times in milliseconds."""
        found: dict[str, Any] = {
            "op": self.op,
            "model": self.label or None,
            "status": self.status,
            "request_id": self.request_id,
            "ms": round(1000 * self.seconds, 3),
            "queue_ms": round(1000 * self.queue_seconds, 3),
            "compute_ms": round(1000 * self.compute_seconds, 3),
        }
        if self.error is not None:
            found |= {"reason": self.error.kind, "detail": self.error.detail[:MOST_DETAIL]}
        if self.left_out:
            found["left_out"] = self.left_out
        return found


RequestObserver = Callable[[RequestRecord], None]
