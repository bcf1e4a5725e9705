"""One request, when it is over."""

from collections.abc import Callable
from typing import NamedTuple

from service.errors import ServiceError


class Visit(NamedTuple):
    """What logs and traces tell of a request; nothing of it but the id was chosen by the client.

    ``label`` is the name and version of the model, or empty; ``traceparent`` the header (W3C Trace
    Context), as it came. Times in seconds; those of queues and batches are summed over the graphs.
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


Witness = Callable[[Visit], None]
