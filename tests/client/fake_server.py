"""A server in a thread that answers as it is told and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from numpy.typing import ArrayLike
from safetensors.numpy import load, save


@dataclass
class Reply:
    body: bytes = b""
    content_type: str = "application/x-safetensors"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    def arrays(self) -> dict[str, Any]:
        """The body as the safetensors library reads it."""
        return load(self.body)


class FakeServer(ThreadingHTTPServer):
    """Gives ``reply`` to every request, once ``released``; counts its open connections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.reply = Reply()
        self.requests: list[Request] = []
        self.released = threading.Event()
        self.released.set()
        self.connections = 0
        self.changed = threading.Condition()

    def count(self, difference: int) -> None:
        with self.changed:
            self.connections += difference
            self.changed.notify_all()

    def wait_until_all_closed(self) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.connections == 0, timeout=5)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def handle(self) -> None:
        self.server.count(+1)
        try:
            super().handle()
        except ConnectionError:
            pass  # a client that gave up waiting
        finally:
            self.server.count(-1)

    def do_POST(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = dict(parse_qsl(target.query))
        self.server.requests.append(Request(self.command, target.path, query, self.headers, body))
        self.server.released.wait(10)
        reply = self.server.reply
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[FakeServer]:
    with FakeServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def arrays(**values: ArrayLike) -> Reply:
    """Named arrays, float32, as the safetensors library writes them."""
    return Reply(save({name: np.asarray(value, np.float32) for name, value in values.items()}))


def json_reply(body: Any) -> Reply:
    return Reply(json.dumps(body).encode(), "application/json; charset=utf-8")


def problem(status: int, detail: str = "what was wrong", **headers: str) -> Reply:
    body = {"type": "about:blank", "title": "A title", "status": status, "detail": detail}
    return Reply(
        json.dumps({**body, "expected": 3}).encode(), "application/problem+json", status, headers
    )
