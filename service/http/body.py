"""The body of an HTTP/1.1 request, taken from the bytes that follow its head."""

from typing import Final, Protocol

import httptools
from httptools import HttpParserError

from service.errors import HeadTooLarge, Malformed

HEAD: Final = b"POST / HTTP/1.1\r\nHost: -\r\nTransfer-Encoding: chunked\r\n\r\n"
BLANK_LINE: Final = b"\r\n\r\n"
MAX_BARREN_BYTES: Final = 8192  # of trailers and chunk extensions, which carry no content


class Body(Protocol):
    """A body that is being received."""

    complete: bool

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """The part of ``data`` that is content of this body, and the bytes that follow the body."""


class SizedBody:
    """A body with a Content-Length."""

    def __init__(self, length: int) -> None:
        self._missing = length
        self.complete = length == 0

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        missing = self._missing
        if len(data) < missing:
            self._missing = missing - len(data)
            return data, b""
        self.complete = True
        if len(data) == missing:
            return data, b""
        return data[:missing], data[missing:]


class ChunkedBody:
    """A body in chunks (RFC 9112, section 7.1). Trailers are ignored, and bounded in size.

    The parser gets the data in pieces that end with an empty line. A message ends with one, so the
    parser never sees a byte of the request that follows.
    """

    def __init__(self) -> None:
        self.complete = False
        self._content: list[bytes] = []
        self._barren = 0  # bytes since the last content
        self._brought_content = False
        self._tail = b""  # the last bytes, in which an empty line may have begun
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(HEAD)

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Raises Malformed for what are no chunks, and HeadTooLarge for too many trailers."""
        start = 0
        while start < len(data) and not self.complete:
            end = self._piece_end(data, start)
            try:
                self._parser.feed_data(data[start:end])
            except HttpParserError as error:
                raise Malformed(f"the chunks of the body are not well-formed: {error}") from None
            self._check_barren(end - start)
            self._tail = (self._tail + data[max(start, end - 3) : end])[-3:]
            start = end
        content = b"".join(self._content)
        self._content.clear()
        return content, data[start:]

    def _piece_end(self, data: bytes, start: int) -> int:
        """Where the next empty line ends, or the data do."""
        tail = self._tail
        straddling = (tail + data[start : start + 3]).find(BLANK_LINE)
        if straddling >= 0:
            return start + straddling + len(BLANK_LINE) - len(tail)
        found = data.find(BLANK_LINE, start)
        return len(data) if found < 0 else found + len(BLANK_LINE)

    def _check_barren(self, size: int) -> None:
        self._barren = 0 if self._brought_content else self._barren + size
        self._brought_content = False
        if self._barren > MAX_BARREN_BYTES:
            raise HeadTooLarge(
                "the trailers or chunk extensions of the request are too large",
                expected=f"at most {MAX_BARREN_BYTES} bytes without content",
            )

    def on_body(self, content: bytes) -> None:
        self._content.append(content)
        self._brought_content = True

    def on_message_complete(self) -> None:
        self.complete = True
