"""One HTTP request and its reply over a socket, counted to the byte.

The load generators send one request again and again and look at nothing but counts; so everything
about a reply is found here first, once.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from bench.errors import BenchError

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Request:
    """A POST."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        """The bytes on the wire."""
        headers = {"Host": "127.0.0.1", **self.headers, "Content-Length": str(len(self.body))}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join((*lines, "", "")).encode() + self.body


@dataclass(frozen=True)
class Reply:
    """What came; ``head`` is the status line and the headers with the empty line after them."""

    status: int
    media_type: str
    body: bytes
    head: bytes

    @property
    def wire_bytes(self) -> int:
        """Its length with the head."""
        return len(self.head) + len(self.body)


def exchange(port: int, request: Request) -> Reply:
    """The reply of the server on ``port``. Raises BenchError unless it is whole and has a length.

    OSError, where nobody listens, is left to the caller, who may wait and try again.
    """
    with (
        socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(request.raw())
        return read_reply(stream, request.path)


def read_reply(stream: BinaryIO, path: str) -> Reply:
    """The next reply. Raises BenchError unless it has a length."""
    status_line = stream.readline()
    head = [status_line]
    while (line := stream.readline()) not in (b"\r\n", b""):
        head.append(line)
    headers = dict(_header(line) for line in head[1:])
    if "content-length" not in headers:
        raise BenchError(f"{path}: the reply has no Content-Length: {status_line!r}")
    return Reply(
        status=int(status_line.split()[1]),
        media_type=headers.get("content-type", ""),
        body=stream.read(int(headers["content-length"])),
        head=b"".join(head) + b"\r\n",
    )


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.lower(), value.strip()
