"""What can go wrong in a call.

VAEError
├── TransportError             no reply: refused, cut off or timed out
├── ReplyError                 a reply that the API does not have: this is no VAE server
└── StatusError                the server said no
    ├── BadRequest             400   malformed
    ├── Unauthorized           401   the API key is missing or wrong
    ├── NotFound               404   no such model or version
    ├── NotAcceptable          406   no format that both sides know
    ├── TooLarge               413   more than the server takes at once
    ├── UnsupportedMediaType   415   a format that the server does not read
    ├── InvalidInput           422   wrong shape or option, NaN or infinity
    ├── Overloaded             429   the queue is full; try again after ``retry_after`` seconds
    └── ServerError            500 and above
        ├── Unavailable        503   not ready yet, or shutting down
        └── DeadlineExceeded   504   not done within the timeout
"""

from collections.abc import Mapping
from typing import Any

import httpx

SHOWN = ("expected", "given")
"""Members of a problem, beyond those of every problem, that a message shows."""


class VAEError(Exception):
    """Any failure of a call."""


class TransportError(VAEError):
    """No reply came: the connection was refused or cut off, or the time was over."""


class ReplyError(VAEError):
    """A reply came that the API does not have, as from another server or a proxy."""


class StatusError(VAEError):
    """The server refused the request or failed at it.

    ``status``, ``title`` and ``detail`` are those of the problem (RFC 9457); ``problem`` has all of
    its members, with what was expected and given. ``request_id`` finds the request in the server's
    log. ``retry_after`` is in seconds, None when the server does not say.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        # All positional, so that an exception survives pickling between processes.
        super().__init__(status, title, detail, request_id, retry_after, problem)
        self.status = status
        self.title = title
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after
        self.problem = problem or {}

    def __str__(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        facts = [f"{name} {self.problem[name]}" for name in SHOWN if name in self.problem]
        if self.request_id:
            facts.append(f"request {self.request_id}")
        return f"{self.status} {self.title}{detail}" + (f" ({', '.join(facts)})" if facts else "")


class BadRequest(StatusError):
    """400: the request is malformed."""


class Unauthorized(StatusError):
    """401: the API key is missing or wrong."""


class NotFound(StatusError):
    """404: the server has no such model or version."""


class NotAcceptable(StatusError):
    """406: the server does not answer in a format that this client reads."""


class TooLarge(StatusError):
    """413: more rows or bytes than the server takes in one request."""


class UnsupportedMediaType(StatusError):
    """415: the server does not read the format that this client writes."""


class InvalidInput(StatusError):
    """422: an array of the wrong shape, an option out of its bounds, NaN or infinity."""


class Overloaded(StatusError):
    """429: the server's queue is full; ``retry_after`` says in how many seconds to come back."""


class ServerError(StatusError):
    """500 and above: the server failed."""


class Unavailable(ServerError):
    """503: the server is not ready yet, or is shutting down."""


class DeadlineExceeded(ServerError):
    """504: the server could not answer within the timeout."""


BY_STATUS: Mapping[int, type[StatusError]] = {
    400: BadRequest,
    401: Unauthorized,
    404: NotFound,
    406: NotAcceptable,
    413: TooLarge,
    415: UnsupportedMediaType,
    422: InvalidInput,
    429: Overloaded,
    503: Unavailable,
    504: DeadlineExceeded,
}


def status_error(response: httpx.Response) -> StatusError:
    """The exception for a reply of any status but success, whatever its body holds."""
    status = response.status_code
    kind = BY_STATUS.get(status, ServerError if status >= 500 else StatusError)
    problem = _problem(response)
    return kind(
        status,
        _text(problem.get("title")) or response.reason_phrase or "error",
        _text(problem.get("detail")),
        response.headers.get("X-Request-Id"),
        _seconds(response.headers.get("Retry-After")),
        problem,
    )


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The members of a problem+json body; none when the body is something else."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not read."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdecimal()):
        return None
    return float(retry_after)
