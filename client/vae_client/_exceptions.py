"""The exceptions of a call.

VAEError
├── TransportError             no reply: connection refused, lost or timed out
├── ReplyError                 a reply that is not part of the API or is damaged
└── StatusError                any status but 200
    ├── BadRequest             400   malformed
    ├── Unauthorized           401   the API key is missing or wrong
    ├── NotFound               404   no such model or version
    ├── NotAcceptable          406   no common format for the reply
    ├── TooLarge               413   too many rows or bytes
    ├── UnsupportedMediaType   415   unknown format of the request
    ├── InvalidInput           422   wrong shape or option, NaN or infinity
    ├── Overloaded             429   the queue is full; retry after ``retry_after`` seconds
    └── ServerError            500 and above
        ├── Unavailable        503   not ready yet, or shutting down
        └── DeadlineExceeded   504   not finished within the timeout
"""

from collections.abc import Mapping
from typing import Any

import httpx

SHOWN = ("expected", "given")
"""The additional members of a problem that the message of an exception shows."""


class VAEError(Exception):
    """Any failure of a call."""


class TransportError(VAEError):
    """No reply: the connection was refused or lost, or the timeout expired."""


class ReplyError(VAEError):
    """A reply that is damaged or not part of the API, as from a proxy or another server."""


class StatusError(VAEError):
    """The server rejected the request or failed.

    ``status``, ``title`` and ``detail`` come from the problem (RFC 9457); ``problem`` holds all of
    its members, such as ``expected`` and ``given``. ``request_id`` identifies the request in the
    server's log. ``retry_after`` is in seconds, None if the reply has no such header.
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
        # All positional, because pickle calls the class with ``args``.
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
    """406: the server cannot reply in a format that this client reads."""


class TooLarge(StatusError):
    """413: more rows or bytes than the server accepts in one request."""


class UnsupportedMediaType(StatusError):
    """415: the server cannot read the format that this client sends."""


class InvalidInput(StatusError):
    """422: an array of the wrong shape, an option out of range, NaN or infinity."""


class Overloaded(StatusError):
    """429: the server's queue is full; retry after ``retry_after`` seconds."""


class ServerError(StatusError):
    """500 and above: the server failed."""


class Unavailable(ServerError):
    """503: the server is not ready or is shutting down."""


class DeadlineExceeded(ServerError):
    """504: the server did not finish within the timeout."""


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
    """The exception for a reply with any status but 200; its body may hold anything."""
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
    """The members of a problem+json body, {} for any other body."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds, None for a date."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdecimal()):
        return None
    return float(retry_after)
