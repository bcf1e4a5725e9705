"""Replies: what every entry sends, and the problem that an error becomes."""

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.responses import Response

from service.errors import MEDIA_TYPE, InternalError, ServiceError

logger = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST: Final = 499  # in metrics and logs; nobody is there to read it
LAST_RESORT: Final = (
    b'{"type":"urn:vae-server:problem:internal-error","title":"Internal Server Error",'
    b'"status":500,"detail":"the server failed on this request"}'
)
STATUS_LINES: Final = {
    int(status): b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}
HeaderList = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """Status, media type, body, and the lines of further headers, each ended by CR LF."""

    status: int
    media_type: bytes
    body: bytes
    lines: bytes = b""

    def head(self, common: bytes) -> bytes:
        """The bytes before the body. ``common`` holds the lines of the headers of every reply."""
        return b"%b%bcontent-length: %d\r\ncontent-type: %b\r\n%b\r\n" % (
            STATUS_LINES[self.status],
            common,
            len(self.body),
            self.media_type,
            self.lines,
        )

    def response(self) -> Response:
        """The reply as starlette sends it, with exactly these headers."""
        response = Response(status_code=self.status)
        response.body = self.body
        further = [line.split(b": ", 1) for line in self.lines.split(b"\r\n") if line]
        response.raw_headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", self.media_type),
            *((name, value) for name, value in further),
        ]
        return response


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they stand in a head."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class CommonLines:
    """The lines of uvicorn's default headers, of which uvicorn makes a new list every second."""

    def __init__(self) -> None:
        self._headers: object = None
        self._lines = b""

    def of(self, headers: HeaderList) -> bytes:
        if headers is not self._headers:
            self._headers, self._lines = headers, lines(headers)
        return self._lines


def problem(error: ServiceError) -> Reply:
    """The reply to an error. If writing it fails, the reply is a constant 500."""
    try:
        headers = [(n.lower().encode(), v.encode("latin-1")) for n, v in error.headers.items()]
        return Reply(error.status, MEDIA_TYPE.encode(), error.problem(), lines(headers))
    except Exception:
        logger.exception("the reply to an error cannot be written. This is a bug.")
        return Reply(500, MEDIA_TYPE.encode(), LAST_RESORT)


def service_error(error: Exception, method: str, path: str) -> ServiceError:
    """``error`` itself, or an InternalError in its place, if it is a bug, which is then logged.

    The traceback is dropped: its frames hold the request's body and all that was made of it, and
    being in a cycle with the error they would do so until the garbage is collected.
    """
    if isinstance(error, ServiceError):
        error.__traceback__ = error.__context__ = None
        return error
    logger.error("%s %s failed", method, path, exc_info=error)
    return InternalError("the server failed on this request")
