"""What can go wrong, and the status each answers with (RFC 9457, Problem Details for HTTP APIs).

The ``type`` of a problem is made from the name of its class: urn:vae-server:problem:queue-full.

ServiceError
├── Malformed            400   the bytes are not what they claim to be
├── Unauthorized         401   the API key is missing or wrong
├── UnknownModel         404   no such model or version
├── NotAcceptable        406   no format of Accept fits this reply
├── BundleRefused        409   a bundle cannot be served; the reason is in its files
├── ReceiptTimeout       408   the request came too slowly
├── TooLarge             413   a limit on what a client may send
├── UnsupportedFormat    415   a Content-Type that this route does not read
├── InvalidInput         422   well-formed, but not rows of this model
├── HeadTooLarge         431   more headers than any client needs
├── QueueFull            429   come back in ``retry_after`` seconds
├── RoutingError    404, 405   no such path, or not this method
├── InternalError        500   the runtime failed
├── Unavailable          503   not ready yet, or draining
└── DeadlineExceeded     504   the time the caller gave is over
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import orjson

MEDIA_TYPE = "application/problem+json"
MAX_TEXT = 1024


class ServiceError(Exception):
    """An error with a status; ``detail`` is for the caller and shows nothing internal.

    ``expected`` and ``given`` say, where it helps, what would have been right and what came.
    """

    status: HTTPStatus

    def __init__(self, detail: str, *, expected: Any = None, given: Any = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.expected = expected
        self.given = given

    @property
    def kind(self) -> str:
        """The name of its class, as problems, metrics and logs have it."""
        return _kebab_case(type(self).__name__)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that belong to the reply."""
        return {}

    def problem(self) -> bytes:
        """The body of the reply; every text is cut to MAX_TEXT, whatever the caller sent."""
        members = {
            "type": f"urn:vae-server:problem:{self.kind}",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": _plain_text(self.detail),
        }
        for name, value in (("expected", self.expected), ("given", self.given)):
            if value is not None:
                members[name] = value if _is_number(value) else _plain_text(value)
        return orjson.dumps(members)


class Malformed(ServiceError):
    status = HTTPStatus.BAD_REQUEST


class Unauthorized(ServiceError):
    status = HTTPStatus.UNAUTHORIZED

    @property
    def headers(self) -> Mapping[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class UnknownModel(ServiceError):
    status = HTTPStatus.NOT_FOUND


class NotAcceptable(ServiceError):
    status = HTTPStatus.NOT_ACCEPTABLE


class BundleRefused(ServiceError):
    status = HTTPStatus.CONFLICT


class ReceiptTimeout(ServiceError):
    status = HTTPStatus.REQUEST_TIMEOUT


class HeadTooLarge(ServiceError):
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class TooLarge(ServiceError):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedFormat(ServiceError):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class InvalidInput(ServiceError):
    """``row`` is the row of the request at fault, if it is one row; the detail starts with it."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(
        self, detail: str, *, row: int | None = None, expected: Any = None, given: Any = None
    ) -> None:
        super().__init__(
            detail if row is None else f"row {row}: {detail}", expected=expected, given=given
        )
        self.row = row
        self._detail_without_row = detail

    def at_row(self, row: int) -> "InvalidInput":
        """The same error for another row."""
        return InvalidInput(
            self._detail_without_row, row=row, expected=self.expected, given=self.given
        )


class QueueFull(ServiceError):
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, detail: str, *, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = ceil(retry_after)

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after)}


class InternalError(ServiceError):
    status = HTTPStatus.INTERNAL_SERVER_ERROR


class RoutingError(ServiceError):
    """No such path, or not this method."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = HTTPStatus(status)


class Unavailable(ServiceError):
    status = HTTPStatus.SERVICE_UNAVAILABLE


class DeadlineExceeded(ServiceError):
    status = HTTPStatus.GATEWAY_TIMEOUT


def _kebab_case(name: str) -> str:
    """Of a class, since the names of HTTPStatus change from one Python to the next."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def _plain_text(value: Any) -> str:
    """At most MAX_TEXT characters that UTF-8 can hold: JSON may carry half of a surrogate pair."""
    return str(value)[:MAX_TEXT].encode(errors="backslashreplace").decode()


def _is_number(value: Any) -> bool:
    """Whether JSON can hold it: no NaN, no infinity, and orjson no integer beyond 64 bits."""
    return isinstance(value, int | float) and abs(value) < 2**63
